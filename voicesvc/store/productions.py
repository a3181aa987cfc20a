"""Productions: a film, a series, a game."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select
from sqlalchemy.exc import IntegrityError

from voicesvc.errors import InvalidRequest, NotEmpty, UnknownProduction
from voicesvc.store.changes import Cut, Page, as_seen, change, created, edited, paged, tell
from voicesvc.store.objects import By, Production, row_as
from voicesvc.store.tables import lines, productions, takes
from voicesvc.store.within import ALL, Within, in_productions

EDITABLE = ("title", "slug", "fps", "notes")


def add(connection: Connection, id: str, given: Mapping[str, Any], by: By) -> Production:
    """Make one.

    Raises:
        InvalidRequest: another production has the slug.
    """
    try:
        with connection.begin_nested():
            connection.execute(insert(productions).values(id=id, **given, **created(by)))
    except IntegrityError as e:
        raise _taken(given["slug"]) from e
    made = get(connection, id)
    tell(connection, by, "production", "created", made)
    return made


def get(connection: Connection, id: str, within: Within = ALL) -> Production:
    """One of them, by id or by slug.

    Raises:
        UnknownProduction: there is none, or it was deleted.
    """
    named = (productions.c.id == id) | (productions.c.slug == id)
    row = connection.execute(
        select(productions).where(
            named, productions.c.deleted_ms.is_(None), *in_productions(within)
        )
    ).first()
    if row is None:
        raise UnknownProduction(f"no production {id!r}", where="production")
    return _with_counts(connection, [row])[0]


def find(connection: Connection, cut: Cut, within: Within = ALL) -> Page[Production]:
    """All of them, the oldest first."""
    rows = connection.execute(
        select(productions)
        .where(productions.c.deleted_ms.is_(None), productions.c.seq > (cut.cursor or 0))
        .where(*in_productions(within))
        .order_by(productions.c.seq)
        .limit(cut.limit + 1)
    ).all()
    page = paged(rows, cut.limit)
    return Page(_with_counts(connection, page.items), page.next)


def edit(
    connection: Connection, id: str, expected: int, given: Mapping[str, Any], by: By
) -> Production:
    """Change some of its fields.

    Raises:
        ChangedMeanwhile: it is not the version that was seen.
        InvalidRequest: another production has the slug.
        UnknownProduction: there is none.
    """
    found = get(connection, id)
    if not given:
        return as_seen(found, expected)
    try:
        with connection.begin_nested():
            change(connection, productions, found.id, expected, {**given, **edited(by)})
    except IntegrityError as e:
        raise _taken(given["slug"]) from e
    now = get(connection, found.id)
    tell(connection, by, "production", "updated", now)
    return now


def delete(connection: Connection, id: str, expected: int, by: By) -> None:
    """Take it off the list.

    Raises:
        ChangedMeanwhile: it is not the version that was seen.
        NotEmpty: it has lines.
        UnknownProduction: there is none.
    """
    found = get(connection, id)
    if found.lines:
        raise NotEmpty(f"{found.title!r} has {found.lines} lines", where="production")
    change(connection, productions, found.id, expected, {"deleted_ms": by.now_ms, **edited(by)})
    tell(connection, by, "production", "deleted", found)


def _taken(slug: str) -> InvalidRequest:
    return InvalidRequest(f"there is a production {slug!r}", where="slug", valid="another name")


def _with_counts(connection: Connection, rows: Sequence[Row[Any]]) -> list[Production]:
    ids = [row.id for row in rows]

    def counted(table: Any) -> dict[str, int]:
        return {
            row[0]: row[1]
            for row in connection.execute(
                select(table.c.production, func.count())
                .where(table.c.production.in_(ids), table.c.deleted_ms.is_(None))
                .group_by(table.c.production)
            )
        }

    n_lines, n_takes = counted(lines), counted(takes)
    return [
        row_as(Production, r._mapping, lines=n_lines.get(r.id, 0), takes=n_takes.get(r.id, 0))
        for r in rows
    ]
