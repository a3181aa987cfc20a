"""The page that knows the order of a take.

parse -> phonemes -> [lease voice -> plan -> stream -> resample -> encode -> yield] -> close take.
A take's sentences are planned and rendered one after another, so a scene costs no more memory and
no later first audio than a line. Knows nothing of HTTP; imports no torch until a voice is loaded.
"""

import json
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from voicesvc import encode, lexicon, metrics, packs, phonemes, plan, script, spoken
from voicesvc.audio import Pcm, Resampler, resampled_length, silence
from voicesvc.config import Settings
from voicesvc.engines import Engine
from voicesvc.errors import (
    BadSetting,
    EngineFailed,
    NothingSpeakable,
    PackRefused,
    TextTooLong,
    UnknownActor,
    UnknownTake,
    VoiceError,
)
from voicesvc.voices import Lease, Voices

_KEPT_BYTES = 64 * 2**20  # of takes' texts and timings; the oldest go first
MAX_SEED = 2**53 - 1  # what JSON's readers keep exactly
Outcome = Literal["open", "complete", "cancelled", "failed"]
LoadEngine = Callable[[packs.Pack, Settings, Callable[[str], None]], Engine]
Sentence = tuple[script.Span, tuple[phonemes.Word, ...]]
# What torch and the drivers below it raise: out of memory is a RuntimeError there.
_ENGINE_ERRORS = (RuntimeError, ValueError, MemoryError, OSError)


