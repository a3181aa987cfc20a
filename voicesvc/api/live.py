"""`WS /v1/speech/live`: text comes as it is typed, audio leaves as soon as a clause can be spoken.

Every message is a JSON object; audio comes in binary frames, each right after the message that
tells of it. The messages are the models in `live_messages`.
"""

import asyncio
import base64
import contextlib
import time
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fastapi import APIRouter
from fastapi.responses import FileResponse
from pydantic import BaseModel, ValidationError
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from voicesvc.api import reach
from voicesvc.api.changes import stated_of, who
from voicesvc.api.gate import PROTOCOL
from voicesvc.api.live_messages import (
    PATH,
    Audio,
    Begin,
    Cancelled,
    Ended,
    Flushed,
    More,
    Problem,
    Started,
    Word,
    asyncapi,
    invalid,
)
from voicesvc.api.page import STATIC
from voicesvc.api.problems import problem
from voicesvc.api.scopes import needs
from voicesvc.api.stream import Pools, begin, key_of
from voicesvc.archive import Origin
from voicesvc.compute import Seat
from voicesvc.errors import VoiceError
from voicesvc.live import Sound, Speech, Spoken
from voicesvc.schedule import Asked, Kind
from voicesvc.studio import Studio
from voicesvc.typed import Piece, Typed

T = TypeVar("T", bound=BaseModel)
router = APIRouter()
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HUNGRY_S = 1.0  # of audio ahead of the listener: with less a clause is spoken before its sentence
_POLICY, _FAILED, _LATER = 1008, 1011, 1013  # RFC 6455, and IANA's "try again later"


@router.websocket(PATH)
@needs("speak")
async def live(socket: WebSocket) -> None:
    """Speak what is typed."""
    if not _own_page(socket):
        await socket.close(_POLICY)  # before it was accepted: the answer is 403
        return
    offered = PROTOCOL in socket.scope["subprotocols"]
    await socket.accept(PROTOCOL if offered else None)
    conversation = Conversation(socket)
    try:
        await conversation.run()
    except VoiceError as e:
        told = Problem(**problem(e), retry_after_s=e.retry_after_s)
        await conversation.tell(told)
        later = _LATER if e.retry_after_s is not None else _FAILED
        await socket.close(_POLICY if e.status < 500 else later)
    except WebSocketDisconnect:
        return
    except TimeoutError:
        await socket.close(_POLICY, "nothing was taken for too long")


def _own_page(socket: HTTPConnection) -> bool:
    """Whether it is no browser, or one that shows a page of this service.

    A browser lets any page open a socket anywhere, and says which page it was.
    """
    origin = socket.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("Host")


