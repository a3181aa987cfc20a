"""Sessions of a page: a cookie that stands for a key, without having it, or for a person.

It is an authentication code of the key's id and an end, under a secret of the service's and what is
kept of the key's secret. So nobody makes one without the key, nothing is kept of it, and it ends
with the key: when that is revoked, expires or is rotated out.

That of a person whom a provider knows has what the provider said of them, under such a code; what
their roles are for is looked up each time. It ends at its end.

Whoever logs out ends either before: then it is known by the digest of its code.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

from voicesvc.access.callers import Caller
from voicesvc.access.keys import MOST_SECRETS, Key, Secret
from voicesvc.access.roles import Person

COOKIE = "voicesvc-session"
LASTS_S = 12 * 3600
LONGEST = 3_900  # characters: browsers keep cookies of 4096 bytes, name and all
OF_PERSON = "oidc."
_FORM = re.compile(r"([0-9a-f]{12})\.([0-9]{1,15})\.([0-9a-f]{64})")
_PERSON_FORM = re.compile(r"oidc\.([A-Za-z0-9_-]{1,3900})\.([0-9a-f]{64})")


def digest(presented: str) -> str:
    """What an ended session is known by. Of its code alone, which can be written in one way."""
    return hashlib.sha256(presented.rpartition(".")[2].encode()).hexdigest()


def sealed(pepper: bytes, caller: Caller, until_ms: int) -> str:
    """What a session of a key's caller is known by, up to `until_ms`."""
    return f"{caller.id}.{until_ms}.{_code(pepper, caller.id, until_ms, caller.proof)}"


def found(
    keys: Mapping[str, Key], pepper: bytes, presented: str, now_ms: int
) -> tuple[Key, Secret, int] | None:
    """The key that a session stands for, with its secret, and when the session ends."""
    match = _FORM.fullmatch(presented)
    key = keys.get(match[1]) if match else None
    if match is None or key is None or now_ms >= int(match[2]):
        return None
    for kept in key.secrets[:MOST_SECRETS]:
        code = _code(pepper, key.id, int(match[2]), kept.digest)
        if hmac.compare_digest(code, match[3]) and (kept.until_ms or now_ms + 1) > now_ms:
            return key, kept, int(match[2])
    return None


def _code(pepper: bytes, id: str, until_ms: int, proof: bytes) -> str:
    return hmac.new(
        pepper, f"session {id} {until_ms} ".encode() + proof, hashlib.sha256
    ).hexdigest()


def sealed_person(pepper: bytes, issuer: str, person: Person) -> str:
    """What a session of a person is known by, up to their `until_ms`."""
    said = json.dumps([person.id, person.name, person.roles, person.until_ms], ensure_ascii=False)
    content = base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")
    return f"{OF_PERSON}{content}.{_person_code(pepper, issuer, content)}"


def found_person(pepper: bytes, issuer: str, presented: str, now_ms: int) -> Person | None:
    """The person that a session stands for; None where it is none, or has ended."""
    match = _PERSON_FORM.fullmatch(presented)
    if match is None or not hmac.compare_digest(_person_code(pepper, issuer, match[1]), match[2]):
        return None
    said: list[Any] = json.loads(base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)))
    id, name, roles, until_ms = said
    return Person(id, name, tuple(roles), until_ms) if now_ms < until_ms else None


def _person_code(pepper: bytes, issuer: str, content: str) -> str:
    return hmac.new(pepper, f"person {issuer} {content}".encode(), hashlib.sha256).hexdigest()
