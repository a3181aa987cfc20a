"""The ledger's rows: added in the transaction of what they tell of, and proved."""

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from joserfc.jwk import OKPKey
from sqlalchemy import Connection, delete, insert, select, text

from voicesvc.errors import InvalidRequest, UnknownEntry
from voicesvc.rights import merkle
from voicesvc.rights.ledger import SALT_BYTES, Entry, Head, Row, parts, row, signed_head
from voicesvc.store.objects import By
from voicesvc.store.tables import ledger, papers, salts, tree_heads

_LOCK = 7_305_332  # any number but the migrations', the same in every process
_PAGE = 1000
_COLUMNS = tuple(ledger.c[name] for name in Row.__slots__)


def add(connection: Connection, entry: Entry, by: By, paper: str | None = None) -> int:
    """Put an entry at the end; gives its number. `paper` is kept beside it, as it was signed."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    salt = secrets.token_bytes(SALT_BYTES) if entry.secrets else b""
    made = row(entry, by.now_ms, salt, _last(connection))
    values = {name: getattr(made, name) for name in Row.__slots__}
    connection.execute(insert(ledger), values)
    if entry.secrets:
        connection.execute(insert(salts), {"seq": made.seq, "salt": salt})
    if paper is not None:
        connection.execute(insert(papers).values(seq=made.seq, content=paper))
    return made.seq


def _last(connection: Connection) -> Row | None:
    found = connection.execute(select(*_COLUMNS).order_by(ledger.c.seq.desc()).limit(1)).first()
    return None if found is None else Row(*found)


def size(connection: Connection) -> int:
    """How many entries there are."""
    last = _last(connection)
    return 0 if last is None else last.seq + 1


def newest_ms(connection: Connection) -> int:
    """When the newest entry was made; 0 where there is none."""
    last = _last(connection)
    return 0 if last is None else last.at_ms


def get(connection: Connection, seq: int) -> Row:
    """One entry.

    Raises:
        UnknownEntry: there is none.
    """
    found = connection.execute(select(*_COLUMNS).where(ledger.c.seq == seq)).first()
    if found is None:
        raise UnknownEntry(f"no entry {seq}", where="seq", valid="an entry of GET /v1/ledger")
    return Row(*found)


def find(
    connection: Connection,
    after: int = -1,
    limit: int = _PAGE,
    *,
    grant: str | None = None,
    subject: str | None = None,
    kinds: Sequence[str] = (),
) -> list[Row]:
    """Entries that come after number `after`, in order."""
    query = select(*_COLUMNS).where(ledger.c.seq > after)
    if grant is not None:
        query = query.where(ledger.c.grant == grant)
    if subject is not None:
        query = query.where(ledger.c.subject == subject)
    if kinds:
        query = query.where(ledger.c.kind.in_(kinds))
    return [Row(*r) for r in connection.execute(query.order_by(ledger.c.seq).limit(limit))]


def all_rows(connection: Connection) -> Iterator[Row]:
    """Every entry, in order."""
    after = -1
    while page := find(connection, after):
        yield from page
        after = page[-1].seq


def papers_after(
    connection: Connection, after: int, kinds: Sequence[str]
) -> list[tuple[Row, str | None]]:
    """Entries of some kinds after number `after` with their papers; None where one is missing."""
    query = select(*_COLUMNS, papers.c.content).select_from(ledger.outerjoin(papers))
    query = query.where(ledger.c.seq > after, ledger.c.kind.in_(kinds)).order_by(ledger.c.seq)
    return [(Row(*r[:-1]), r[-1]) for r in connection.execute(query)]


def salt(connection: Connection, seq: int) -> bytes | None:
    """What an entry's secrets are hashed with; None once it is erased."""
    found: bytes | None = connection.scalar(select(salts.c.salt).where(salts.c.seq == seq))
    return found


def erase(connection: Connection, seq: int, by: By) -> None:
    """Erase the salt of an entry: nobody can tell any more what was said there.

    Raises:
        UnknownEntry: there is none, or it has no salt.
    """
    if connection.execute(delete(salts).where(salts.c.seq == seq)).rowcount != 1:
        raise UnknownEntry(f"entry {seq} has no salt", where="seq")
    add(connection, Entry("erased", str(seq)), by)


def node(connection: Connection) -> merkle.Node:
    """The hashes of complete subtrees, as they are kept in the row of their last leaf."""
    known: dict[int, tuple[bytes, ...]] = {}

    def found(level: int, i: int) -> bytes:
        last = ((i + 1) << level) - 1
        if last not in known:
            known[last] = parts(get(connection, last).nodes)
        return known[last][level]

    return found


def head(connection: Connection, key: OKPKey, now_ms: int) -> Head:
    """The newest head, signed and kept. Writes, where entries came since the last was signed."""
    last = _last(connection)
    n = 0 if last is None else last.seq + 1
    kept = connection.execute(select(tree_heads).where(tree_heads.c.size == n)).first()
    if kept is not None:
        return Head(kept.size, kept.root, kept.at_ms, kept.signed)
    made = signed_head(n, merkle.root_of(() if last is None else parts(last.peaks)), now_ms, key)
    connection.execute(
        insert(tree_heads).values(size=n, at_ms=now_ms, root=made.root, signed=made.signed)
    )
    return made


def heads(connection: Connection) -> list[Head]:
    """Every head that was signed."""
    rows = connection.execute(select(tree_heads).order_by(tree_heads.c.size))
    return [Head(r.size, r.root, r.at_ms, r.signed) for r in rows]


def signed(connection: Connection, n: int) -> Head:
    """The head that was signed for `n` entries.

    Raises:
        UnknownEntry: none was.
    """
    kept = connection.execute(select(tree_heads).where(tree_heads.c.size == n)).first()
    if kept is None:
        newest = select(tree_heads.c.size).order_by(tree_heads.c.size.desc()).limit(10)
        valid = list(connection.execute(newest).scalars())
        raise UnknownEntry(f"no head was signed for {n} entries", where="old", valid=valid)
    return Head(kept.size, kept.root, kept.at_ms, kept.signed)


def inclusion(connection: Connection, seq: int, size: int) -> list[bytes]:
    """The path from an entry to the root of the first `size` entries.

    Raises:
        InvalidRequest: it is not among them, or there are not so many.
    """
    _check(connection, seq + 1, size)
    return merkle.inclusion(seq, size, node(connection))


def consistency(connection: Connection, old: int, size: int) -> list[bytes]:
    """That the first `size` entries begin with the first `old`.

    Raises:
        InvalidRequest: there are not so many.
    """
    _check(connection, old, size)
    return merkle.consistency(old, size, node(connection))


def _check(connection: Connection, least: int, size: int) -> None:
    last: Any = _last(connection)
    have = 0 if last is None else last.seq + 1
    if not 1 <= least <= size <= have:
        raise InvalidRequest(f"size {size}", where="size", valid=f"{max(least, 1)} to {have}")