class Line(BaseModel):
    """What is to be said, by whom, and how it is to be delivered as audio."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    actor: str = Field(description="actor id, as listed by /v1/actors")
    text: str = Field(description="what is to be said", examples=["Hold the line."])
    format: str = Field("wav", description="wav, flac, opus, mp3, pcm_s16le or pcm_f32le")
    sample_rate_hz: int | None = Field(
        None, description="8000 to 96000; unset: the voice's own, or the nearest the format takes"
    )
    bit_depth: Literal[16, 24, "32f"] | None = Field(
        None, description="16, 24 or 32f for wav, 16 or 24 for flac; unset: 16"
    )
    seed: int | None = Field(
        None,
        ge=0,
        le=MAX_SEED,
        description="0 to 2^53 - 1; same seed, same samples; unset: drawn, and reported",
    )
    rate: Annotated[float, Field(ge=0.5, le=2.0, allow_inf_nan=False)] = Field(
        1.0, description="speaking rate, 0.5 to 2.0, in the model's durations: 2.0 halves them"
    )


@dataclass
class Take:
    """One rendering of a line, as far as it has got."""

    id: str
    line: Line
    seed: int
    output: encode.Output
    skipped: tuple[script.Skipped, ...]
    outcome: Outcome = "open"
    words_json: list[bytes] = field(default_factory=list)  # one for each sentence planned so far
    dropped: list[str] = field(default_factory=list)
    model_sha256: str = ""
    audio_s: float = 0.0  # made so far
    compute_s: float = 0.0
    stages_s: dict[str, float] = field(default_factory=dict)  # of the first sentence

    @property
    def kept_bytes(self) -> int:
        """About what it takes to remember this take."""
        return len(self.line.text) + sum(map(len, self.words_json))

    def timings_json(self) -> bytes:
        """When each word and phoneme is heard; grows until `complete`."""
        facts = {
            "take": self.id,
            "actor": self.line.actor,
            "seed": self.seed,
            "model_sha256": self.model_sha256,
            "outcome": self.outcome,
            "complete": self.outcome == "complete",
            "duration_s": round(self.audio_s, 6) if self.outcome == "complete" else None,
            "sample_rate_hz": self.output.sample_rate_hz,
            "dropped_symbols": sorted(set(self.dropped)),
        }
        words = b",".join(self.words_json)
        return json.dumps(facts)[:-1].encode() + b', "words": [' + words + b"]}"


class Rendering:
    """A take being made: its first audio is there, the rest comes by `chunk`."""

    def __init__(self, take: Take, chunks: Iterator[bytes]) -> None:
        self.take = take
        self._chunks = chunks
        self._lock = threading.Lock()
        self._closed = False
        self.first = self._next() or b""

    def chunk(self) -> bytes | None:
        """The next bytes of the file, None at its end. From any thread."""
        with self._lock:
            return None if self._closed else self._next()

    def _next(self) -> bytes | None:
        begin = time.perf_counter()
        try:
            return next((c for c in self._chunks if c), None)
        finally:
            self.take.compute_s += time.perf_counter() - begin

    def stop(self) -> None:
        """Begin no further chunk; returns at once. `close` is still to be called."""
        self._closed = True

    def close(self) -> None:
        """Stop the work and give the voice back; waits for the chunk that is being computed."""
        self.stop()
        with self._lock:
            self._chunks.close()  # type: ignore[attr-defined]


class Studio:
    """Packs, voices and takes of this process. Any public method may be called from any thread.

    Raises:
        BadSetting: an actor that is to be loaded at start has no pack.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        load: LoadEngine | None = None,
        entropy: random.Random | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self._load, self._say = load or load_engine, say
        self._entropy = entropy or random.SystemRandom()
        self.packs = packs.find(settings.models_dir)
        self.warmed = False  # whether `warm` is done
        absent = [a for a in settings.actors if a not in self.packs]
        if absent:
            detail = f"{settings.models_dir} has no actor {absent[0]!r}"
            raise BadSetting(detail, where="VOICESVC_ACTORS", valid=sorted(self.packs))
        good = {a: p for a, p in self.packs.items() if isinstance(p, packs.Pack)}
        budget = settings.device_budget_mb * 2**20 or None
        self.voices: Voices[Engine] = Voices(
            self._load_voice, {a: p.resident_bytes for a, p in good.items()}, budget
        )
        self.lexicons = lexicon.Lexicons(settings.data_path / "lexicons")
        self._takes: OrderedDict[str, Take] = OrderedDict()
        self._phonemizers: dict[tuple[str, str, bool], phonemes.Phonemizer] = {}
        self._lock = threading.Lock()

    def warm(self) -> None:
        """Load the voices that are to be ready at start. A pack that fails is in `actors()`."""
        for actor in self.settings.actors or tuple(self.packs):
            try:
                self.voices.lease(actor).release()
            except VoiceError as e:
                self._say(f"{actor}: {e}")
        self.warmed = True

    def actors(self) -> list[dict[str, Any]]:
        """Every actor there is a folder for, and where its voice stands."""
        states = self.voices.states()
        found: list[dict[str, Any]] = []
        for actor, pack in self.packs.items():
            if isinstance(pack, PackRefused):
                found.append({"actor_id": actor, "state": "failed", "reason": str(pack)})
                continue
            found.append(
                {
                    "actor_id": actor,
                    "state": states[actor].name,
                    "reason": states[actor].reason,
                    "name": pack.name,
                    "engine": pack.engine,
                    "language": pack.language,
                    "sample_rate_hz": pack.sample_rate_hz,
                    "demonstration": pack.demonstration,
                    "licence": pack.licence.model_dump(),
                    "model_sha256": pack.model_sha256,
                }
            )
        return found

    def is_ready(self, actor: str) -> bool:
        """Whether the voice would be leased without waiting for a load."""
        state = self.voices.states().get(actor)
        return state is None or state.name in ("ready", "failed")

    def _pack(self, actor: str) -> packs.Pack:
        pack = self.packs.get(actor)
        if pack is None:
            raise UnknownActor(f"no actor {actor!r}", where="actor", valid=sorted(self.packs))
        if isinstance(pack, PackRefused):
            raise PackRefused(pack.detail, where=pack.where, valid=pack.valid)
        return pack

    def _load_voice(self, actor: str) -> Engine:
        self._say(f"{actor}: loading")
        begin = time.perf_counter()
        pack = self._pack(actor)
        try:
            engine = self._load(pack, self.settings, self._say)
            self._phonemizer(pack).words("Ready.", 0)
            engine.warm()
        except _ENGINE_ERRORS as e:
            raise EngineFailed(f"{actor} cannot be loaded: {e}", where="actor") from e
        self._say(f"{actor}: ready after {time.perf_counter() - begin:.1f} s")
        return engine

    def _phonemizer(self, pack: packs.Pack) -> phonemes.Phonemizer:
        key = (pack.text.phonemizer, pack.language, pack.text.lowercase)
        with self._lock:
            if key not in self._phonemizers:
                self._phonemizers[key] = phonemes.phonemizer(*key)
            return self._phonemizers[key]

    def open(self, line: Line, received_s: float | None = None) -> Rendering:
        """Check everything, then make the first audio.

        `received_s`, of `time.perf_counter`, is when the request came, if it has waited since.

        Raises:
            VoiceError: the line cannot be spoken; what the caller got wrong costs no model step.
        """
        begin = time.perf_counter()
        received_s = begin if received_s is None else received_s
        pack = self._pack(line.actor)
        output = encode.choose(
            line.format, line.sample_rate_hz, line.bit_depth, native_rate_hz=pack.sample_rate_hz
        )
        limit = self.settings.max_text_chars
        if len(line.text) > limit:
            raise TextTooLong(f"{len(line.text)} characters", where="text", valid=f"up to {limit}")
        cleaned = script.clean(line.text)
        sentences = self._sentences(cleaned.text, pack)
        first = next(sentences, None)
        if first is None:
            raise NothingSpeakable(
                "nothing is left once what this voice cannot speak is taken out",
                where="text",
                valid="letters, digits and words of " + pack.language,
            )
        seed = self._entropy.randrange(2**32) if line.seed is None else line.seed
        take_id = f"tk_{self._entropy.getrandbits(80):020x}"
        take = Take(take_id, line, seed, output, cleaned.skipped, model_sha256=pack.model_sha256)
        take.stages_s |= {"queue": begin - received_s, "text": time.perf_counter() - begin}
        lease = self.voices.lease(line.actor)
        rendering = Rendering(take, self._render(take, lease, first, sentences))
        self._keep(take)
        first_s = time.perf_counter() - received_s
        metrics.FIRST_AUDIO.labels(line.actor, line.format).observe(first_s)
        return rendering

    def take(self, take_id: str) -> Take:
        """A take made here, if it is still kept.

        Raises:
            UnknownTake: it never was, or is no longer kept.
        """
        with self._lock:
            if take_id not in self._takes:
                kept = f"the newest {self.settings.takes_kept} takes are kept"
                raise UnknownTake(f"no take {take_id!r}", where="take", valid=kept)
            return self._takes[take_id]

    def _keep(self, take: Take) -> None:
        with self._lock:
            self._takes[take.id] = take
            kept_bytes = sum(t.kept_bytes for t in self._takes.values())
            while len(self._takes) > self.settings.takes_kept or (
                kept_bytes > _KEPT_BYTES and len(self._takes) > 1
            ):
                kept_bytes -= self._takes.popitem(last=False)[1].kept_bytes

    def _sentences(self, text: str, pack: packs.Pack) -> Iterator[Sentence]:
        """What can be spoken, sentence by sentence, as it is needed."""
        phonemizer = self._phonemizer(pack)
        sounds = {s for s in pack.text.symbols if s and plan.kind_of(s, "phone") == "phone"}
        said = lexicon.hits(text, self.lexicons.of((), pack.folder), phonemizer, sounds)
        for span in script.sentences(text, said):
            read = spoken.with_readings(span.text, span.start, said, pack.language)
            words = phonemizer.words(span.text, span.start, read)
            if any(s in sounds for w in words for s in w.phones):
                yield span, words

    def _render(
        self, take: Take, lease: Lease[Engine], first: Sentence, rest: Iterator[Sentence]
    ) -> Iterator[bytes]:
        outcome: Outcome = "failed"
        metrics.ACTIVE.inc()
        try:
            yield from self._encode(take, lease.engine, first, rest)
            outcome = "complete"
        except GeneratorExit:
            outcome = "cancelled"
            raise
        except _ENGINE_ERRORS as e:
            raise EngineFailed(f"the engine of {take.line.actor} failed: {e}") from e
        finally:
            take.outcome = outcome
            lease.release()
            self._count(take)

    @staticmethod
    def _count(take: Take) -> None:
        metrics.ACTIVE.dec()
        metrics.TAKES.labels(take.line.actor, take.outcome).inc()
        metrics.AUDIO.labels(take.line.actor, take.line.format).inc(take.audio_s)
        if take.outcome == "complete":
            metrics.COMPUTE.labels(take.line.actor).observe(take.compute_s / take.audio_s)

    def _encode(
        self, take: Take, engine: Engine, first: Sentence, rest: Iterator[Sentence]
    ) -> Iterator[bytes]:
        rate_hz = engine.sample_rate_hz
        resampler = Resampler(rate_hz, take.output.sample_rate_hz)
        encoder: encode.Encoder | None = None
        current: Sentence | None = first
        number = 0
        while current is not None:
            span, words = current
            current = next(rest, None)
            line = self._plan(take, engine, words, number)
            if encoder is None:
                alone = resampled_length(line.samples, rate_hz, take.output.sample_rate_hz)
                encoder = encode.encoder(take.output, alone if current is None else None)
            for pcm in self._stream(take, engine, line):
                yield encoder.feed(resampler.feed(pcm))
            if current is not None:
                pause = silence(span.pause_s, rate_hz)
                take.audio_s += len(pause) / rate_hz
                yield encoder.feed(resampler.feed(pause))
            number += 1
        assert encoder is not None
        yield encoder.feed(resampler.flush()) + encoder.flush()

    @staticmethod
    def _plan(
        take: Take, engine: Engine, words: tuple[phonemes.Word, ...], number: int
    ) -> plan.Plan:
        begin = time.perf_counter()
        seed = take.seed if number == 0 else plan.derive_seed(take.seed, "sentence", number)
        line = engine.plan(words, seed, take.line.rate)
        timed = plan.timings(line, take.audio_s)
        if timed:
            take.words_json.append(json.dumps(timed, ensure_ascii=False)[1:-1].encode())
        take.dropped += line.dropped
        take.stages_s.setdefault("plan", time.perf_counter() - begin)
        return line

    @staticmethod
    def _stream(take: Take, engine: Engine, line: plan.Plan) -> Iterator[Pcm]:
        begin = time.perf_counter()
        made = 0
        for pcm in engine.stream(line):
            take.stages_s.setdefault("first", time.perf_counter() - begin)
            made += len(pcm)
            take.audio_s += len(pcm) / line.sample_rate_hz
            yield pcm
        if made != line.samples:
            raise EngineFailed(f"the engine made {made} samples, the plan says {line.samples}")

    def close(self) -> None:
        """Drop the voices and end the phoneme programs."""
        self.voices.close()
        with self._lock:
            for phonemizer in self._phonemizers.values():
                phonemizer.close()
            self._phonemizers.clear()


def load_engine(pack: packs.Pack, settings: Settings, say: Callable[[str], None]) -> Engine:
    """Import the pack's weights if they are not yet, verify them, load them on the device."""
    from voicesvc.engines import convert, vits

    imported = convert.ensure(pack, settings.cache_path / "packs", say)
    return vits.load(imported, settings.device, settings.precision)
