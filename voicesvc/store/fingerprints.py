"""Fingerprints of takes: 32-bit words, little-endian, as `voicesvc.fingerprint` makes them.

A take is on the list of those that are to be had once it is complete, and its fingerprint is there
as long as its audio is.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select

from voicesvc.store.tables import fingerprints, unprinted

_PAGE = 5_000


def await_one(connection: Connection, take: str) -> None:
    """Put a take on the list of those whose fingerprint is to be made, in place of any before."""
    remove(connection, take)
    connection.execute(insert(unprinted).values(take=take))


def awaited(connection: Connection) -> str | None:
    """The take whose fingerprint is to be made next."""
    found: str | None = connection.scalar(
        select(unprinted.c.take).order_by(unprinted.c.seq).limit(1)
    )
    return found


def put(connection: Connection, take: str, words: bytes | None) -> None:
    """Keep a take's fingerprint, unless the take was removed meanwhile; None: it has none."""
    gone = connection.execute(delete(unprinted).where(unprinted.c.take == take))
    if gone.rowcount and words is not None:
        connection.execute(insert(fingerprints).values(take=take, words=words))


def remove(connection: Connection, take: str) -> None:
    """Remove a take's fingerprint, made or not."""
    for table in (fingerprints, unprinted):
        connection.execute(delete(table).where(table.c.take == take))


def count(connection: Connection) -> int:
    """How many there are."""
    return connection.scalar(select(func.count()).select_from(fingerprints)) or 0


def after(connection: Connection, seq: int) -> Sequence[tuple[int, str, bytes]]:
    """Some that were kept after number `seq`, in order: number, take, words."""
    f = fingerprints.c
    rows = connection.execute(
        select(f.seq, f.take, f.words).where(f.seq > seq).order_by(f.seq).limit(_PAGE)
    )
    return [(r.seq, r.take, r.words) for r in rows]
