"""Takes: opened before their first sample leaves, closed when their audio is safe."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, cast, func, insert, select, update

from voicesvc.errors import NotEmpty, TakeGone, UnknownLine, UnknownTake, Unlicensed
from voicesvc.rights import Permit
from voicesvc.rights.ledger import Entry
from voicesvc.store import documents, fingerprints, ledger, search
from voicesvc.store.changes import (
    Cut,
    Page,
    as_seen,
    change,
    created,
    edited,
    paged,
    progress,
    tell,
)
from voicesvc.store.objects import By, State, StoredTake, row_as
from voicesvc.store.tables import lines, take_search, takes
from voicesvc.store.within import ALL, Within, in_takes

EDITABLE = ("circled", "rating", "note", "tags")
NO_LINE = "none"


@dataclass(frozen=True, slots=True)
class TakeFilter:
    """Which takes; what is None does not matter."""

    production: str | None = None
    line: str | None = None  # NO_LINE: those of none
    actor: str | None = None
    states: Sequence[str] | None = None
    circled: bool | None = None
    flagged: bool | None = None
    rating_min: int | None = None
    tag: str | None = None
    q: str | None = None
    parent: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class NewTake:
    """What is known of a take before it is made; what is None is not known yet."""

    id: str
    made_by: str
    state: State
    actor: str
    text: str
    seed: int
    model_sha256: str
    facts: Mapping[str, Any]
    permit: Permit
    production: str | None = None
    line: str | None = None
    parent: str | None = None
    instance: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a take ended, and what there is of it."""

    state: State
    facts: Mapping[str, Any] = field(default_factory=dict)  # added to those it was opened with
    seed: int | None = None
    text: str | None = None  # what is said, where it is not what was asked for at the beginning
    pcm_sha256: str | None = None
    plan_sha256: str | None = None
    sample_rate_hz: int | None = None
    samples: int | None = None
    compute_s: float | None = None
    documents: Mapping[str, bytes] = field(default_factory=dict)


def add(connection: Connection, new: Sequence[NewTake], by: By) -> list[StoredTake]:
    """Open takes, or put them on the list of those to be made; a line's takes are numbered.

    Raises:
        Unlicensed: the permit of one is for another voice or line.
        UnknownLine: one is for a line that is not there.
    """
    made = []
    for take in new:
        permit = _permitted(connection, take, by)
        number, production = None, take.production
        if take.line is not None:
            number, production = _next_number(connection, take.line)
        values = {name: getattr(take, name) for name in NewTake.__slots__}
        facts = {**take.facts, "grant": take.permit.grant}
        values |= {"production": production, "facts": facts, "number": number, "permit": permit}
        values |= {"flags": [], "tags": [], **created(by)}
        row = connection.execute(insert(takes).returning(takes), values).one()
        stored: StoredTake = row_as(StoredTake, row._mapping)
        search.add(connection, take_search, {stored.seq: (stored.text, stored.note)})
        tell(connection, by, "take", "created", stored, {"state": stored.state})
        made.append(stored)
    return made


def _permitted(connection: Connection, take: NewTake, by: By) -> int:
    """Enter what a take is opened by; gives the number of the entry."""
    permit, use = take.permit, take.permit.use
    mine = (take.actor, take.model_sha256, take.line)
    if (use.actor, use.model_sha256, use.line) != mine or use.kind != "speak":
        raise Unlicensed("the permit is for another voice, line or use", where="permit")
    facts = {
        "actor": take.actor,
        "model_sha256": take.model_sha256,
        "production": use.production,
        "line": take.line,
        "parent": take.parent,
        "version": permit.version,
        "grant_sha256": permit.sha256,
        "made_by": take.made_by,
        "characters": len(take.text),
    }
    entry = Entry("permit", take.id, facts, {"text": take.text, **_who(by)}, permit.grant)
    return ledger.add(connection, entry, by)


def _who(by: By) -> dict[str, str]:
    return {} if by.who is None else {"who": by.who}


def get(
    connection: Connection, id: str, *, deleted: bool = True, within: Within = ALL
) -> StoredTake:
    """One of them.

    Raises:
        TakeGone: it was deleted, and deleted ones are not wanted.
        UnknownTake: there is none.
    """
    row = connection.execute(select(takes).where(takes.c.id == id, *in_takes(within))).first()
    if row is None:
        raise UnknownTake(f"no take {id!r}", where="take", valid="an id of GET /v1/takes")
    found: StoredTake = row_as(StoredTake, row._mapping)
    if found.deleted_ms is not None and not deleted:
        raise TakeGone(f"take {id} was deleted", where="take", valid=f"POST /v1/takes/{id}/restore")
    return found


