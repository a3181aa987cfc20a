"""The list of takes that are to be made or measured, and the processes that do it."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from voicesvc.store.changes import progress, tell
from voicesvc.store.objects import By, StoredTake
from voicesvc.store.tables import instances, takes
from voicesvc.store.takes import Ending, close, get

_MOST_BEGUN = 3
_ENDED = "the service ended while it was made"


def claim(
    connection: Connection, instance: str, by: By, later: Collection[str] = ()
) -> StoredTake | None:
    """Take the next one off the list of those to be made; None if there is none.

    Those of the actors `later` are left on it.
    """
    found = connection.execute(
        select(takes)
        .where(takes.c.state == "queued", takes.c.deleted_ms.is_(None))
        .where(takes.c.actor.not_in(later))
        .order_by(takes.c.seq)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if found is None:
        return None
    facts = found.facts | {"begun": found.facts.get("begun", 0) + 1}
    values = {"state": "open", "instance": instance, "facts": facts}
    progress(connection, takes, found.id, values)
    claimed = get(connection, found.id)
    tell(connection, by, "take", "updated", claimed, {"state": "open"})
    return claimed


def note(
    connection: Connection, id: str, seed: int, facts: Mapping[str, Any], by: By
) -> StoredTake:
    """Note what was found out before a take is made, and the seed that it is made with.

    Raises:
        UnknownTake: there is none.
    """
    known = get(connection, id)
    progress(connection, takes, id, {"seed": seed, "facts": {**known.facts, **facts}})
    now = get(connection, id)
    tell(connection, by, "take", "updated", now, {"state": now.state})
    return now


def requeue(connection: Connection, id: str, by: By) -> StoredTake:
    """Put a take back on the list of those to be made."""
    progress(connection, takes, id, {"state": "queued", "instance": None, "closed_ms": None})
    back = get(connection, id)
    tell(connection, by, "take", "updated", back, {"state": "queued"})
    return back


def defer(connection: Connection, id: str, by: By) -> StoredTake:
    """Put a take back as if it had not been begun: nothing of it was made."""
    facts = get(connection, id).facts
    progress(connection, takes, id, {"facts": facts | {"begun": facts.get("begun", 1) - 1}})
    return requeue(connection, id, by)


def alive(connection: Connection, instance: str, now_ms: int) -> None:
    """Note that a process is at work."""
    connection.execute(delete(instances).where(instances.c.id == instance))
    connection.execute(insert(instances).values(id=instance, seen_ms=now_ms))


def abandoned(connection: Connection, silent_since_ms: int, by: By) -> int:
    """End the takes of processes that have not been heard of since; gives how many.

    One that was queued is begun again, unless it was often enough: it may be what ended them.
    """
    living = select(instances.c.id).where(instances.c.seen_ms >= silent_since_ms)
    lost = connection.execute(
        select(takes.c.id).where(
            takes.c.state == "open", func.coalesce(takes.c.instance, "").not_in(living)
        )
    ).scalars()
    ids = lost.all()
    for id in ids:
        if 0 < get(connection, id).facts.get("begun", 0) < _MOST_BEGUN:
            requeue(connection, id, by)
        else:
            close(connection, id, Ending("failed", {"reason": _ENDED}), by)
    return len(ids)


def unmeasured(connection: Connection, limit: int) -> list[str]:
    """Complete takes that nothing has been measured of yet, the oldest first."""
    return list(
        connection.execute(
            select(takes.c.id)
            .where(takes.c.state == "complete", takes.c.measured.is_(None))
            .where(takes.c.deleted_ms.is_(None))
            .order_by(takes.c.seq)
            .limit(limit)
        ).scalars()
    )
