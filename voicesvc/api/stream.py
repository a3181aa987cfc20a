"""A take as an HTTP response: chunk by chunk, ended the moment its listener leaves."""

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voicesvc import again, seal
from voicesvc.access import LOCAL
from voicesvc.api.changes import archive_of, who
from voicesvc.api.scopes import caller_of
from voicesvc.archive import FROM_SPEECH, Origin
from voicesvc.compute import Compute, Seat, Turns
from voicesvc.disclosure import Lead
from voicesvc.encode import FORMATS, Output
from voicesvc.engines import Cell
from voicesvc.errors import InvalidRequest
from voicesvc.line import Line
from voicesvc.rendering import Rendering, Stream
from voicesvc.schedule import Asked, Kind
from voicesvc.script import skipped_header
from voicesvc.store import StoredTake
from voicesvc.studio import Studio
from voicesvc.takes import CLASSES, said

T = TypeVar("T")
CLASS_HEADER = "Voicesvc-Class"

AUDIO: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the audio, streamed while it is made",
        "content": {
            f.media_type: {"schema": {"type": "string", "format": "binary"}}
            for f in FORMATS.values()
        },
    }
}
_CLIENT_LEFT = 499  # nginx's word for it; nobody reads this answer


@dataclass(frozen=True, slots=True)
class Pools:
    """Threads that compute, and threads that may wait for a voice to be loaded."""

    compute: Compute
    loading: Executor


@dataclass(frozen=True, slots=True)
class Beside:
    """Turns of a stream that is made beside the compute threads: it mostly waits for a disk."""

    pool: Executor

    def submit(self, work: Callable[[], T], cell: Cell | None = None) -> "Future[T]":
        """See `Turns`."""
        return self.pool.submit(work)

    def took(self, audio_s: float, offered_s: float) -> None:
        """See `Turns`: nothing is scheduled by it."""

    def close(self, work: Callable[[], None], *, whole: bool) -> None:
        """See `Turns`."""
        self.pool.submit(work)


def asked_of(request: Request, voice: str, chars: int = 0, *, speaks: bool = True) -> Asked:
    """A stream as the schedule sees it: whose it is, and how urgent.

    Raises:
        InvalidRequest: there is no such class, or the user's name is too long.
    """
    named = request.headers.get(CLASS_HEADER, "audition")
    kinds = {kind.name.lower(): kind for kind in Kind}
    if named not in kinds:
        raise InvalidRequest(f"no class {named[:20]!r}", where=CLASS_HEADER, valid=list(kinds))
    return Asked(key_of(request), kinds[named], voice, chars, speaks)


def key_of(request: HTTPConnection) -> str:
    """Between whom time is shared: keys; or else users who say who they are, or addresses."""
    caller = caller_of(request)
    if caller is not LOCAL:
        return caller.id
    return who(request) or (request.client.host if request.client else "")


def begin(request: HTTPConnection, seat: Seat, line: Line, work: Callable[[], T]) -> "Future[T]":
    """Have the first turn of a line's stream done, once its voice is loaded.

    Where it fails or is cancelled, the seat is free again.
    """
    studio: Studio = request.app.state.studio
    pools: Pools = request.app.state.pools
    if studio.is_ready(line):
        future = seat.submit(work)
    else:
        future = pools.loading.submit(_once_loaded, studio, seat, line, work)
    future.add_done_callback(lambda f: seat.end() if f.cancelled() or f.exception() else None)
    return future


def _once_loaded(studio: Studio, seat: Seat, line: Line, work: Callable[[], T]) -> T:
    studio.door.demand_actor(studio.check_text(line))
    with studio.cast.leased(actor_of(line)):
        return seat.submit(work).result()


def actor_of(line: Line) -> str:
    """Whose voice it asks for."""
    return line.actor or (line.plan.actor if line.plan else "")


def _drop(seat: Seat, future: "Future[Rendering]") -> None:
    """Close what was opened for a caller that is gone."""
    if not future.cancelled() and future.exception() is None:
        future.result().close()
        seat.end()


async def respond(request: Request, line: Line, origin: Origin = FROM_SPEECH) -> Response:
    """Let the line in and open it when its turn comes.

    A line whose caller leaves while it waits is never begun.

    Raises:
        Overloaded: there is no time for it now.
        VoiceError: it cannot be spoken.
    """
    studio: Studio = request.app.state.studio
    pools: Pools = request.app.state.pools
    chars = len(line.text or said(line.plan))
    asked = asked_of(request, actor_of(line), chars)
    seat = pools.compute.enter(asked)
    received_s = time.perf_counter()
    future = begin(request, seat, line, partial(studio.open, line, received_s, origin, seat.more))
    opening = asyncio.wrap_future(future)
    listener = asyncio.create_task(_gone(request.receive))
    either: set[asyncio.Future[Any]] = {opening, listener}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            rendering = opening.result()
            rendering.take.kind = CLASSES[asked.kind]
            media_type = rendering.take.output.format.media_type
            stall_s = studio.settings.stall_s
            return AudioStream(rendering, media_type, headers(rendering), seat, stall_s)
    except asyncio.CancelledError:
        future.add_done_callback(partial(_drop, seat))
        raise
    finally:
        listener.cancel()
    opening.cancel()
    future.add_done_callback(partial(_drop, seat))
    return Response(status_code=_CLIENT_LEFT)


