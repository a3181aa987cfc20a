"""Speech that is sent again: with the same Idempotency-Key it is the same take."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from voicesvc import again, encode
from voicesvc.api import reach
from voicesvc.api.changes import archive_of, key_of, make_once, stated_of, who
from voicesvc.api.stream import actor_of, hearing, respond, streamed
from voicesvc.archive import Archive, Origin
from voicesvc.errors import KeyInUse, UnknownTake
from voicesvc.line import Line
from voicesvc.store import StoredTake, record
from voicesvc.studio import Studio

_GOING_ON = ("queued", "open")


async def speak(
    request: Request, line: Line, of_line: str | None = None, production: str | None = None
) -> Response:
    """Speak a line as a take of its own; or answer with the take that its key already made.

    Raises:
        KeyInUse: that take is still being made.
        KeyReused: the key came with another request before.
        UnknownLine, UnknownProduction: there is none of this id.
    """
    archive = archive_of(request)
    body = await request.body()
    by, said = who(request), stated_of(request)
    trace = request.headers.get("traceparent")
    origin = Origin(who=by, line=of_line, production=production, stated=said, traceparent=trace)
    await reach.speaking(request, actor_of(line), of_line, production)
    if key_of(request, body) is None:
        return await respond(request, line, origin)
    return await _keyed(request, archive, line, origin, body)


async def _keyed(
    request: Request, archive: Archive, line: Line, origin: Origin, body: bytes
) -> Response:
    known, made = await claim(request, body)
    if made is not None:
        return await _same(request, archive, made, line)
    if line.plan is None and line.seed is None:
        line = line.model_copy(update={"seed": known["seed"]})
    with being_made(request, known["take"]):
        named = replace(origin, take_id=known["take"])
        return await respond(request, line, named)


async def claim(request: Request, body: bytes) -> tuple[dict[str, Any], StoredTake | None]:
    """The id and the seed of the take that a request's key stands for; and the take, once made.

    Raises:
        KeyInUse: it is still being made.
        KeyReused: the key came with another request before.
    """
    studio: Studio = request.app.state.studio
    archive = archive_of(request)
    fresh = {"take": studio.new_id("tk"), "seed": studio.draw_seed()}
    known, replayed = await asyncio.to_thread(make_once, request, body, lambda _: fresh)
    if not replayed:
        return known, None
    made = await asyncio.to_thread(_made, archive, known["take"])
    if made is not None and made.state == "complete":
        return known, made
    if known["take"] in request.app.state.speaking or (made and made.state in _GOING_ON):
        raise KeyInUse("the take is still being made", where="Idempotency-Key")
    # It failed or was left: made anew under the same key, with the same seed.
    known = {"take": fresh["take"], "seed": known["seed"]}
    await asyncio.to_thread(_replace, request, archive, body, known)
    return known, None


@contextmanager
def being_made(request: Request, take_id: str | None) -> Iterator[None]:
    """While it lasts, another request with the same key is refused."""
    speaking: set[str | None] = request.app.state.speaking
    speaking.add(take_id)
    try:
        yield
    finally:
        speaking.discard(take_id)


def _made(archive: Archive, take_id: str) -> StoredTake | None:
    try:
        return archive.take(take_id)
    except UnknownTake:
        return None


def _replace(request: Request, archive: Archive, body: bytes, answer: Any) -> None:
    key = key_of(request, body)
    assert key is not None, "asked before"
    archive.database.write(lambda c: record.answered(c, key, answer))


async def _same(request: Request, archive: Archive, take: StoredTake, line: Line) -> Response:
    output = encode.choose(
        line.format, line.sample_rate_hz, line.bit_depth, native_rate_hz=again.rate_of(take)
    )
    headers = {
        "Voicesvc-Take": take.id,
        "Voicesvc-Seed": str(take.seed),
        "Voicesvc-Sample-Rate-Hz": str(output.sample_rate_hz),
        "Cache-Control": "no-store",
    }
    heard = await asyncio.to_thread(hearing, request, take, output)
    return await streamed(request, heard, output, headers)
