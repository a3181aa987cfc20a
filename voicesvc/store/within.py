"""What of the store is within somebody's reach: some productions and some actors, or all.

What is out of reach is as if it were not there: it is not found, and no list has it.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select

from voicesvc.store.tables import events, lines, productions, takes


@dataclass(frozen=True, slots=True)
class Within:
    """None is all of them; `unnamed`: whether takes of no production are among these."""

    actors: frozenset[str] | None = None
    productions: frozenset[str] | None = None  # slugs, or ids
    unnamed: bool = True


ALL = Within()
Conditions = list[ColumnElement[bool]]


def in_productions(within: Within) -> Conditions:
    """Of rows of `productions`."""
    if within.productions is None:
        return []
    names = sorted(within.productions)
    return [or_(productions.c.slug.in_(names), productions.c.id.in_(names))]


def in_lines(within: Within) -> Conditions:
    """Of rows of `lines`."""
    return _of(lines, within, unnamed=False)


def in_takes(within: Within) -> Conditions:
    """Of rows of `takes`."""
    return _of(takes, within, unnamed=within.unnamed)


def in_events(within: Within) -> Conditions:
    """Of rows of `events`: by the production, and by the actor of what it happened to."""
    found: Conditions = []
    if within.productions is not None:
        found.append(_production(events.c.production, within, unnamed=within.unnamed))
    if within.actors is not None:
        actors = sorted(within.actors)
        of = [
            and_(
                events.c.kind == kind,
                select(table.c.id)
                .where(table.c.id == events.c.subject, table.c.actor.in_(actors))
                .exists(),
            )
            for kind, table in (("line", lines), ("take", takes))
        ]
        found.append(or_(events.c.kind == "production", *of))
    return found


def _of(table: Any, within: Within, *, unnamed: bool) -> Conditions:
    found: Conditions = []
    if within.actors is not None:
        found.append(table.c.actor.in_(sorted(within.actors)))
    if within.productions is not None:
        found.append(_production(table.c.production, within, unnamed=unnamed))
    return found


def _production(column: Any, within: Within, *, unnamed: bool) -> ColumnElement[bool]:
    inside: ColumnElement[bool] = column.in_(
        select(productions.c.id).where(*in_productions(within))
    )
    return or_(inside, column.is_(None)) if unnamed else inside
