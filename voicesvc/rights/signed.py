"""What is signed: JWS (RFC 7515, general JSON) with Ed25519 (RFC 9864), by several signers.

A signature counts if its key is trusted here; a key is named by its thumbprint, so a key that
nobody trusts cannot take another's name.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from voicesvc.errors import BadGrant
from voicesvc.rights import grant as grants
from voicesvc.rights import keys
from voicesvc.rights.grant import Grant

LONGEST_BYTES = 200_000
_MADE_HERE = object()


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signatures count: keys by their kid, and which of them is the operator's own."""

    keys: Mapping[str, OKPKey]
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """A payload, and who signed it: kids of trusted keys."""

    payload: bytes
    kids: frozenset[str]


class Verified:
    """A grant that enough of its signers signed. Made by `verify` alone.

    `envelope` is what was signed, with the signatures; `sha256` names the version.
    """

    __slots__ = ("envelope", "grant", "kids", "sha256")

    def __init__(self, made_here: object, grant: Grant, kids: frozenset[str], envelope: str):
        if made_here is not _MADE_HERE:
            raise TypeError("a grant is verified by rights.verify alone")
        self.grant, self.kids, self.envelope = grant, kids, envelope
        self.sha256 = grant.sha256


def sign(payload: bytes, kind: str, signers: Sequence[OKPKey], envelope: str | None = None) -> str:
    """The payload with a signature of each key, added to those of `envelope` if there is one.

    `kind` is what is signed, `grant`, `notice`, `approval`, `head` or `pack`: one never passes for
    another.

    Raises:
        BadGrant: `envelope` is of another payload.
    """
    members: list[dict[str, str]] = []
    if envelope is not None:
        before = _envelope(envelope)
        if _payload(before) != payload:
            raise BadGrant("the signatures that are there are of another payload", where="payload")
        members = list(before["signatures"])
    header = {"alg": keys.ALGORITHM, "typ": _typ(kind)}
    for key in signers:
        protected = {**header, "kid": keys.kid(key)}
        compact = jws.serialize_compact(protected, payload, key, algorithms=[keys.ALGORITHM])
        head, _, signature = compact.split(".")
        members = [m for m in members if m["protected"] != head]
        members.append({"protected": head, "signature": signature})
    encoded = base64.urlsafe_b64encode(payload).rstrip(b"=").decode()
    return json.dumps({"payload": encoded, "signatures": members}, separators=(",", ":"))


def opened(envelope: str, kind: str, trusted: Mapping[str, OKPKey]) -> Signed:
    """What was signed, and by which of the trusted keys; the rest does not count.

    Raises:
        BadGrant: it is no such envelope, or a trusted key's signature is wrong.
    """
    value = _envelope(envelope)
    kids: set[str] = set()
    for member in value["signatures"]:
        said = _header(member["protected"])
        if said.get("alg") != keys.ALGORITHM or said.get("typ") != _typ(kind):
            raise BadGrant(
                f"a signature is not for a {kind}",
                where="signatures",
                valid={"alg": keys.ALGORITHM, "typ": _typ(kind)},
            )
        kid = said.get("kid")
        if not isinstance(kid, str) or kid not in trusted:
            continue
        compact = f"{member['protected']}.{value['payload']}.{member['signature']}"
        try:
            jws.deserialize_compact(compact, trusted[kid], algorithms=[keys.ALGORITHM])
        except (JoseError, ValueError) as e:
            raise BadGrant(f"the signature of {kid} is wrong", where="signatures") from e
        kids.add(kid)
    return Signed(_payload(value), frozenset(kids))


def verify(envelope: str, trust: Trust, before: Verified | None = None) -> Verified:
    """The grant in an envelope, if enough of its signers signed it.

    A version after the first is signed by enough signers of the one `before` it too, so that
    nobody but them changes who decides.

    Raises:
        BadGrant: the signatures do not suffice, or the version does not follow.
    """
    signed = opened(envelope, "grant", trust.keys)
    grant = grants.read(signed.payload)
    _count(grant, signed.kids, trust)
    if grant.version > 1:
        if before is None or before.sha256 != grant.supersedes or before.grant.id != grant.id:
            raise BadGrant(
                f"version {grant.version} does not follow a version that is here",
                where="supersedes",
                valid=None if before is None else [before.sha256],
            )
        if before.grant.version + 1 != grant.version:
            valid = [before.grant.version + 1]
            raise BadGrant(f"version {grant.version}", where="version", valid=valid)
        if before.grant.voice.actor != grant.voice.actor:
            raise BadGrant("an amendment is for the same actor", where="voice.actor")
        _count(before.grant, signed.kids, trust)
    return Verified(_MADE_HERE, grant, signed.kids, envelope)


def _count(grant: Grant, kids: frozenset[str], trust: Trust) -> None:
    """Whether `threshold` of the grant's signers are among `kids`."""
    known = {s.kid for s in grant.signers}
    if grant.demonstration:
        known &= {trust.operator}
    else:
        known -= {trust.operator}
    valid = known & kids
    must = {s.kid for s in grant.signers if s.role == grant.grantor.role}
    if len(valid) < grant.threshold or not valid & must:
        missing = [f"{s.name} ({s.role}), {s.kid}" for s in grant.signers if s.kid not in valid]
        raise BadGrant(
            f"{len(valid)} valid signatures of {grant.threshold}, the grantor's among them",
            where="signatures",
            valid=missing,
        )


def _envelope(text: str) -> dict[str, Any]:
    if len(text) > LONGEST_BYTES:
        raise BadGrant(f"{len(text)} characters", where="envelope", valid=f"up to {LONGEST_BYTES}")
    try:
        value = json.loads(text)
        members = value["signatures"]
        fine = isinstance(value["payload"], str) and len(members) <= 10 and len(value) == 2
        fine = fine and all(set(m) == {"protected", "signature"} for m in members)
        fine = fine and all(isinstance(x, str) for m in members for x in m.values())
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError) as e:
        raise BadGrant("not a JWS in general JSON", where="envelope", valid="RFC 7515") from e
    if not fine:
        raise BadGrant(
            "more than payload and signatures, each protected, are in it",
            where="envelope",
            valid="RFC 7515 general JSON, protected headers alone",
        )
    assert isinstance(value, dict)
    return value


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError) as e:
        raise BadGrant("not base64url", where="envelope") from e


def _payload(value: Mapping[str, Any]) -> bytes:
    """The bytes that are signed, without looking at who signed."""
    return _decoded(value["payload"])


def _header(protected: str) -> dict[str, Any]:
    try:
        said = json.loads(_decoded(protected))
    except (ValueError, RecursionError) as e:
        raise BadGrant("a signature's header cannot be read", where="signatures") from e
    if not isinstance(said, dict):
        raise BadGrant("a signature's header is no object", where="signatures")
    return said


def payload_of(envelope: str) -> bytes:
    """What is in an envelope, whoever signed it: to be shown, never to be relied on.

    Raises:
        BadGrant: it is no envelope.
    """
    return _payload(_envelope(envelope))


def kids_of(envelope: str) -> frozenset[str]:
    """Whose signatures an envelope says it has: to be shown, never to be relied on.

    Raises:
        BadGrant: it is no envelope.
    """
    headers = [_header(m["protected"]) for m in _envelope(envelope)["signatures"]]
    return frozenset(str(h.get("kid")) for h in headers)


def _typ(kind: str) -> str:
    return f"voicesvc-{kind}+jws"
