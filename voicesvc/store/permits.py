"""What the door keeps and asks: papers with their entries, and what was made under a grant."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, func, select

from voicesvc.rights import canonical
from voicesvc.rights.ledger import Entry, Row
from voicesvc.rights.register import PAPERS
from voicesvc.rights.standing import Used
from voicesvc.store import ledger as rows
from voicesvc.store import tables
from voicesvc.store.objects import By
from voicesvc.store.tables import lines, productions

_USES = ("permit", "made", "ended")


@dataclass(frozen=True, slots=True)
class Where:
    """The production that something is for, and who says it in the story."""

    id: str
    slug: str
    character: str | None = None


def state(connection: Connection) -> tuple[int, int]:
    """The entry of the newest paper, -1 where there is none; and when the newest entry was made."""
    newest = connection.scalar(select(func.max(tables.papers.c.seq)))
    return -1 if newest is None else newest, rows.newest_ms(connection)


def papers(connection: Connection) -> list[tuple[Row, str | None]]:
    """Every paper with its entry, in order; None where a paper is missing."""
    return rows.papers_after(connection, -1, PAPERS)


@dataclass(frozen=True, slots=True)
class Paper:
    """A grant, a notice, an approval, a script or a key, as it was signed."""

    kind: str
    subject: str
    content: str
    facts: Mapping[str, Any]  # that the ledger says of it


def add_paper(connection: Connection, paper: Paper, by: By) -> int:
    """Enter a paper; gives the number of its entry."""
    grant = paper.subject if paper.kind in ("grant", "approval", "notice") else None
    facts = {**paper.facts, "sha256": canonical.sha256(paper.content.encode())}
    entry = Entry(paper.kind, paper.subject, facts, _who(by), grant)
    return rows.add(connection, entry, by, paper.content)


def note(connection: Connection, entry: Entry, by: By) -> int:
    """Enter something that happened, with who did it as a secret."""
    whole = replace(entry, secrets={**entry.secrets, **_who(by)})
    return rows.add(connection, whole, by)


def _who(by: By) -> dict[str, str]:
    return {} if by.who is None else {"who": by.who}


def where(connection: Connection, production: str | None, line: str | None) -> Where | None:
    """The production of a line, or the one that is named by id or slug; None where neither is."""
    if line is not None:
        query = select(productions.c.id, productions.c.slug, lines.c.character)
        query = query.join(lines, lines.c.production == productions.c.id).where(lines.c.id == line)
        of = connection.execute(query).first()
        return None if of is None else Where(of.id, of.slug, of.character or None)
    named = (productions.c.id == production) | (productions.c.slug == production)
    found = connection.execute(select(productions.c.id, productions.c.slug).where(named)).first()
    return None if found is None else Where(found.id, found.slug)


def used(connection: Connection, grant: str, after: int, before: Used) -> tuple[int, Used]:
    """What was made under a grant up to now, from entries after number `after` on."""
    seconds, takes, known = before.seconds, before.takes, set(before.lines)
    while page := rows.find(connection, after, grant=grant, kinds=_USES):
        for row in page:
            said = json.loads(row.body)
            if row.kind == "permit":
                takes += 1
                known.add(said.get("line") or row.subject)
            elif row.kind == "made":
                seconds += said["samples"] / said["sample_rate_hz"]
            else:
                seconds += float(said.get("spoken_s", 0.0))
        after = page[-1].seq
    return after, Used(seconds, takes, frozenset(known))
