"""`/v1/events`: what happens to productions, lines and takes, as it happens (SSE)."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse

from voicesvc.api.changes import archive_of
from voicesvc.archive import Archive
from voicesvc.errors import InvalidRequest
from voicesvc.store import Event, productions, record

router = APIRouter(tags=["events"])
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
        found = await asyncio.to_thread(
            archive.database.read, lambda c: productions.get(c, production)
        )
        of = found.id
    if begin is None:
        begin = await asyncio.to_thread(archive.database.read, record.last)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    stream = _stream(archive, request.app.state.feed, begin, of)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _stream(
    archive: Archive, feed: Feed, seq: int, production: str | None
) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    said = loop.time()
    yield f"id: {seq}\n: from here on\n\n"  # a client that hears nothing more knows where it was
    while not feed.closed:
        newer = partial(record.after, seq=seq, production=production)
        found = await asyncio.to_thread(archive.database.read, newer)
        for event in found:
            yield _told(event)
            seq, said = event.seq, loop.time()
        if loop.time() - said > _COMMENT_S:
            yield ": still here\n\n"
            said = loop.time()
        if not found:
            await feed.wait()


def _told(event: Event) -> str:
    facts = json.dumps(event.json(), ensure_ascii=False)
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {facts}\n\n"
