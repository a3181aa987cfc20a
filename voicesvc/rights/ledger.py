"""The ledger: what was made, refused, circled, exported, deleted, granted and withdrawn, in order.

An entry is canonical JSON; the entries are the leaves of a Merkle tree, whose head is signed. What
people said is in an entry as a salted hash alone: once its salt is erased nobody can tell what it
was, and the tree stays as it is. Knows nothing of where entries are kept.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from joserfc.jwk import OKPKey

from voicesvc.errors import LedgerBroken
from voicesvc.rights import canonical, keys, merkle
from voicesvc.rights.signed import opened, sign

SALT_BYTES = 16
KINDS = {
    "permit": "a grant covered a use, and a take was opened or queued",
    "made": "a take was completed",
    "ended": "a take ended without being complete",
    "refused": "no grant covered a use",
    "circled": "a take was chosen",
    "uncircled": "it no longer is",
    "heard": "a take was fetched again, to be heard",
    "downloaded": "a take was fetched as a file to be kept",
    "exported": "a take left in an export",
    "deleted": "a take was deleted",
    "restored": "it was brought back",
    "purged": "the audio of a deleted take was removed",
    "grant": "a grant, or a new version of one, was imported",
    "notice": "a grant was revoked, suspended or resumed",
    "approval": "lines were approved",
    "script": "a script was imported",
    "trust": "a signer's key was trusted, or no longer is",
    "model": "a voice was brought onto a device",
    "withdrawn": "the last grant of an actor was revoked, and the voice let go of for good",
    "key": "an API key was made, rotated or revoked",
    "denied": "who asked was not let in: why, and how often since when",
    "erased": "the salt of an entry was erased",
    "before": "the takes that were here before there was a ledger",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened. `facts` are for everybody who reads the ledger, `secrets` are not.

    `subject` is the id of the take, grant, actor or key that it happened to.
    """

    kind: str
    subject: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)  # texts and names of people
    grant: str | None = None


def body(entry: Entry, seq: int, at_ms: int, salt: bytes) -> bytes:
    """The bytes of an entry. `salt` is of `SALT_BYTES`, and not used where there is no secret."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    hashed = {
        f"{name}_sha256": secret_sha256(salt, name, value) for name, value in entry.secrets.items()
    }
    said = {
        **entry.facts,
        **hashed,
        "at": at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z",
        "kind": entry.kind,
        "seq": seq,
        "subject": entry.subject,
        **({} if entry.grant is None else {"grant": entry.grant}),
    }
    return canonical.dumps({name: value for name, value in said.items() if value is not None})


def secret_sha256(salt: bytes, name: str, value: str) -> str:
    """The hash of a secret: HMAC-SHA256 under the entry's salt, of its name and its text."""
    content = f"{name}\0{value}".encode("utf-8", "replace")
    return hmac.new(salt, content, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """A tree's head: how many entries there are, and the root over them; `signed` is its JWS."""

    size: int
    root: bytes
    at_ms: int
    signed: str = ""

    def json(self) -> dict[str, Any]:
        """As HTTP answers it."""
        return {
            "size": self.size,
            "root": self.root.hex(),
            "at_ms": self.at_ms,
            "signed": json.loads(self.signed),
        }


def signed_head(size: int, root: bytes, at_ms: int, key: OKPKey) -> Head:
    """A head, signed by the service's key."""
    said = {"type": "voicesvc-head", "size": size, "root": root.hex(), "at_ms": at_ms}
    return Head(size, root, at_ms, sign(canonical.dumps(said), "head", (key,)))


def read_head(envelope: str, key: OKPKey) -> Head:
    """A head that the service's key signed.

    Raises:
        BadGrant: it is none, or signed by another key.
        LedgerBroken: the signature is missing.
    """
    signed = opened(envelope, "head", {keys.kid(key): key})
    if not signed.kids:
        raise LedgerBroken("the head is not signed by this ledger's key", where="head")
    said = canonical.loads(signed.payload)
    return Head(said["size"], bytes.fromhex(said["root"]), said["at_ms"], envelope)


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as it is kept, with what it completes in the tree and the tree's peaks with it."""

    seq: int
    at_ms: int
    kind: str
    subject: str
    grant: str | None
    body: bytes
    nodes: bytes
    peaks: bytes


def row(entry: Entry, at_ms: int, salt: bytes, before: Row | None) -> Row:
    """The row of an entry that comes after another."""
    seq = 0 if before is None else before.seq + 1
    content = body(entry, seq, at_ms, salt)
    peaks = () if before is None else parts(before.peaks)
    completed, after = merkle.grown(seq, peaks, merkle.leaf(content))
    kept = (entry.kind, entry.subject, entry.grant)
    return Row(seq, at_ms, *kept, content, b"".join(completed), b"".join(after))


def parts(hashes: bytes) -> tuple[bytes, ...]:
    """Hashes that are kept one after another."""
    n = merkle.HASH_BYTES
    return tuple(hashes[i : i + n] for i in range(0, len(hashes), n))


def verify(rows: Iterable[Row], heads: Iterable[Head]) -> Head:
    """Go through all entries in order; gives the head that they have, not signed.

    Raises:
        LedgerBroken: an entry was changed, removed or put in, or is not what a head was signed for.
    """
    known = {head.size: head for head in heads if head.size}
    before: Row | None = None
    for row in rows:
        seq = 0 if before is None else before.seq + 1
        peaks = () if before is None else parts(before.peaks)
        completed, after = merkle.grown(seq, peaks, merkle.leaf(row.body))
        said = json.loads(row.body)
        whole = (seq, row.kind, row.subject, row.grant)
        if (said.get("seq"), said.get("kind"), said.get("subject"), said.get("grant")) != whole:
            raise LedgerBroken(f"entry {seq} is not what its row says", where=f"entry {seq}")
        if row.seq != seq or (row.nodes, row.peaks) != (b"".join(completed), b"".join(after)):
            raise LedgerBroken(f"entry {seq} does not fit the tree", where=f"entry {seq}")
        head = known.pop(seq + 1, None)
        if head is not None and head.root != merkle.root_of(after):
            raise LedgerBroken(
                f"the first {seq + 1} entries are not those that a head was signed for",
                where=f"head {seq + 1}",
            )
        before = row
    if known:
        largest = max(known)
        have = 0 if before is None else before.seq + 1
        raise LedgerBroken(
            f"a head was signed for {largest} entries, {have} are here", where=f"head {largest}"
        )
    if before is None:
        return Head(0, merkle.root_of(()), 0)
    return Head(before.seq + 1, merkle.root_of(parts(before.peaks)), before.at_ms)
