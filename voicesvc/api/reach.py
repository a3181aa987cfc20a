"""What who asks can reach: productions, lines and takes of others are as if they were not there."""

import asyncio

from fastapi import Request
from starlette.requests import HTTPConnection

from voicesvc.access import Need
from voicesvc.api.scopes import caller_of, demand
from voicesvc.archive import Archive
from voicesvc.store import ALL, Production, ScriptLine, StoredTake, Within, lines, productions
from voicesvc.store import takes as take_rows
from voicesvc.studio import Studio


def _studio(connection: HTTPConnection) -> Studio:
    studio: Studio = connection.app.state.studio
    return studio


def _archive(connection: HTTPConnection) -> Archive:
    archive = _studio(connection).archive
    assert archive is not None, "create_app asks for a studio with an archive"
    return archive


def within(connection: HTTPConnection) -> Within:
    """The same for the store. A take of no production is of the one that requests are for."""
    caller = caller_of(connection)
    if caller.everywhere:
        return ALL
    unnamed = caller.productions is None or _unnamed(connection) in caller.productions
    return Within(caller.actors, caller.productions, unnamed)


def _unnamed(connection: HTTPConnection) -> str:
    return _studio(connection).settings.production


def take(request: Request, id: str, *, deleted: bool = True) -> StoredTake:
    """A take, where it can be reached.

    Raises:
        TakeGone: it was deleted, and deleted ones are not wanted.
        UnknownTake: there is none, or it is of another production or actor.
    """
    given = within(request)
    return _archive(request).database.read(
        lambda c: take_rows.get(c, id, deleted=deleted, within=given)
    )


def line(connection: HTTPConnection, id: str) -> ScriptLine:
    """A line, where it can be reached.

    Raises:
        UnknownLine: there is none, or it is of another production or actor.
    """
    given = within(connection)
    return _archive(connection).database.read(lambda c: lines.get(c, id, given))


def production(connection: HTTPConnection, id: str) -> Production:
    """A production, by id or slug, where it can be reached.

    Raises:
        UnknownProduction: there is none, or it is another's.
    """
    given = within(connection)
    return _archive(connection).database.read(lambda c: productions.get(c, id, given))


def actor(connection: HTTPConnection, id: str) -> None:
    """That who asks is here for an actor.

    Raises:
        NotAllowed: they are here for others.
    """
    demand(connection, Need(actor=id))


def everywhere(connection: HTTPConnection) -> None:
    """That who asks is here for every production and actor.

    Raises:
        NotAllowed: they are here for some.
    """
    demand(connection, Need(everywhere=True))


async def speaking(
    connection: HTTPConnection, of_actor: str, of_line: str | None, of_production: str | None
) -> None:
    """That something may be spoken: by this voice, for a line, or a production, or for none.

    Raises:
        NotAllowed: who asks is here for another actor, or not for what names no production.
        UnknownLine, UnknownProduction: it is another's, or not there.
    """
    actor(connection, of_actor)
    if of_line is not None:
        await asyncio.to_thread(line, connection, of_line)
    elif of_production is not None:
        await asyncio.to_thread(production, connection, of_production)
    else:
        demand(connection, Need(production=_unnamed(connection)))
