"""Grants for tests: keys, a grant as JSON with some of it changed, and who is trusted."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from joserfc.jwk import OKPKey

from voicesvc.packs import Pack
from voicesvc.rights import Grant, Permit, Standing, Trust, Use, Verified, check, keys, sign, verify
from voicesvc.rights.demonstration import demonstration
from voicesvc.rights.grant import parse
from voicesvc.rights.register import Trusted
from voicesvc.studio import Studio

ESTATE, COUNSEL, UNION = (
    keys.read({"kty": "OKP", "crv": "Ed25519", "x": x, "d": d})
    for d, x in (
        (
            "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        ),
        (
            "TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs",
            "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
        ),
        (
            "xaqN9D-fg3vtt0QvMdy3sWbThTUHbwlLhc46LgtEWPc",
            "_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU",
        ),
    )
)
SIGNERS = (ESTATE, COUNSEL)
TRUST = Trust({keys.kid(k): k for k in (ESTATE, COUNSEL, UNION)})
MODEL = "a" * 64
NOW_MS = round(datetime(2026, 9, 1, tzinfo=UTC).timestamp() * 1000)


def said(**changes: Any) -> dict[str, Any]:
    """A grant as JSON; a change names its field as `use__languages`."""
    grant: dict[str, Any] = {
        "id": "g-harbour",
        "version": 1,
        "grantor": {
            "role": "estate",
            "name": "Estate of Ann Smith",
            "authority_sha256": "c" * 64,
        },
        "subject": {"name": "Ann Smith", "status": "deceased", "died": "2021-03-04"},
        "signers": [
            {"kid": keys.kid(ESTATE), "role": "estate", "name": "Estate of Ann Smith"},
            {"kid": keys.kid(COUNSEL), "role": "counsel", "name": "Counsel LLP"},
        ],
        "threshold": 2,
        "voice": {"actor": "ann", "model_sha256": [MODEL]},
        "licensee": {"name": "Harbour Films LLC"},
        "production": {
            "id": "harbour",
            "title": "The Harbour",
            "media": ["feature"],
            "episodes": ["reel 1"],
        },
        "use": {
            "description": "ADR of up to 40 lines of the character Joe, reels 1 to 5",
            "characters": ["Joe"],
            "languages": ["en"],
            "new_dialogue": True,
            "prohibited": ["political"],
        },
        "territory": ["US", "CA"],
        "term": {
            "not_before": "2026-07-01T00:00:00Z",
            "expires": "2027-06-30T00:00:00Z",
            "retain_until": "2027-09-30T00:00:00Z",
        },
        "limits": {"seconds": 600, "lines": 40, "takes": 400},
    }
    for name, value in changes.items():
        at, *path = name.split("__")
        if not path:
            grant[at] = value
        else:
            grant.setdefault(at, {})[path[0]] = value
    return grant


def grant(**changes: Any) -> Grant:
    """The same, read."""
    return parse(json.dumps(said(**changes)))


def signed(given: Grant, by: Iterable[OKPKey] = SIGNERS) -> str:
    """A grant in its envelope."""
    return sign(given.canonical(), "grant", tuple(by))


def verified(before: Verified | None = None, **changes: Any) -> Verified:
    """A grant that was signed by all its signers."""
    return verify(signed(grant(**changes)), TRUST, before)


def demo_permit(
    actor: str = "joe", model_sha256: str = "0" * 64, line: str | None = None
) -> Permit:
    """That a demonstration voice may speak a line, under any key."""
    key = keys.new()
    given = demonstration(actor, model_sha256, ("en-us",), (key, NOW_MS))
    ours = keys.kid(key)
    found = verify(signed(given, (key,)), Trust({ours: key}, ours))
    use = Use(actor, model_sha256, "demo", "en-us", "A line.", line=line)
    permit = check(use, [found], Standing(NOW_MS), NOW_MS)
    assert isinstance(permit, Permit)
    return permit


def give(studio: Studio, **changes: Any) -> None:
    """A grant for each voice that has none yet, by an estate that the operator trusts."""
    for pack in studio.cast.packs.values():
        if not isinstance(pack, Pack) or studio.door.register.of(pack.actor_id):
            continue
        trust(studio, ESTATE, "estate")
        estate = {"kid": keys.kid(ESTATE), "role": "estate", "name": "Estate"}
        wide: dict[str, Any] = {
            "id": f"g-{pack.actor_id}",
            "signers": [estate],
            "threshold": 1,
            "voice": {"actor": pack.actor_id, "model_sha256": [pack.model_sha256]},
            "production": {"id": "demo", "title": "Demonstration"},
            "use__characters": [],
            "use__languages": [pack.language.split("-")[0]],
            "territory": [],
            "term": {
                "not_before": "2020-01-01T00:00:00Z",
                "expires": "2050-01-01T00:00:00Z",
                "retain_until": "2050-01-01T00:00:00Z",
            },
            "limits": {},
        }
        given = grant(**{**wide, **changes})
        studio.door.enter("grant", given.id, signed(given, (ESTATE,)), None)


def trust(studio: Studio, key: OKPKey, role: Any, trusted: bool = True) -> None:
    """Have the operator trust a key, or no longer."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    said = Trusted(jwk=keys.public(key), name=role, role=role, trusted=trusted, at=at)
    studio.door.enter("trust", keys.kid(key), said.signed(studio.door.key), None)
