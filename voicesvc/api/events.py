"""`/v1/events`: what happens to productions, lines and takes, as it happens (SSE)."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse

from voicesvc.api import reach
from voicesvc.api.changes import archive_of
from voicesvc.api.scopes import needs
from voicesvc.archive import Archive
from voicesvc.errors import InvalidRequest
from voicesvc.store import Event, Within, record

router = APIRouter(tags=["events"])
_Read = Callable[[int, Any], tuple[list[Event], int]]
_ASK_S = 1.0  # how often the database is asked, for what another process wrote
_COMMENT_S = 15.0  # of silence: proxies cut a connection on which nothing comes


class Feed:
    """Wakes those who wait for the next event of this process. `changed` is for any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._next = asyncio.Event()
        self.closed = False

    def changed(self) -> None:
        """Something was committed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def close(self) -> None:
        """End all streams; for any thread."""
        self.closed = True
        self.changed()

    def _wake(self) -> None:
        woken, self._next = self._next, asyncio.Event()
        woken.set()

    async def wait(self) -> None:
        """Return when something was committed, or after a while."""
        try:
            await asyncio.wait_for(self._next.wait(), _ASK_S)
        except TimeoutError:
            return


@router.get("/v1/events", response_class=StreamingResponse)
@needs("audition")
async def events(
    request: Request,
    production: Annotated[str | None, Query(description="only of this one, by id or slug")] = None,
    after: Annotated[int | None, Query(ge=0, description="number of the last one seen")] = None,
) -> StreamingResponse:
    """Events in order, from now on or after the one that `Last-Event-ID` or `after` names."""
    archive = archive_of(request)
    last = request.headers.get("Last-Event-ID")
    if last is not None and not re.fullmatch(r"\d{1,15}", last):
        raise InvalidRequest("no such event", where="Last-Event-ID", valid="a number")
    begin = int(last) if last is not None else after
    of: str | None = None
    if production is not None:
        of = (await asyncio.to_thread(reach.production, request, production)).id
    if begin is None:
        begin = await asyncio.to_thread(archive.database.read, record.last)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    read = partial(_read, of, reach.within(request))
    stream = _stream(archive, request.app.state.feed, begin, read)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


def _read(
    production: str | None, within: Within, seq: int, connection: Any
) -> tuple[list[Event], int]:
    """Events after number `seq` that may be told, and up to which number there is no other."""
    last = record.last(connection)
    found = record.after(connection, seq, production, within=within)
    return found, found[-1].seq if found else max(seq, last)


async def _stream(archive: Archive, feed: Feed, seq: int, read: _Read) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    said = loop.time()
    yield f"id: {seq}\n: from here on\n\n"  # a client that hears nothing more knows where it was
    while not feed.closed:
        found, seq = await asyncio.to_thread(archive.database.read, partial(read, seq))
        for event in found:
            yield _told(event)
            said = loop.time()
        if loop.time() - said > _COMMENT_S:
            yield ": still here\n\n"
            said = loop.time()
        if not found:
            await feed.wait()


def _told(event: Event) -> str:
    facts = json.dumps(event.json(), ensure_ascii=False)
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {facts}\n\n"
