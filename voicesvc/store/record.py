"""What happened, in order; and answers that are given again to a request that is sent again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from voicesvc.errors import KeyInUse, KeyReused
from voicesvc.store.objects import Event, row_as
from voicesvc.store.tables import events, keys
from voicesvc.store.within import ALL, Within, in_events


def after(
    connection: Connection,
    seq: int,
    production: str | None = None,
    limit: int = 500,
    within: Within = ALL,
) -> list[Event]:
    """Events that came after number `seq`, in order."""
    query = select(events).where(events.c.seq > seq, *in_events(within))
    if production is not None:
        query = query.where(events.c.production == production)
    rows = connection.execute(query.order_by(events.c.seq).limit(limit))
    return [row_as(Event, r._mapping) for r in rows]


def last(connection: Connection) -> int:
    """The number of the newest event; 0 if nothing has happened."""
    return connection.scalar(select(func.max(events.c.seq))) or 0


@dataclass(frozen=True, slots=True)
class Key:
    """An Idempotency-Key, where it was sent to by whom, and the hash of what came with it."""

    key: str
    scope: str
    body_sha256: str


def once(
    connection: Connection, key: Key | None, now_ms: int, make: Callable[[], Any]
) -> tuple[Any, bool]:
    """What `make` gives, or gave when the key was first seen; and whether it was made before.

    Raises:
        KeyInUse: the first request is still being worked on.
        KeyReused: the key came with another body before.
    """
    if key is None:
        return make(), False
    known = connection.execute(select(keys).where(*_is(key))).first()
    if known is not None:
        if known.body_sha256 != key.body_sha256:
            raise KeyReused("the key came with another request before", where="Idempotency-Key")
        if known.answer is None:
            raise KeyInUse("the request is still being worked on", where="Idempotency-Key")
        return known.answer, True
    answer = make()
    connection.execute(
        insert(keys).values(
            key=key.key,
            scope=key.scope,
            body_sha256=key.body_sha256,
            answer=answer,
            at_ms=now_ms,
        )
    )
    return answer, False


def answered(connection: Connection, key: Key, answer: Any) -> None:
    """Put another answer in place of the one that a key has."""
    connection.execute(update(keys).where(*_is(key)).values(answer=answer))


def forget(connection: Connection, before_ms: int) -> None:
    """Drop keys that were first seen before a time."""
    connection.execute(delete(keys).where(keys.c.at_ms < before_ms))


def _is(key: Key) -> tuple[Any, Any]:
    return keys.c.key == key.key, keys.c.scope == key.scope
