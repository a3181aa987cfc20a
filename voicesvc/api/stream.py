"""A take as an HTTP response: chunk by chunk, ended the moment its listener leaves."""

import asyncio
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voicesvc.archive import FROM_SPEECH, Origin
from voicesvc.encode import FORMATS, Output
from voicesvc.line import Line
from voicesvc.script import skipped_header
from voicesvc.studio import Studio
from voicesvc.takes import Rendering, Stream

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

    compute: Executor
    loading: Executor


def _drop(future: "Future[Rendering]") -> None:
    """Close what was opened for a caller that is gone."""
    if not future.cancelled() and future.exception() is None:
        future.result().close()


async def respond(request: Request, line: Line, origin: Origin = FROM_SPEECH) -> Response:
    """Open the line on a compute thread, or beside them while its voice has to be loaded first.

    A line whose caller leaves while it waits for a thread is never begun.
    """
    studio: Studio = request.app.state.studio
    pools: Pools = request.app.state.pools
    pool = pools.compute if studio.is_ready(line) else pools.loading
    future = pool.submit(studio.open, line, time.perf_counter(), origin)
    opening = asyncio.wrap_future(future)
    listener = asyncio.create_task(_gone(request.receive))
    either: set[asyncio.Future[Any]] = {opening, listener}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            rendering = opening.result()
            media_type = rendering.take.output.format.media_type
            stall_s = studio.settings.stall_s
            return AudioStream(rendering, media_type, headers(rendering), pools.compute, stall_s)
    except asyncio.CancelledError:
        future.add_done_callback(_drop)
        raise
    finally:
        listener.cancel()
    opening.cancel()
    future.add_done_callback(_drop)
    return Response(status_code=_CLIENT_LEFT)


async def streamed(
    request: Request,
    begin: Callable[[], Generator[bytes]],
    output: Output,
    headers: Mapping[str, str],
) -> Response:
    """A file that is made while it is sent; what fails before its first bytes is an answer."""
    pools: Pools = request.app.state.pools
    studio: Studio = request.app.state.studio
    loop = asyncio.get_running_loop()
    stream = await loop.run_in_executor(pools.compute, lambda: Stream(begin()))
    media_type, stall_s = output.format.media_type, studio.settings.stall_s
    return AudioStream(stream, media_type, headers, pools.compute, stall_s)


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
        pool: Executor,
        stall_s: float,
    ) -> None:
        self.stream, self.pool, self.stall_s = stream, pool, stall_s
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
            self.pool.submit(self.stream.close)

    async def _send(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        loop = asyncio.get_running_loop()
        chunk: bytes | None = self.stream.first
        while chunk is not None:
            try:
                async with asyncio.timeout(self.stall_s):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except TimeoutError:
                return  # without an end: the server closes the connection
            chunk = await loop.run_in_executor(self.pool, self.stream.chunk)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
