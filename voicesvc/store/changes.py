"""What all tables share: changes under optimistic concurrency, pages of lists, and the record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection, Table, insert, select, update

from voicesvc.errors import ChangedMeanwhile
from voicesvc.store.objects import By
from voicesvc.store.tables import events

T = TypeVar("T")


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


V = TypeVar("V", bound=_Versioned)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list; `next` is where the rest begins, None at its end."""

    items: Sequence[T]
    next: int | None


@dataclass(frozen=True, slots=True)
class Cut:
    """Which part of a list: what follows the cursor, `limit` of it."""

    cursor: int | None = None
    limit: int = 100


def paged(found: Sequence[Any], limit: int, cursor_of: str = "seq") -> Page[Any]:
    """A page of rows of which one more than `limit` was asked for."""
    items = found[:limit]
    return Page(items, getattr(items[-1], cursor_of) if len(found) > limit else None)


def change(
    connection: Connection, table: Table, id: str, expected: int | None, values: Mapping[str, Any]
) -> None:
    """Change a row for somebody, if it still has the version they saw; None takes any.

    Raises:
        ChangedMeanwhile: somebody changed it since.
    """
    where = table.c.id == id
    if expected is not None:
        where &= table.c.version == expected
    changed = connection.execute(
        update(table).where(where).values(version=table.c.version + 1, **values)
    )
    if changed.rowcount != 1:
        raise _meanwhile(
            expected, connection.scalar(select(table.c.version).where(table.c.id == id))
        )


def as_seen(found: V, expected: int) -> V:
    """A row that nothing is changed of, if it still has the version they saw.

    Raises:
        ChangedMeanwhile: somebody changed it since.
    """
    if found.version != expected:
        raise _meanwhile(expected, found.version)
    return found


def _meanwhile(expected: int | None, now: int | None) -> ChangedMeanwhile:
    return ChangedMeanwhile(
        f"version {expected} was seen, {now} is there now", where="If-Match", valid=[f'"{now}"']
    )


def progress(connection: Connection, table: Table, id: str, values: Mapping[str, Any]) -> None:
    """Note what the service itself did; what people see keeps its version, so nobody is refused."""
    connection.execute(update(table).where(table.c.id == id), values)


def tell(
    connection: Connection,
    by: By,
    kind: str,
    action: str,
    subject: Any,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Put an event on the record, in the same transaction as what it tells of."""
    line = subject.id if kind == "line" else getattr(subject, "line", None)
    production = subject.id if kind == "production" else subject.production
    event = {
        "at_ms": by.now_ms,
        "kind": kind,
        "subject": subject.id,
        "line": line,
        "production": production,
        "action": action,
        "version": subject.version,
        "who": by.who,
        "facts": dict(facts or {}),
    }
    connection.execute(insert(events), event)


def edited(by: By) -> dict[str, Any]:
    """Who changed it last, and when."""
    return {"updated_ms": by.now_ms, "updated_by": by.who}


def created(by: By) -> dict[str, Any]:
    """Who made it, and when."""
    return {"created_ms": by.now_ms, "created_by": by.who, **edited(by)}
