"""Several texts decoded at once: one step of the GPT says a token of each.

Texts join and leave between steps. A thread takes the steps as long as there is something to
decode, so that no step waits for anybody's sound to be made. Knows nothing of sound or seeds.
"""

import threading
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from voicesvc.engines.gpt import ROWS, Gpt, Saying
from voicesvc.errors import EngineFailed

AHEAD_TOKENS = 64  # 3 s: how far a text is decoded beyond what was taken of it
_FAULTS = (RuntimeError, ValueError, MemoryError, OSError, EngineFailed)


class _Text:
    """A text in the batch, under the batch's lock; how much is `ready`, anybody may ask."""

    def __init__(self, saying: Saying) -> None:
        self.saying, self.ready = saying, saying.ready
        self.ended = False
        self.failure: Exception | None = None


class Batch:
    """What one voice's GPT is saying now. Any method may be called from any thread."""

    def __init__(self, gpt: Gpt) -> None:
        self.gpt = gpt
        self._texts: list[_Text] = []
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()

    def latents(self, saying: Saying) -> Iterator[Tensor]:
        """The latent [C] of every audio token in float32, that of the stop token included.

        They do not depend on what else is decoded. Closed, the text leaves before the next step.

        Raises:
            EngineFailed, RuntimeError: decoding this text failed.
        """
        yield self.gpt.begin(saying)
        if saying.ended:
            return
        text = _Text(saying)
        self._join(text)
        try:
            while (latent := self._next(text)) is not None:
                yield latent
        finally:
            self._leave(text)

    def _join(self, text: _Text) -> None:
        with self._changed:
            self._texts.append(text)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="decode", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _next(self, text: _Text) -> Tensor | None:
        with self._changed:
            self._changed.wait_for(lambda: text.ready or text.ended)
            if text.ready:
                self._changed.notify_all()  # there is room for more
                return text.ready.popleft()
        if text.failure is not None:
            raise text.failure
        return None

    def _leave(self, text: _Text) -> None:
        with self._changed:
            if not text.ended:
                self._end(text, None)

    def _end(self, text: _Text, failure: Exception | None) -> None:
        text.ended, text.failure = True, failure
        self._texts.remove(text)
        self._changed.notify_all()

    def _run(self) -> None:
        torch.set_num_threads(1)
        ended = False
        try:
            while turn := self._turn():
                self._step(turn)
            ended = True
        finally:
            if not ended:  # by something that nobody foresaw: whoever waits is told
                with self._changed:
                    self._thread = None
                    for text in list(self._texts):
                        self._end(text, EngineFailed("the thread that decodes ended"))

    def _turn(self) -> list[_Text]:
        """Whose next tokens are decoded: those with least in hand; none when nobody is left."""
        with self._changed:
            while self._texts:
                hungry = [t for t in self._texts if len(t.ready) < AHEAD_TOKENS]
                if hungry:
                    return sorted(hungry, key=lambda t: len(t.ready))[:ROWS]
                self._changed.wait()
            self._thread = None
            return []

    def _step(self, turn: Sequence[_Text]) -> None:
        try:
            latents, odds = self.gpt.step([t.saying for t in turn])
        except _FAULTS as e:
            if len(turn) == 1:
                self._said(turn[0], None, e)
                return
            for text in turn:  # alone, only that one fails whose fault it is
                self._step([text])
            return
        for text, latent, odd in zip(turn, latents, odds, strict=True):
            failure: Exception | None = None
            try:
                text.saying.hear(odd, self.gpt.shape.gpt_stop_audio_token)
            except _FAULTS as e:
                failure = e
            self._said(text, latent, failure)

    def _said(self, text: _Text, latent: Tensor | None, failure: Exception | None) -> None:
        with self._changed:
            if text.ended:  # it left while it was being decoded
                return
            if failure is None and latent is not None:
                text.ready.append(latent)
            if failure is not None or text.saying.ended:
                self._end(text, failure)
            self._changed.notify_all()