def hearing(
    request: Request,
    take: StoredTake,
    output: Output,
    headers: dict[str, str] | None = None,
    lead: Lead | None = None,
    kind: str = "heard",
) -> Callable[[], Generator[bytes]]:
    """Opens a take that is kept as a file, for as long as a grant covers that it is heard.

    With `headers` it is a finished file: see `finished`. `lead` comes before it. `kind` is what the
    ledger has of it, `heard` or `downloaded`.

    Raises:
        Unlicensed: none does.
    """
    studio: Studio = request.app.state.studio
    archive, door = archive_of(request), studio.door
    permit = door.again(take, "hear")
    door.notes.use(kind, take, permit, who(request))

    first = None if lead is None else lead.pcm

    def opened() -> Generator[bytes]:
        chunks = door.guarded(permit, again.stored(archive, take, output, first))
        if headers is None:
            return chunks
        return door.guarded(permit, finished(studio, take, output, chunks, headers))

    return opened


def signed_whole(studio: Studio, take: StoredTake, output: Output) -> bool:
    """Whether a finished file has its credentials in it, so that it is whole before it leaves."""
    n_samples = again.samples_at(take, output.sample_rate_hz)
    return studio.seal is not None and seal.holds(output, n_samples)


def finished(
    studio: Studio,
    take: StoredTake,
    output: Output,
    chunks: Generator[bytes],
    headers: dict[str, str],
) -> Generator[bytes]:
    """A file with its credentials in it, or with a link to them where it holds none.

    That, and its length once that is known, is put into the headers before the first bytes.
    """
    if studio.seal is None:
        return chunks
    if signed_whole(studio, take, output):
        sized = partial(headers.__setitem__, "Content-Length")
        return studio.seal.file(chunks, take, output, lambda n_bytes: sized(str(n_bytes)))
    asked = {"format": output.format.name, "sample_rate_hz": output.sample_rate_hz}
    depth = {} if output.bit_depth is None else {"bit_depth": output.bit_depth}
    where = f"/v1/takes/{take.id}/manifest?{urlencode(asked | depth)}"
    headers["Link"] = f'<{where}>; rel="c2pa-manifest"'
    return chunks


async def streamed(
    request: Request,
    make: Callable[[], Generator[bytes]],
    output: Output,
    headers: Mapping[str, str],
    *,
    whole: bool = False,
) -> Response:
    """A file that is made while it is sent; what fails before its first bytes is an answer.

    One that is `whole` before it leaves is made beside the compute threads: it may take seconds,
    and listeners would wait for it.
    """
    pools: Pools = request.app.state.pools
    studio: Studio = request.app.state.studio
    seat = pools.compute.enter(asked_of(request, output.format.name, speaks=False))
    work = pools.loading if whole else seat
    future = work.submit(lambda: Stream(make()))
    with ExitStack() as unless_made:
        unless_made.callback(seat.end)
        stream = await asyncio.wrap_future(future)
        unless_made.pop_all()
    media_type, stall_s = output.format.media_type, studio.settings.stall_s
    return AudioStream(stream, media_type, headers, seat, stall_s)


def headers(rendering: Rendering) -> dict[str, str]:
    """What the caller wants to know before the first byte."""
    take = rendering.take
    stages = [f"{name};dur={1e3 * s:.1f}" for name, s in take.stages_s.items()]
    values = {
        "Voicesvc-Take": take.id,
        "Voicesvc-Seed": str(take.seed),
        "Voicesvc-Sample-Rate-Hz": str(take.output.sample_rate_hz),
        "Server-Timing": ", ".join(stages),
        "Cache-Control": "no-store",
    }
    if take.fitted:
        values["Voicesvc-Fit"] = take.fitted.header
    if take.sources:
        values["Voicesvc-Delivery"] = "; ".join(f"{n}={v}" for n, v in take.sources.items())
    if take.ignored:
        values["Voicesvc-Ignored"] = ", ".join(f"{i.start}-{i.end}" for i in take.ignored[:20])
    if take.skipped:
        values["Voicesvc-Skipped"] = skipped_header(take.skipped)
    return values


class AudioStream(Response):
    """Streams bytes as they are made; a failure after the first byte breaks the connection.

    So does a listener who takes nothing for `stall_s`: it would hold the voice for ever.
    """

    def __init__(
        self,
        stream: Stream,
        media_type: str,
        headers: Mapping[str, str],
        turns: Turns,
        stall_s: float,
    ) -> None:
        self.stream, self.turns, self.stall_s = stream, turns, stall_s
        self.whole = False  # whether all was made
        self.background = None
        self.status_code = 200
        self.media_type = media_type
        self.init_headers({**headers, "X-Accel-Buffering": "no"})
        if "Content-Length" not in headers:
            del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        listener = asyncio.create_task(_gone(receive))
        sender = asyncio.create_task(self._send(send))
        try:
            await asyncio.wait({listener, sender}, return_when=asyncio.FIRST_COMPLETED)
            if sender.done():
                sender.result()
        finally:
            listener.cancel()
            sender.cancel()
            self.stream.stop()
            self.turns.close(self.stream.close, whole=self.whole)

    async def _send(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        chunk: bytes | None = self.stream.first
        while chunk is not None:
            offered_s = time.perf_counter()
            try:
                async with asyncio.timeout(self.stall_s):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except TimeoutError:
                return  # without an end: the server closes the connection
            self.turns.took(self.stream.audio_s, offered_s)
            made = self.turns.submit(self.stream.chunk, self.stream.cell())
            chunk = await asyncio.wrap_future(made)
        self.whole = True
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