class Conversation:
    """One socket, from its first message to its end."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._studio: Studio = socket.app.state.studio
        self._pools: Pools = socket.app.state.pools
        self._changed = asyncio.Event()
        self._ended = False  # no more text comes
        self._cancelled = 0  # how often
        self._speaking: Spoken | None = None
        self._admitted = False
        self._dry_s = 0.0  # when the listener has heard all that was sent

    async def run(self) -> None:
        """All of it.

        Raises:
            VoiceError: what was sent is not valid, or cannot be spoken.
            WebSocketDisconnect: the client left.
            TimeoutError: it takes nothing.
        """
        start = await self._receive(Begin)
        limit = self._studio.settings.max_text_chars
        self._typed = Typed(limit, clauses=start.markup == "plain")
        self._speech = Speech(self._studio, start, await self._origin(start.actor))
        output = self._speech.output
        await self.tell(
            Started(
                format=output.format.name,
                sample_rate_hz=output.sample_rate_hz,
                seed=self._speech.seed,
            )
        )
        self._typed.feed(start.text)
        listening = asyncio.create_task(self._listen())
        speaking = asyncio.create_task(self._speak())
        try:
            await asyncio.wait({listening, speaking}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                listening.result()
                await speaking
            speaking.result()
        finally:
            for task in (listening, speaking):
                task.cancel()
            await asyncio.gather(listening, speaking, return_exceptions=True)
        await self._socket.close()

    async def _origin(self, actor: str) -> Origin:
        """Who speaks, for which production and use."""
        wanted = self._socket.query_params.get("production")
        await reach.speaking(self._socket, actor, None, wanted)
        said = stated_of(self._socket)
        return Origin(who=who(self._socket), production=wanted, stated=said)

    async def _receive(self, kind: type[T]) -> T:
        try:
            return kind.model_validate_json(await self._socket.receive_text())
        except ValidationError as e:
            raise invalid(e, kind) from e

    async def _listen(self) -> None:
        """Take messages until the text ends."""
        while not self._ended:
            more = await self._receive(More)
            if more.cancel:
                self._typed.clear()
                self._cancelled += 1
                if self._speaking is not None:
                    self._speaking.rendering.stop()
            if more.text:
                self._typed.feed(more.text)
            self._ended = more.text == "" and not (more.flush or more.cancel)
            if more.flush or self._ended:
                self._typed.flush()
            self._changed.set()

    async def _speak(self) -> None:
        """Speak what can be spoken until the text ended and nothing is left of it."""
        cancelled = 0
        while True:
            if self._cancelled > cancelled:
                cancelled = self._cancelled
                await self.tell(Cancelled(at_s=self._speech.audio_s))
            self._changed.clear()
            ahead_s = self._ahead_s()
            piece = self._typed.next(hungry=ahead_s < HUNGRY_S)
            if piece is None:
                if self._ended:
                    break
                wait_s = ahead_s - HUNGRY_S if ahead_s > HUNGRY_S else None
                await self._until_changed(wait_s)
                continue
            if piece.text.strip():
                await self._say(piece, cancelled)
            if piece.flushed and not self._ended and self._cancelled == cancelled:
                await self.tell(Flushed(at_s=self._speech.audio_s))
        at_s = self._speech.audio_s
        last = await asyncio.to_thread(self._speech.flush)
        if last:
            await self._send(Sound(last, at_s, at_s, ()), None)
        await self.tell(Ended(at_s=at_s))

    async def _say(self, piece: Piece, cancelled: int) -> None:
        """Speak one piece, unless it is cancelled."""
        asked = Asked(key_of(self._socket), Kind.LIVE, self._speech.start.actor, len(piece.text))
        compute = self._pools.compute
        # Who was let in is not refused in the middle of what is said.
        seat = compute.join(asked) if self._admitted else compute.enter(asked)
        self._admitted, whole = True, False
        spoken, sound = await self._opened(seat, piece)
        self._speaking = spoken
        try:
            while sound is not None:
                offered_s = time.perf_counter()
                await self._send(sound, spoken.rendering.take.id)
                seat.took(spoken.rendering.audio_s, offered_s)
                if self._cancelled > cancelled:
                    break
                sound = await asyncio.wrap_future(seat.submit(spoken.chunk))
            whole = sound is None and self._cancelled == cancelled
        finally:
            self._speaking = None
            spoken.rendering.stop()
            seat.close(spoken.rendering.close, whole=whole)

    async def _opened(self, seat: Seat, piece: Piece) -> tuple[Spoken, Sound | None]:
        """A piece and its first sound, made in one turn."""

        def work() -> tuple[Spoken, Sound | None]:
            spoken = self._speech.begin(piece, received_s, seat.more)
            return spoken, spoken.chunk()

        received_s = time.perf_counter()
        future = begin(self._socket, seat, self._speech.start.line(piece, 0), work)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.add_done_callback(partial(_drop, seat))
            raise

    async def _send(self, sound: Sound, take: str | None) -> None:
        """Sound, as it was asked for."""
        now_s = time.monotonic()
        self._dry_s = max(self._dry_s, now_s) + sound.end_s - sound.start_s
        in_text = self._speech.start.frames == "base64"
        told = Audio(
            take=take,
            start_s=round(sound.start_s, 6),
            end_s=round(sound.end_s, 6),
            words=[Word(**word) for word in sound.words],
            n_bytes=len(sound.audio),
            audio=base64.b64encode(sound.audio).decode() if in_text else None,
        )
        await self.tell(told)
        if not in_text:
            async with asyncio.timeout(self._studio.settings.stall_s):
                await self._socket.send_bytes(sound.audio)

    async def tell(self, message: BaseModel) -> None:
        """Send a message.

        Raises:
            TimeoutError: nothing was taken for as long as a listener may stall.
        """
        async with asyncio.timeout(self._studio.settings.stall_s):
            await self._socket.send_text(message.model_dump_json(exclude_none=True))

    def _ahead_s(self) -> float:
        return max(0.0, self._dry_s - time.monotonic())

    async def _until_changed(self, wait_s: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._changed.wait()


def _drop(seat: Seat, future: "Future[tuple[Spoken, Sound | None]]") -> None:
    """Close what was opened for a client that is gone."""
    if not future.cancelled() and future.exception() is None:
        spoken, _ = future.result()
        spoken.rendering.close()
        seat.end()


@router.get("/live", include_in_schema=False)
async def page() -> FileResponse:
    """A page that speaks what is typed into it: a client in a hundred lines."""
    headers = {"Content-Security-Policy": _PAGE_POLICY, "X-Content-Type-Options": "nosniff"}
    return FileResponse(STATIC / "typed.html", headers=headers)


@router.get("/asyncapi.json", include_in_schema=False)
async def described() -> dict[str, Any]:
    """The socket for programs, as AsyncAPI 3."""
    return asyncapi()
