"""The grant that a demonstration voice comes with, made by the service itself."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from joserfc.jwk import OKPKey

from voicesvc.rights import keys
from voicesvc.rights.grant import (
    Grant,
    Grantor,
    Licensee,
    Production,
    Purposes,
    Signer,
    Subject,
    Term,
    Voice,
)
from voicesvc.rights.signed import Verified

NAME = "the operator of this service"
DESCRIPTION = "Demonstration of the software with a demonstration voice; no distribution"
_YEARS = 20


def id_of(actor: str) -> str:
    """What an actor's demonstration grant is called."""
    return f"demo-{actor}"


def demonstration(
    actor: str,
    model_sha256: str,
    languages: Sequence[str],
    made: tuple[OKPKey, int],
    before: Verified | None = None,
) -> Grant:
    """The grant, to be signed; `made` is the service's key and the time, UTC milliseconds.

    With a version `before`, what covers another model too.
    """
    operator, now_ms = made
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    models = () if before is None else before.grant.voice.model_sha256
    known = () if before is None else before.grant.use.languages
    roots = (name.lower().split("-")[0] for name in languages)
    until = now + timedelta(days=365 * _YEARS)
    return Grant(
        id=id_of(actor),
        version=1 if before is None else before.grant.version + 1,
        supersedes=None if before is None else before.sha256,
        demonstration=True,
        grantor=Grantor(role="operator", name=NAME),
        subject=Subject(name=actor, status="living"),
        signers=(Signer(kid=keys.kid(operator), role="operator", name=NAME),),
        threshold=1,
        voice=Voice(actor=actor, model_sha256=tuple(dict.fromkeys((*models, model_sha256)))[-100:]),
        licensee=Licensee(name=NAME),
        production=Production(id="*", title="Demonstration"),
        use=Purposes(
            description=DESCRIPTION,
            languages=tuple(dict.fromkeys((*known, *roots))),
            new_dialogue=True,
            realtime=True,
            singing=True,
            promo=True,
        ),
        term=Term(not_before=now - timedelta(days=1), expires=until, retain_until=until),
    )
