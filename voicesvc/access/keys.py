"""Keys: `vsk_<id>_<secret>`, shown once, kept as a keyed hash.

A secret is 256 random bits, so nobody finds it by trying, however fast the hash is. A slow hash is
for passwords that people choose; here it would cost every request and protect nothing. HMAC-SHA256
under a secret of the service's makes the database alone worth nothing: who reads it has no key, and
who writes to it cannot make one.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from voicesvc.access.callers import Caller, Scope

ID_BYTES, SECRET_BYTES = 6, 32
MOST_SECRETS = 2  # of one key, side by side
LONGEST_OVERLAP_S = 30 * 86_400
DEFAULT_OVERLAP_S = 86_400
_FORM = re.compile(r"vsk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Secret:
    """What is kept of a secret; `until_ms` is when it ends, once it was replaced."""

    digest: bytes
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. Times are UTC milliseconds since 1970."""

    id: str
    name: str
    scopes: frozenset[Scope]
    actors: frozenset[str] | None = None
    productions: frozenset[str] | None = None
    created_ms: int = 0
    created_by: str | None = None
    expires_ms: int | None = None
    revoked_ms: int | None = None
    per_minute: int | None = None
    at_once: int | None = None
    secrets: tuple[Secret, ...] = ()

    def over(self, now_ms: int) -> str | None:
        """Why it counts no more, if it does not."""
        if self.revoked_ms is not None:
            return "the key was revoked"
        if self.expires_ms is not None and now_ms >= self.expires_ms:
            return "the key has expired"
        return None

    def caller(self, secret: Secret) -> Caller:
        """Who asks with it."""
        ends = [t for t in (self.expires_ms, secret.until_ms) if t is not None]
        return Caller(
            id=self.id,
            name=self.name,
            scopes=self.scopes,
            actors=self.actors,
            productions=self.productions,
            until_ms=min(ends, default=None),
            per_minute=self.per_minute,
            at_once=self.at_once,
            proof=secret.digest,
        )


def written(id: str, secret: bytes) -> str:
    """A key as it is shown, once."""
    return f"vsk_{id}_{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"


def new(entropy: Callable[[int], bytes], id: str | None = None) -> tuple[str, str]:
    """An id, new where none is given, and a key with a new secret."""
    named = entropy(ID_BYTES).hex() if id is None else id
    return named, written(named, entropy(SECRET_BYTES))


def parted(presented: str) -> tuple[str, str] | None:
    """A key's id and secret; None where it is not written as one."""
    found = _FORM.fullmatch(presented)
    return None if found is None else (found[1], found[2])


def digest(pepper: bytes, id: str, secret: str) -> bytes:
    """What is kept of a secret: HMAC-SHA256 under the service's own."""
    return hmac.new(pepper, f"vsk {id} {secret}".encode(), hashlib.sha256).digest()


_NOTHING = (Secret(bytes(32), 0),) * MOST_SECRETS
_NOBODY = Key("0" * 12, "", frozenset())


def found(
    keys: Mapping[str, Key], pepper: bytes, presented: str, now_ms: int
) -> tuple[Key, Secret] | None:
    """The key that is presented, with its secret; None where it is none.

    A wrong secret, an unknown key and no key at all take the same steps.
    """
    id, secret = parted(presented) or (_NOBODY.id, "")
    given = digest(pepper, id, secret)
    key = keys.get(id, _NOBODY)
    match: Secret | None = None
    for kept in (*key.secrets, *_NOTHING)[:MOST_SECRETS]:
        same = hmac.compare_digest(given, kept.digest)
        if same and (kept.until_ms is None or now_ms < kept.until_ms):
            match = kept
    return None if match is None else (key, match)
