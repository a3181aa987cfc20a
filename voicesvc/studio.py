"""The page that knows the order of a take.

markup -> phonemes -> [lease voice -> plan -> perform -> fit -> stream -> DSP -> resample -> encode
-> yield] -> close take. A text is always planned first and the plan rendered, so that a plan that
comes back unedited gives the same samples. Sentences are planned and rendered one after another,
so a scene costs no more memory and no later first audio than a line. Knows nothing of HTTP;
imports no torch until a voice is loaded.
"""

import itertools
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from voicesvc import (
    dsp,
    encode,
    lexicon,
    lineplan,
    markup,
    metrics,
    packs,
    phonemes,
    plan,
    reading,
    score,
    script,
)
from voicesvc import line as lines
from voicesvc.audio import Exactly, Pcm, Resampler
from voicesvc.config import Settings
from voicesvc.directions import Directed, Style
from voicesvc.engines import Engine
from voicesvc.errors import (
    BadSetting,
    EngineFailed,
    NothingSpeakable,
    PackRefused,
    TextTooLong,
    UnknownActor,
    VoiceError,
)
from voicesvc.line import Line
from voicesvc.lineplan import LineHead, LinePlan
from voicesvc.perform import Asked, Layer, Performer
from voicesvc.render import Silence, sentence
from voicesvc.score import Planned, Score
from voicesvc.sheet import Sheet, sheet
from voicesvc.takes import Kept, Outcome, Rendering, Take
from voicesvc.voices import Lease, Voices

LoadEngine = Callable[[packs.Pack, Settings, Callable[[str], None]], Engine]
# What torch and the drivers below it raise: out of memory is a RuntimeError there.
_ENGINE_ERRORS = (RuntimeError, ValueError, MemoryError, OSError)


