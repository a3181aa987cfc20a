"""Ed25519 keys as JWK (RFC 8037), named by their RFC 7638 thumbprint."""

import contextlib
import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from voicesvc.errors import BadGrant

ALGORITHM: Final = "Ed25519"


def new() -> OKPKey:
    """A new key pair."""
    return OKPKey.generate_key(ALGORITHM)


def kid(key: OKPKey) -> str:
    """The key's name; whoever has another key has another name."""
    return str(key.thumbprint())


def public(key: OKPKey) -> dict[str, Any]:
    """The half that may be shown."""
    shown = key.as_dict(private=False)
    return {name: shown[name] for name in ("kty", "crv", "x")}


def derived(key: OKPKey, purpose: str) -> bytes:
    """A secret of its own for a purpose, from the private key: HMAC-SHA256."""
    private = key.as_dict(private=True)["d"]
    return hmac.new(str(private).encode(), purpose.encode(), hashlib.sha256).digest()


def read(content: str | bytes | dict[str, Any]) -> OKPKey:
    """A key, either half, from a JWK.

    Raises:
        BadGrant: it is none, or of another kind.
    """
    try:
        value = content if isinstance(content, dict) else json.loads(content)
        key = OKPKey.import_key({n: value[n] for n in ("kty", "crv", "x", "d") if n in value})
    except (ValueError, TypeError, KeyError, JoseError) as e:
        raise BadGrant("not an Ed25519 key", where="key", valid="a JWK of RFC 8037") from e
    if key.curve_name != ALGORITHM:
        raise BadGrant(f"a key of {key.curve_name}", where="key", valid=ALGORITHM)
    return key


def write(key: OKPKey, path: Path) -> None:
    """The private key as a file that only its owner reads.

    Raises:
        FileExistsError: there is one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        whole = key.as_dict(private=True)
        json.dump({name: whole[name] for name in ("kty", "crv", "x", "d")}, file)
        file.flush()
        os.fsync(fd)


def local(path: Path) -> OKPKey:
    """The key in a file; made now where there is none.

    Raises:
        BadGrant: what is there is no private key, or cannot be read or made.
    """
    try:
        with contextlib.suppress(FileExistsError):
            write(new(), path)
        content = path.read_bytes()
    except OSError as e:
        raise BadGrant(f"{path}: {e.strerror}", where="key", valid="a file that can be read") from e
    key = read(content)
    if not key.is_private:
        raise BadGrant(f"{path} has no private key", where="key")
    return key