def find(
    connection: Connection, which: TakeFilter, cut: Cut, within: Within = ALL
) -> Page[StoredTake]:
    """Takes, the newest first; those of one line in the order of their numbers."""
    query = select(takes).where(*_conditions(connection, which), *in_takes(within))
    if which.line not in (None, NO_LINE):
        query = query.order_by(takes.c.seq)
        if cut.cursor is not None:
            query = query.where(takes.c.seq > cut.cursor)
    else:
        query = query.order_by(takes.c.seq.desc())
        if cut.cursor is not None:
            query = query.where(takes.c.seq < cut.cursor)
    rows = connection.execute(query.limit(cut.limit + 1)).all()
    page = paged(rows, cut.limit)
    return Page([row_as(StoredTake, r._mapping) for r in page.items], page.next)


def one_of_each(
    connection: Connection, production: str, circled: bool, within: Within = ALL
) -> list[StoredTake]:
    """A complete take for each actor, model and character of a production."""
    voice = (takes.c.actor, takes.c.model_sha256, lines.c.character)
    query = select(func.min(takes.c.id)).select_from(takes.join(lines, takes.c.line == lines.c.id))
    query = query.where(takes.c.production == production, takes.c.state == "complete")
    query = query.where(takes.c.deleted_ms.is_(None), lines.c.deleted_ms.is_(None))
    query = query.where(*in_takes(within))
    if circled:
        query = query.where(takes.c.circled)
    return [get(connection, id) for id in connection.execute(query.group_by(*voice)).scalars()]


