"""Sessions of a page: a cookie that stands for a key, without having it.

It is an authentication code of the key's id and an end, under a secret of the service's and what is
kept of the key's secret. So nobody makes one without the key, nothing is kept of it, and it ends
with the key: when that is revoked, expires or is rotated out.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping

from voicesvc.access.callers import Caller
from voicesvc.access.keys import MOST_SECRETS, Key, Secret

COOKIE = "voicesvc-session"
LASTS_S = 12 * 3600
_FORM = re.compile(r"([0-9a-f]{12})\.([0-9]{1,15})\.([0-9a-f]{64})")


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
