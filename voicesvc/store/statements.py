"""What a statement is made of: a grant's entries in the ledger, its versions, and the proofs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from joserfc.jwk import OKPKey
from sqlalchemy import Connection, select

from voicesvc.errors import LedgerBroken, UnknownGrant
from voicesvc.rights import canonical, grant, keys, merkle
from voicesvc.rights import statement as statements
from voicesvc.rights.ledger import Row
from voicesvc.rights.period import Period
from voicesvc.rights.signed import payload_of
from voicesvc.rights.statement import Use, Version, seconds_of
from voicesvc.rights.statement_forms import Statement
from voicesvc.store import ledger as rows
from voicesvc.store.database import Database
from voicesvc.store.tables import ledger, papers

_KINDS = ("permit", "made", "ended", "notice")


@dataclass(frozen=True, slots=True)
class Account:
    """What there is in the first `size` entries about a grant."""

    size: int
    versions: Sequence[Version]
    uses: Sequence[Use]
    revoked_ms: int | None
    revoked: int | None  # the entry that it was revoked by
    erased: frozenset[int]  # entries whose salt was erased


def account(connection: Connection, id: str, size: int) -> Account:
    """Everything about a grant in the first `size` entries.

    Raises:
        LedgerBroken: a version is not the one that was entered.
        UnknownGrant: there is no such grant.
    """
    versions = _versions(connection, id, size)
    if not versions:
        raise UnknownGrant(f"no grant {id!r}", where="grant", valid="a grant of GET /v1/grants")
    hashes = {v.grant.version: v.grant.sha256 for v in versions}
    permits: dict[str, dict[str, object]] = {}
    roots: dict[str, str] = {}
    uses: list[Use] = []
    revoked: Row | None = None
    for row in _every(connection, id, size):
        said = json.loads(row.body)
        if row.kind == "permit":
            if hashes.get(said["version"]) != said["grant_sha256"]:
                detail = f"entry {row.seq} is under a version of {id} that is not here"
                raise LedgerBroken(detail, where=f"entry {row.seq}")
            permits[row.subject] = said
            parent = str(said.get("parent") or row.subject)
            roots[row.subject] = roots.get(parent, parent)
        elif row.kind == "notice":
            revoked = row if revoked is None and said["action"] == "revoke" else revoked
        elif row.subject in permits:
            uses.append(_use(row, said, permits[row.subject], roots[row.subject]))
    erased = (r.subject for r in _page_all(connection, size, kinds=("erased",)))
    return Account(
        size,
        versions,
        uses,
        None if revoked is None else revoked.at_ms,
        None if revoked is None else revoked.seq,
        frozenset(int(s) for s in erased),
    )


def _every(connection: Connection, id: str, size: int) -> Iterable[Row]:
    return _page_all(connection, size, grant=id, kinds=_KINDS)


def _page_all(
    connection: Connection, size: int, *, kinds: Sequence[str], grant: str | None = None
) -> Iterable[Row]:
    after = -1
    while page := rows.find(connection, after, grant=grant, kinds=kinds):
        yield from (row for row in page if row.seq < size)
        after = page[-1].seq


def _use(row: Row, said: dict[str, object], permit: dict[str, object], root: str) -> Use:
    complete = row.kind == "made"
    if complete:
        seconds = seconds_of(int(str(said["samples"])), int(str(said["sample_rate_hz"])))
    else:
        seconds = Decimal(str(said.get("spoken_s") or 0))
    line = permit.get("line")
    return Use(
        seq=row.seq,
        permit=int(str(permit["seq"])),
        at_ms=row.at_ms,
        version=int(str(permit["version"])),
        take=row.subject,
        line=None if line is None else str(line),
        root=root,
        production=str(permit["production"]),
        made_by=str(permit["made_by"]),
        seconds=seconds,
        complete=complete,
    )


def _versions(connection: Connection, id: str, size: int) -> list[Version]:
    query = select(ledger.c.seq, ledger.c.at_ms, ledger.c.body, papers.c.content)
    query = query.select_from(ledger.outerjoin(papers)).where(
        ledger.c.grant == id, ledger.c.kind == "grant", ledger.c.seq < size
    )
    found = []
    for seq, at_ms, body, content in connection.execute(query.order_by(ledger.c.seq)):
        if content is None or json.loads(body)["sha256"] != canonical.sha256(content.encode()):
            raise LedgerBroken(
                f"the paper of entry {seq} is not the one that was entered", where=f"entry {seq}"
            )
        found.append(Version(grant.read(payload_of(content)), seq, at_ms))
    return found


def proofs(connection: Connection, seqs: Iterable[int], size: int) -> list[dict[str, object]]:
    """Entries, each with its path to the root over the first `size`."""
    node = rows.node(connection)
    found: list[dict[str, object]] = []
    for seq in sorted(set(seqs)):
        path = [h.hex() for h in merkle.inclusion(seq, size, node)]
        found.append({"seq": seq, "body": rows.get(connection, seq).body.decode(), "path": path})
    return found


def statement(database: Database, id: str, period: Period, key: OKPKey, now_ms: int) -> Statement:
    """What is owed under a grant for a period, with the proofs of all that it rests on.

    `key` is the service's own, that signs the head; `now_ms` UTC milliseconds since 1970.

    Raises:
        LedgerBroken: a version is not the one that was entered.
        UnknownGrant: there is no such grant.
    """
    head = database.write(lambda c: rows.head(c, key, now_ms))
    found = database.read(lambda c: account(c, id, head.size))
    every = statements.items(found.versions, found.uses, found.revoked_ms, now_ms)
    items = statements.within(every, period)
    seqs = {v.seq for v in found.versions} | {x.entry for x in items if x.entry is not None}
    seqs |= {x.use.permit for x in items if x.use is not None}
    seqs |= set() if found.revoked is None else {found.revoked}
    return Statement(
        grant=found.versions[-1].grant,
        period=period,
        made_ms=now_ms,
        items=items,
        erased=found.erased,
        head=head.json() | {"key": keys.public(key)},
        proofs=database.read(lambda c: proofs(c, seqs, head.size)),
    )