@dataclass(frozen=True, slots=True)
class Request:
    """A line that has been checked: what is left is to plan and to render it."""

    line: Line
    pack: packs.Pack
    seed: int
    skipped: tuple[script.Skipped, ...]
    plan: Callable[[Engine], Score]


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
        self.takes = Kept(settings.takes_kept)
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

    def is_ready(self, line: Line) -> bool:
        """Whether the line's voice would be leased without waiting for a load."""
        actor = line.actor or (line.plan.actor if line.plan else "")
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
        request = self._request(line)
        actor = request.pack.actor_id
        output = encode.choose(
            line.format,
            line.sample_rate_hz,
            line.bit_depth,
            native_rate_hz=request.pack.sample_rate_hz,
        )
        take_id = f"tk_{self._entropy.getrandbits(80):020x}"
        take = Take(take_id, actor, line, request.seed, output, request.skipped)
        take.model_sha256 = request.pack.model_sha256
        take.stages_s |= {"queue": begin - received_s, "text": time.perf_counter() - begin}
        lease = self.voices.lease(actor)
        rendering = Rendering(take, self._render(take, lease, request))
        self.takes.add(take)
        first_s = time.perf_counter() - received_s
        metrics.FIRST_AUDIO.labels(actor, line.format).observe(first_s)
        return rendering

    def plan(self, line: Line) -> tuple[LinePlan, Score, tuple[script.Skipped, ...]]:
        """The line made explicit, what was found out on the way, and what is not spoken.

        Raises:
            VoiceError: the line cannot be planned.
        """
        request = self._request(line)
        lease = self.voices.lease(request.pack.actor_id)
        try:
            found = request.plan(lease.engine)
            return score.document(found), found, request.skipped
        except _ENGINE_ERRORS as e:
            raise EngineFailed(f"the engine of {line.actor} failed: {e}") from e
        finally:
            lease.release()

    def _request(self, line: Line) -> Request:
        """Every check that needs no model."""
        lines.check(line)
        if line.plan is not None:
            return self._of_plan(line, line.plan)
        assert line.actor is not None
        assert line.text is not None
        pack = self._pack(line.actor)
        limit = self.settings.max_text_chars
        if len(line.text) > limit:
            raise TextTooLong(f"{len(line.text)} characters", where="text", valid=f"up to {limit}")
        directed = markup.parse(line.text, line.markup, lenient=line.lenient)
        cleaned = script.clean(directed.text)
        directed = replace(directed, text=cleaned.text)
        given = self.lexicons.of(line.lexicons, pack.folder)
        texts = reading.sentences(directed, pack, self._phonemizer(pack), given)
        first = next(texts, None)
        if first is None:
            raise NothingSpeakable(
                "nothing is left once what this voice cannot speak is taken out",
                where="text",
                valid="letters, digits and words of " + pack.language,
            )
        seed = self._entropy.randrange(2**32) if line.seed is None else line.seed
        asked = Asked(directed, self._layers(line, directed, pack))
        head = LineHead(
            actor=pack.actor_id,
            model_sha256=pack.model_sha256,
            sample_rate_hz=pack.sample_rate_hz,
            seed=seed,
        )

        def planned(engine: Engine) -> Score:
            return score.of_text(
                engine, head, itertools.chain((first,), texts), Performer(asked), line.fit
            )

        return Request(line, pack, seed, cleaned.skipped, planned)

    def _layers(self, line: Line, directed: Directed, pack: packs.Pack) -> tuple[Layer, ...]:
        """What the line, what is in capitals and the markup ask for, outer ones first."""
        styled = (*reading.shouted(directed, pack.language), *directed.styled)
        whole = Layer(0, len(directed.text), Style(rate=line.rate))
        said = () if line.rate == 1.0 else (whole,)
        return (*said, *(Layer(s.start, s.end, s.style) for s in styled))

    def _of_plan(self, line: Line, document: LinePlan) -> Request:
        pack = self._pack(document.actor)
        symbols = frozenset(s for s in pack.text.symbols if s)
        lineplan.check(document, line.actor, pack.model_sha256, symbols)

        def planned(engine: Engine) -> Score:
            return score.of_document(engine, document, line.fit)

        return Request(line, pack, document.seed, (), planned)

    def _render(self, take: Take, lease: Lease[Engine], request: Request) -> Generator[bytes]:
        outcome: Outcome = "failed"
        metrics.ACTIVE.inc()
        try:
            yield from self._encode(take, lease.engine, request)
            outcome = "complete"
        except GeneratorExit:
            outcome = "cancelled"
            raise
        except _ENGINE_ERRORS as e:
            raise EngineFailed(f"the engine of {take.actor} failed: {e}") from e
        except VoiceError as e:
            outcome = "refused" if e.status < HTTPStatus.INTERNAL_SERVER_ERROR else "failed"
            raise
        finally:
            take.outcome = outcome
            lease.release()
            self._count(take)

    @staticmethod
    def _count(take: Take) -> None:
        metrics.ACTIVE.dec()
        if take.outcome == "refused":
            return
        metrics.TAKES.labels(take.actor, take.outcome).inc()
        metrics.AUDIO.labels(take.actor, take.line.format).inc(take.audio_s)
        if take.outcome == "complete":
            metrics.COMPUTE.labels(take.actor).observe(take.compute_s / take.audio_s)

    def _encode(self, take: Take, engine: Engine, request: Request) -> Iterator[bytes]:
        rate_hz, out_hz = engine.sample_rate_hz, take.output.sample_rate_hz
        begin = time.perf_counter()
        found = request.plan(engine)
        take.fitted = found.fitted
        resampler = Resampler(rate_hz, out_hz)
        exactly = Exactly(found.length_at(out_hz))
        encoder: encode.Encoder | None = None
        silence = _silence(rate_hz, found.head)
        for planned in found.planned:
            laid = sheet(found.head, planned.sentence, planned.natural)
            take.stages_s.setdefault("plan", time.perf_counter() - begin)
            if encoder is None:
                alone = laid.samples + planned.after_samples if planned.last else None
                encoder = encode.encoder(take.output, found.length_at(out_hz, alone))
            for pcm in _pieces(take, engine, planned, laid, silence):
                yield encoder.feed(exactly.feed(resampler.feed(pcm)))
        assert encoder is not None
        yield encoder.feed(exactly.feed(resampler.flush()))
        if found.length_s is not None:
            take.audio_s = float(found.length_s)
        yield encoder.feed(exactly.flush()) + encoder.flush()

    def close(self) -> None:
        """Drop the voices and end the phoneme programs."""
        self.voices.close()
        with self._lock:
            for phonemizer in self._phonemizers.values():
                phonemizer.close()
            self._phonemizers.clear()


def _pieces(
    take: Take, engine: Engine, planned: Planned, laid: Sheet, silence: Silence
) -> Iterator[Pcm]:
    """One sentence with the silence before it, and after it if it is the last."""
    rate_hz = engine.sample_rate_hz
    if planned.before_samples:
        take.audio_s += planned.before_samples / rate_hz
        yield silence.take(planned.before_samples)
    take.planned(laid, planned.natural.dropped)
    begin = time.perf_counter()
    for pcm in sentence(engine, laid, silence):
        take.stages_s.setdefault("first", time.perf_counter() - begin)
        take.audio_s += len(pcm) / rate_hz
        yield pcm
    if planned.after_samples:
        take.audio_s += planned.after_samples / rate_hz
        yield silence.take(planned.after_samples)


def _silence(rate_hz: int, head: LineHead) -> Silence:
    """What this take's pauses are filled with."""

    def inhale(n: int, number: int) -> Pcm:
        seed = plan.derive_seed(head.seed, "breath", number)
        return dsp.breath(rate_hz, seed, n / rate_hz)

    return Silence(rate_hz, inhale)


def load_engine(pack: packs.Pack, settings: Settings, say: Callable[[str], None]) -> Engine:
    """Import the pack's weights if they are not yet, verify them, load them on the device."""
    from voicesvc.engines import convert, vits

    imported = convert.ensure(pack, settings.cache_path / "packs", say)
    return vits.load(imported, settings.device, settings.precision)