def _conditions(connection: Connection, which: TakeFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [
        takes.c.deleted_ms.is_not(None) if which.deleted else takes.c.deleted_ms.is_(None)
    ]
    if which.line == NO_LINE:
        where.append(takes.c.line.is_(None))
    elif which.line is not None:
        where.append(takes.c.line == which.line)
    if which.states is not None:
        where.append(takes.c.state.in_(which.states))
    for name in ("production", "actor", "circled", "flagged", "parent"):
        if (wanted := getattr(which, name)) is not None:
            where.append(takes.c[name] == wanted)
    if which.rating_min is not None:
        where.append(takes.c.rating >= which.rating_min)
    if which.tag is not None:
        tag = json.dumps(which.tag)
        where.append(cast(takes.c.tags, String).contains(tag, autoescape=True))
    if which.q:
        where.append(search.found(connection, take_search, takes.c.seq, which.q))
    return where


def close(connection: Connection, id: str, ending: Ending, by: By) -> StoredTake:
    """Note how a take ended. Its audio is safe by now, or there is none.

    Raises:
        UnknownTake: there is none.
    """
    opened = get(connection, id)
    values: dict[str, Any] = {
        name: getattr(ending, name)
        for name in ("state", "pcm_sha256", "plan_sha256", "sample_rate_hz", "samples", "compute_s")
    }
    for name in ("seed", "text"):
        if (found := getattr(ending, name)) is not None:
            values[name] = found
    values |= {"facts": {**opened.facts, **ending.facts}, "closed_ms": by.now_ms, "instance": None}
    progress(connection, takes, id, values)
    documents.keep(connection, id, ending.documents)
    if ending.pcm_sha256 is not None:
        fingerprints.await_one(connection, id)
    closed = get(connection, id)
    if closed.text != opened.text:
        search.change(connection, take_search, closed.seq, (closed.text, closed.note))
    tell(connection, by, "take", "closed", closed, {"state": closed.state})
    _enter(connection, "made" if closed.state == "complete" else "ended", closed, by)
    return closed


def _enter(
    connection: Connection, kind: str, take: StoredTake, by: By, reason: str | None = None
) -> None:
    """Put what happened to a take into the ledger."""
    facts: dict[str, Any] = {"actor": take.actor, "production": take.production, "line": take.line}
    facts |= {"reason": reason}
    if kind == "made":
        made = ("model_sha256", "plan_sha256", "pcm_sha256", "sample_rate_hz", "samples")
        facts |= {name: getattr(take, name) for name in made}
    elif kind == "ended":
        facts |= {"state": take.state, "spoken_s": take.facts.get("spoken_s")}
    ledger.add(connection, Entry(kind, take.id, facts, _who(by), take.facts.get("grant")), by)


def measured(
    connection: Connection, id: str, found: Mapping[str, Any], flags: Iterable[str], by: By
) -> StoredTake:
    """Note what was measured of a take.

    Raises:
        UnknownTake: there is none.
    """
    raised = list(flags)
    values = {"measured": dict(found), "flags": raised, "flagged": bool(raised)}
    progress(connection, takes, id, values)
    now = get(connection, id)
    tell(connection, by, "take", "measured", now, {"flags": raised})
    return now


def damaged(connection: Connection, id: str, by: By) -> None:
    """Tell that a take's audio is lost or is no longer what it was. Raises UnknownTake."""
    tell(connection, by, "take", "damaged", get(connection, id))


def edit(
    connection: Connection, id: str, expected: int, given: Mapping[str, Any], by: By
) -> StoredTake:
    """Circle, rate, note or tag a take.

    Raises:
        ChangedMeanwhile: it is not the version that was seen.
        TakeGone: it was deleted.
        UnknownTake: there is none.
    """
    before = get(connection, id, deleted=False)
    if not given:
        return as_seen(before, expected)
    change(connection, takes, id, expected, {**given, **edited(by)})
    now = get(connection, id)
    if now.note != before.note:
        search.change(connection, take_search, now.seq, (now.text, now.note))
    tell(connection, by, "take", "updated", now, given)
    if now.circled != before.circled:
        _enter(connection, "circled" if now.circled else "uncircled", now, by)
    return now


def assign(connection: Connection, id: str, line: str, expected: int, by: By) -> StoredTake:
    """Give a take that belongs to no line to one; it gets the line's next number.

    Raises:
        ChangedMeanwhile: it is not the version that was seen.
        NotEmpty: it belongs to a line already.
        TakeGone, UnknownTake, UnknownLine: one of them is not there.
    """
    found = get(connection, id, deleted=False)
    if found.line is not None:
        raise NotEmpty(f"take {id} belongs to line {found.line}", where="line")
    number, production = _next_number(connection, line)
    owned = {"line": line, "production": production, "number": number}
    change(connection, takes, id, expected, {**owned, **edited(by)})
    now = get(connection, id)
    tell(connection, by, "take", "updated", now, {"line": line})
    return now


def _next_number(connection: Connection, line: str) -> tuple[int, str]:
    """The number of a line's next take, and the production."""
    row = connection.execute(
        update(lines)
        .where(lines.c.id == line, lines.c.deleted_ms.is_(None))
        .values(takes_made=lines.c.takes_made + 1)
        .returning(lines.c.takes_made, lines.c.production)
    ).first()
    if row is None:
        raise UnknownLine(f"no line {line!r}", where="line")
    return row.takes_made, row.production


def delete(connection: Connection, id: str, expected: int, by: By) -> StoredTake:
    """Delete a take: it can be restored until its audio is removed; the record stays.

    Raises:
        ChangedMeanwhile: it is not the version that was seen.
        TakeGone: it was deleted before.
        UnknownTake: there is none.
    """
    get(connection, id, deleted=False)
    change(connection, takes, id, expected, {"deleted_ms": by.now_ms, **edited(by)})
    gone = get(connection, id)
    tell(connection, by, "take", "deleted", gone, {"pcm_sha256": gone.pcm_sha256})
    _enter(connection, "deleted", gone, by)
    return gone


def restore(connection: Connection, id: str, by: By) -> StoredTake:
    """Bring a deleted take back; one that is not deleted stays as it is.

    Raises:
        TakeGone: its audio has been removed.
        UnknownTake: there is none.
    """
    found = get(connection, id)
    if found.purged_ms is not None:
        raise TakeGone(f"the audio of take {id} has been removed", where="take")
    if found.deleted_ms is None:
        return found
    change(connection, takes, id, None, {"deleted_ms": None, **edited(by)})
    back = get(connection, id)
    tell(connection, by, "take", "restored", back)
    _enter(connection, "restored", back, by)
    return back


def purge(connection: Connection, before_ms: int, by: By) -> list[str]:
    """Let go of the audio of takes deleted before a time; gives the blobs that none needs now."""
    due = connection.execute(
        select(takes.c.id).where(takes.c.deleted_ms < before_ms, takes.c.purged_ms.is_(None))
    ).scalars()
    hashes = {let_go(connection, id, by) for id in due.all()}
    return [h for h in hashes if h is not None and not needed(connection, h)]


def let_go(connection: Connection, id: str, by: By, reason: str | None = None) -> str | None:
    """Remove what there is of a take beside its row, and delete it if it is not yet.

    Gives the sha256 of its audio, which another take may have too.
    """
    if get(connection, id).deleted_ms is None:
        change(connection, takes, id, None, {"deleted_ms": by.now_ms, **edited(by)})
        gone = get(connection, id)
        tell(connection, by, "take", "deleted", gone, {"pcm_sha256": gone.pcm_sha256})
        _enter(connection, "deleted", gone, by, reason)
    progress(connection, takes, id, {"purged_ms": by.now_ms})
    documents.remove(connection, id)
    fingerprints.remove(connection, id)
    gone = get(connection, id)
    tell(connection, by, "take", "purged", gone, {"pcm_sha256": gone.pcm_sha256})
    _enter(connection, "purged", gone, by, reason)
    return gone.pcm_sha256


def needed(connection: Connection, pcm_sha256: str) -> bool:
    """Whether a take has this audio."""
    has = takes.c.pcm_sha256 == pcm_sha256
    found = connection.scalar(select(takes.c.seq).where(has, takes.c.purged_ms.is_(None)).limit(1))
    return found is not None
