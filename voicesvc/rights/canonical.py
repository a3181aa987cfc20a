"""JSON in one form only: RFC 8785 (JCS). What is signed or hashed has it, byte for byte."""

import hashlib
import json
import unicodedata
from typing import Any

import rfc8785

from voicesvc.errors import BadGrant

_DEEPEST = 20


def dumps(value: Any) -> bytes:
    """A value in its canonical form.

    Raises:
        BadGrant: it holds something that has none, such as an integer over 2^53.
    """
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as e:
        raise BadGrant(f"it has no canonical form: {e}", where="payload") from e


def loads(content: bytes) -> dict[str, Any]:
    """An object that is in canonical form.

    Raises:
        BadGrant: it is not JSON, no object, or written in another form (RFC 8785).
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as e:
        raise BadGrant("the payload is not JSON", where="payload") from e
    if not isinstance(value, dict) or _depth(value) > _DEEPEST:
        raise BadGrant("the payload is no JSON object of this kind", where="payload")
    if dumps(value) != content:
        raise BadGrant("the payload is not in canonical form", where="payload", valid="RFC 8785")
    return value


def _depth(value: Any, at: int = 0) -> int:
    if at > _DEEPEST or not isinstance(value, dict | list):
        return at
    within = value.values() if isinstance(value, dict) else value
    return max((_depth(v, at + 1) for v in within), default=at)


def sha256(content: bytes) -> str:
    """Of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def text_sha256(text: str) -> str:
    """Names a line of a script: of its text in NFC, with each stretch of white space one space."""
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    return sha256(plain.encode("utf-8", "replace"))
