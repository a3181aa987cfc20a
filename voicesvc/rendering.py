"""What is made while it is sent: bytes chunk by chunk, of a take or of any file."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator

from voicesvc.engines import Cell, next_cell
from voicesvc.errors import VoiceError
from voicesvc.takes import Take

More = Callable[[float], bool]


def enough(_: float) -> bool:
    """A stream's first chunk is heard as soon as it is there, however short it is."""
    return False


class Stream:
    """Bytes that are made while they are sent: the first are there, the rest come by `chunk`.

    `more` says, given how many seconds of speech the first bytes have, whether they are to have
    another chunk.
    """

    def __init__(self, chunks: Generator[bytes], more: More = enough) -> None:
        self._chunks, self._lock, self._closed = chunks, threading.Lock(), False
        first = [self._next() or b""]
        while first[-1] and more(self.audio_s):
            first.append(self._next() or b"")
        self.first = b"".join(first)

    def chunk(self) -> bytes | None:
        """The next bytes of the file, None at its end. From any thread."""
        with self._lock:
            return None if self._closed else self._next()

    def cell(self) -> Cell | None:
        """What the next `chunk` begins with, where that can be computed at once with others."""
        return None

    def chunks(self) -> Generator[bytes]:
        """All bytes of the file, from the first on; at the end, whatever ends it, it is closed.

        To be drained once, by who is content to compute where it drains. Raises as `chunk`.
        """
        try:
            yield self.first
            while (made := self.chunk()) is not None:
                yield made
        finally:
            self.close()

    @property
    def audio_s(self) -> float:
        """Seconds of speech that were made so far; 0 where it is none or not known."""
        return 0.0

    def _next(self) -> bytes | None:
        return next((c for c in self._chunks if c), None)

    def stop(self) -> None:
        """Begin no further chunk; returns at once. `close` is still to be called."""
        self._closed = True

    def close(self) -> None:
        """Stop the work and give back what it holds; waits for the chunk that is being computed."""
        self.stop()
        with self._lock:
            self._chunks.close()


class Rendering(Stream):
    """A take being made; closing it gives its voice back.

    `stands` raises once its permit no longer stands: the listener is cut off at once, and what is
    to be put in order is left to `close`.
    """

    def __init__(
        self,
        take: Take,
        chunks: Generator[bytes],
        stands: Callable[[Take], None],
        more: More = enough,
    ) -> None:
        self.take, self._stands = take, stands
        self._cut: VoiceError | None = None
        super().__init__(chunks, more)

    @property
    def audio_s(self) -> float:
        """Seconds of speech that were made so far."""
        return self.take.audio_s

    def chunk(self) -> bytes | None:
        """The next bytes of the file, None at its end. From any thread.

        Raises:
            Unlicensed: the take's permit no longer stands.
        """
        try:
            self._stands(self.take)
        except VoiceError as e:
            self._cut = e
            raise
        return super().chunk()

    def cell(self) -> Cell | None:
        """See `Stream.cell`."""
        return next_cell(self.take.sound, self._computed)

    def _computed(self, seconds: float) -> None:
        self.take.compute_s += seconds

    def close(self) -> None:
        """Stop the work and give back what it holds; waits for the chunk that is being computed."""
        if self._cut is not None:
            self.stop()
            with self._lock, contextlib.suppress(VoiceError, StopIteration):
                self._chunks.throw(self._cut)
        super().close()

    def _next(self) -> bytes | None:
        begin = time.perf_counter()
        try:
            return super()._next()
        finally:
            self.take.compute_s += time.perf_counter() - begin
