"""Lines of a production's script, in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, insert, or_, select, update

from voicesvc.errors import NotEmpty, UnknownLine
from voicesvc.store import productions as production_rows
from voicesvc.store import search
from voicesvc.store.changes import Cut, Page, as_seen, change, created, edited, paged, tell
from voicesvc.store.objects import WAITING, By, Counts, ScriptLine, row_as
from voicesvc.store.tables import line_search, lines, productions, takes
from voicesvc.store.within import ALL, Within, in_lines

EDITABLE = (
    *("scene", "cue", "character", "actor", "text", "markup", "delivery", "lexicons"),
    *("timecode_in", "timecode_out", "notes"),
)
SEARCHED = ("text", "cue", "character", "notes")


@dataclass(frozen=True, slots=True)
class LineFilter:
    """Which lines; what is None does not matter."""

    production: str | None = None
    scene: str | None = None
    actor: str | None = None
    character: str | None = None
    status: str | None = None
    q: str | None = None


def add(
    connection: Connection, production: str, given: Sequence[tuple[str, Mapping[str, Any]]], by: By
) -> list[ScriptLine]:
    """Put lines, each an id and its fields, at the end of the script.

    Raises:
        UnknownProduction: there is none.
    """
    owner = production_rows.get(connection, production)
    last = connection.execute(
        update(productions)
        .where(productions.c.id == owner.id)
        .values(lines_made=productions.c.lines_made + len(given))
        .returning(productions.c.lines_made)
    ).scalar_one()
    first = last - len(given) + 1
    connection.execute(
        insert(lines),
        [
            {"id": id, "production": owner.id, "number": first + i, **values, **created(by)}
            for i, (id, values) in enumerate(given)
        ],
    )
    rows = connection.execute(
        select(lines)
        .where(lines.c.production == owner.id, lines.c.number >= first)
        .order_by(lines.c.number)
    ).all()
    made: list[ScriptLine] = [row_as(ScriptLine, r._mapping) for r in rows]
    search.add(connection, line_search, {line.seq: _searched(line) for line in made})
    for line in made:
        tell(connection, by, "line", "created", line)
    return made


def get(connection: Connection, id: str, within: Within = ALL) -> ScriptLine:
    """One of them.

    Raises:
        UnknownLine: there is none, or it was deleted.
    """
    row = connection.execute(
        select(lines).where(lines.c.id == id, lines.c.deleted_ms.is_(None), *in_lines(within))
    ).first()
    if row is None:
        raise UnknownLine(f"no line {id!r}", where="line")
    return _with_counts(connection, [row])[0]


def find(
    connection: Connection, which: LineFilter, cut: Cut, within: Within = ALL
) -> Page[ScriptLine]:
    """Lines in the order of the script.

    Raises:
        UnknownProduction: there is none of this name.
    """
    where: list[ColumnElement[bool]] = [lines.c.deleted_ms.is_(None), *in_lines(within)]
    order = lines.c.seq
    if which.production is not None:
        owner = production_rows.get(connection, which.production, within)
        where.append(lines.c.production == owner.id)
        order = lines.c.number
    for name in ("scene", "actor", "character"):
        if (wanted := getattr(which, name)) is not None:
            where.append(lines.c[name] == wanted)
    if which.q:
        where.append(search.found(connection, line_search, lines.c.seq, which.q))
    if which.status is not None:
        where.append(_has_status(which.status))
    if cut.cursor is not None:
        where.append(order > cut.cursor)
    rows = connection.execute(
        select(lines).where(*where).order_by(order).limit(cut.limit + 1)
    ).all()
    page = paged(rows, cut.limit, order.name)
    return Page(_with_counts(connection, page.items), page.next)


def timed(connection: Connection, production: str) -> list[ScriptLine]:
    """Those of a production's lines that have a timecode, in order."""
    has_one = or_(lines.c.timecode_in.is_not(None), lines.c.timecode_out.is_not(None))
    where = (lines.c.production == production, lines.c.deleted_ms.is_(None), has_one)
    rows = connection.execute(select(lines).where(*where).order_by(lines.c.number)).all()
    return [row_as(ScriptLine, r._mapping) for r in rows]


def edit(
    connection: Connection, id: str, expected: int, given: Mapping[str, Any], by: By
) -> ScriptLine:
    """Change some of its fields; the takes that were made stay as they are.

    Raises:
        ChangedMeanwhile: it is not the version that was seen.
        UnknownLine: there is none.
    """
    found = get(connection, id)
    if not given:
        return as_seen(found, expected)
    change(connection, lines, id, expected, {**given, **edited(by)})
    now = get(connection, id)
    if not given.keys().isdisjoint(SEARCHED):
        search.change(connection, line_search, now.seq, _searched(now))
    tell(connection, by, "line", "updated", now)
    return now


def delete(connection: Connection, id: str, expected: int, by: By) -> None:
    """Take it out of the script.

    Raises:
        ChangedMeanwhile: it is not the version that was seen.
        NotEmpty: it has takes.
        UnknownLine: there is none.
    """
    found = get(connection, id)
    if found.takes.total:
        raise NotEmpty(f"the line has {found.takes.total} takes", where="line")
    change(connection, lines, id, expected, {"deleted_ms": by.now_ms, **edited(by)})
    tell(connection, by, "line", "deleted", found)


def _searched(line: ScriptLine) -> list[str]:
    return [getattr(line, name) for name in SEARCHED]


def _with_counts(connection: Connection, rows: Sequence[Row[Any]]) -> list[ScriptLine]:
    def summed(condition: ColumnElement[bool]) -> Any:
        return func.sum(case((condition, 1), else_=0))

    counted = connection.execute(
        select(
            takes.c.line,
            func.count(),
            summed(takes.c.state == "complete"),
            summed(takes.c.circled),
            summed(takes.c.flagged),
            summed(takes.c.state.in_(WAITING)),
            func.max(case((takes.c.circled, takes.c.number), else_=None)),
        )
        .where(takes.c.line.in_([r.id for r in rows]), takes.c.deleted_ms.is_(None))
        .group_by(takes.c.line)
    ).all()
    counts = {row[0]: Counts(*(int(n) for n in row[1:6])) for row in counted}
    chosen = _circled(connection, {row[0]: row[6] for row in counted if row[6] is not None})
    return [
        row_as(
            ScriptLine,
            r._mapping,
            takes=counts.get(r.id, Counts()),
            circled_take=chosen.get(r.id),
        )
        for r in rows
    ]


def _circled(connection: Connection, numbers: Mapping[str, int]) -> dict[str, str]:
    """The id of a line's take of a number, for each line."""
    if not numbers:
        return {}
    rows = connection.execute(
        select(takes.c.line, takes.c.number, takes.c.id).where(
            takes.c.line.in_(numbers), takes.c.circled
        )
    )
    return {r.line: r.id for r in rows if numbers[r.line] == r.number}


def _has_status(status: str) -> ColumnElement[bool]:
    of_line = and_(takes.c.line == lines.c.id, takes.c.deleted_ms.is_(None))

    def any_take(condition: ColumnElement[bool]) -> ColumnElement[bool]:
        return select(takes.c.seq).where(of_line, condition).exists()

    circled, waiting = any_take(takes.c.circled), any_take(takes.c.state.in_(WAITING))
    complete = any_take(takes.c.state == "complete")
    return {
        "circled": circled,
        "making": and_(~circled, waiting),
        "takes": and_(~circled, ~waiting, complete),
        "empty": and_(~complete, ~circled, ~waiting),
    }[status]
