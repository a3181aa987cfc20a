"""What is said while it is typed, as one stream of audio: a take for each piece, one after another.

The bytes of all pieces are one stream of one encoder, so that nothing clicks where one ends. Knows
nothing of HTTP.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field

from voicesvc import encode
from voicesvc.archive import FROM_SPEECH, Origin
from voicesvc.audio import Pcm, Resampler
from voicesvc.delivery import Delivery
from voicesvc.errors import InvalidRequest
from voicesvc.line import Line
from voicesvc.lineplan import MAX_SEED
from voicesvc.rendering import More, Rendering, enough
from voicesvc.rights.grant import Purpose
from voicesvc.studio import Studio
from voicesvc.takes import moved
from voicesvc.typed import Piece

FORMATS = ("pcm_s16le", "pcm_f32le", "opus")
_NATIVE = "pcm_f32le"
REALTIME: Purpose = "realtime"


class Start(Delivery):
    """By whom and how all that is typed is said, and as which audio."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    actor: str = Field(description="actor id, as listed by /v1/actors")
    format: Literal["pcm_s16le", "pcm_f32le", "opus"] = Field(
        "pcm_s16le", description="samples as they are, or Opus in Ogg"
    )
    sample_rate_hz: int | None = Field(
        None, description="8000 to 96000; unset: the voice's own, for opus 48000"
    )
    markup: Literal["plain", "marks"] = Field(
        "plain", description="marks: light marks, and no sentence is cut at a clause"
    )
    lexicons: tuple[str, ...] = Field(
        (), strict=False, max_length=20, description="names of lexicons to use, the first wins"
    )
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="of the first piece; each has one more; unset: drawn"
    )
    frames: Literal["binary", "base64"] = Field(
        "binary", description="base64: audio within the message that tells of it"
    )

    def line(self, piece: Piece, seed: int) -> Line:
        """What is asked of the studio for one piece."""
        here = {"format", "sample_rate_hz", "frames", "seed", "text"}
        own = self.model_dump(mode="json", exclude=here, exclude_unset=True)
        said = {"markup": self.markup, "format": _NATIVE, "text": piece.text, "seed": seed}
        return Line.model_validate_json(json.dumps(own | said))


@dataclass(frozen=True, slots=True)
class Sound:
    """What leaves at once: bytes of the stream, and the words that begin in it.

    Times are in seconds of the stream, places in characters of all that was typed.
    """

    audio: bytes
    start_s: float
    end_s: float
    words: Sequence[dict[str, Any]]


class Speech:
    """The audio of one conversation. Its methods are called one after another, from any thread.

    `origin` says for whom and what use; that it is spoken in real time is added.

    Raises:
        InvalidRequest: the rate is none of the format's, or spans are asked for.
        UnknownActor, PackRefused: there is no such voice.
    """

    def __init__(self, studio: Studio, start: Start, origin: Origin = FROM_SPEECH) -> None:
        if start.spans:
            raise InvalidRequest(
                "spans are places in a text that is not known yet",
                where="spans",
                valid="light marks in the text, with markup: marks",
            )
        self._studio, self.start = studio, start
        purpose: frozenset[Purpose] = origin.stated.purpose | {REALTIME}
        self._origin = replace(origin, stated=replace(origin.stated, purpose=purpose))
        self.rate_hz = studio.cast.pack(start.actor).sample_rate_hz
        self.output = encode.choose(
            start.format, start.sample_rate_hz, None, native_rate_hz=self.rate_hz
        )
        self.seed = studio.draw_seed() if start.seed is None else start.seed
        self._resampler = Resampler(self.rate_hz, self.output.sample_rate_hz)
        self._encoder = encode.encoder(self.output)
        self._pause_s = 0.0
        self.audio_s = 0.0  # that left so far
        self.pieces = 0

    def begin(self, piece: Piece, received_s: float, more: More = enough) -> "Spoken":
        """Have the first audio of a piece made: see `Stream` for how much `more`.

        Raises:
            VoiceError: it cannot be spoken.
        """
        seed = (self.seed + self.pieces) & MAX_SEED
        facts = {**self._origin.facts, "live": {"piece": self.pieces, "start": piece.start}}
        origin = replace(self._origin, facts=facts)
        rendering = self._studio.open(self.start.line(piece, seed), received_s, origin, more)
        rendering.take.kind = "live"
        self.pieces += 1
        pause_s, self._pause_s = self._pause_s, piece.pause_s
        return Spoken(self, rendering, piece, pause_s)

    def sound(self, pcm: Pcm, words: Sequence[dict[str, Any]]) -> Sound:
        """Samples at the voice's rate, [n], as bytes of the stream."""
        start_s = self.audio_s
        self.audio_s += len(pcm) / self.rate_hz
        audio = self._encoder.feed(self._resampler.feed(pcm))
        return Sound(audio, start_s, self.audio_s, words)

    def silence(self, seconds: float) -> Pcm:
        """At the voice's rate."""
        return np.zeros(round(seconds * self.rate_hz), np.float32)

    def flush(self) -> bytes:
        """The end of the stream."""
        return self._encoder.feed(self._resampler.flush()) + self._encoder.flush()


class Spoken:
    """One piece while it is spoken."""

    def __init__(self, speech: Speech, rendering: Rendering, piece: Piece, pause_s: float) -> None:
        self.rendering, self.piece = rendering, piece
        self._speech, self._sentences, self._words = speech, 0, list[dict[str, Any]]()
        self._begin_s = speech.audio_s + pause_s
        self._next: bytes | None = rendering.first
        self._lead = speech.silence(pause_s)

    def chunk(self) -> Sound | None:
        """The next sound, None at its end."""
        data = self._next if self._next is not None else self.rendering.chunk()
        self._next = None
        if data is None:
            return None
        pcm: Pcm = np.concatenate([self._lead, np.frombuffer(data, "<f4")])
        self._lead = self._lead[:0]
        self._hear()
        until_s = self._speech.audio_s + len(pcm) / self._speech.rate_hz
        begun = [w for w in self._words if w["start_s"] < until_s]
        del self._words[: len(begun)]
        return self._speech.sound(pcm, begun)

    def _hear(self) -> None:
        """Take over the words of sentences that were planned meanwhile."""
        planned = self.rendering.take.words_json
        for words in planned[self._sentences :]:
            for word in json.loads(b"[" + words + b"]"):
                times = moved({n: word[n] for n in ("text", "start_s", "end_s")}, self._begin_s)
                places = {n: word[n] + self.piece.start for n in ("char_start", "char_end")}
                self._words.append(times | places)
        self._sentences = len(planned)
