"""The page that knows the order of a take.

markup -> phonemes -> [lease voice -> plan -> perform -> fit -> stream -> DSP -> mark -> resample
-> encode -> yield] -> close take. What is rendered is always a plan, so that one that comes back
unedited gives the same samples. Sentences are planned and rendered one after another, so a scene
costs no more memory and no later first audio than a line. No HTTP here; no torch until a voice is
loaded.
"""

import logging
import random
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from http import HTTPStatus

from voicesvc import (
    encode,
    lexicon,
    marks,
    metrics,
    request,
    score,
    seal,
    sounding,
)
from voicesvc import line as lines
from voicesvc.archive import FROM_SPEECH, Archive, Origin, Recording
from voicesvc.audio import Exactly, Resampler
from voicesvc.cast import ENGINE_ERRORS, Cast, LoadEngine, at_once, prepare_engine
from voicesvc.config import Settings
from voicesvc.door import Door
from voicesvc.engines import Engine
from voicesvc.errors import (
    EngineFailed,
    StoreFailed,
    TextTooLong,
    VoiceError,
)
from voicesvc.line import Line
from voicesvc.lineplan import LinePlan
from voicesvc.rendering import More, Rendering, enough
from voicesvc.request import Request, Voice
from voicesvc.rights import Permit, stated
from voicesvc.score import Score
from voicesvc.store import StoredTake
from voicesvc.takes import Kept, Outcome, Take, line_of_take, permit_of
from voicesvc.voices import Lease

_log = logging.getLogger(__name__)
_COUNTED = ("wav", "flac", "mp3")  # files that say at their beginning how long they are


class Studio:
    """The takes of this process and its cast. Any public method may be called from any thread.

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
        archive: Archive | None = None,
        traced: Callable[[Take], None] | None = None,
    ) -> None:
        self.settings, self._traced = settings, traced
        self.cast = Cast(settings, at_once(load) if load else prepare_engine, say)
        self.mark = marks.PERTH if settings.watermark == "on" else None
        self.archive = archive
        self._entropy = entropy or random.SystemRandom()
        self.lexicons = lexicon.Lexicons(settings.data_path / "lexicons")
        self.takes = Kept(settings.takes_kept)

    def warm(self) -> None:
        """Load what marks, and the voices that are to be ready at start."""
        marks.warm(self.mark)
        self.cast.warm()

    @property
    def archive(self) -> Archive | None:
        """Where takes are kept, if they are; with another one there are other grants."""
        return self._archive

    @archive.setter
    def archive(self, archive: Archive | None) -> None:
        self._archive = archive
        self.seal = None if archive is None else seal.of(self.settings, archive)
        if archive is not None:
            archive.signs = self.seal is not None
        self.door = Door(self.cast, self.settings, archive)

    def is_ready(self, line: Line) -> bool:
        """Whether the line's voice would be leased without waiting for a load."""
        return self.cast.is_ready(line.actor or (line.plan.actor if line.plan else ""))

    def open(
        self,
        line: Line,
        received_s: float | None = None,
        origin: Origin | None = FROM_SPEECH,
        more: More = enough,
    ) -> Rendering:
        """Check everything, then make the first audio: see `Stream` for how much `more`.

        The take is kept where there is an archive, unless `origin` is None or says otherwise.
        `received_s`, of `time.perf_counter`, is when the request came, if it has waited since.

        Raises:
            VoiceError: the line cannot be spoken; what the caller got wrong costs no model step.
        """
        begin = time.perf_counter()
        received_s = begin if received_s is None else received_s
        asked = self._request(line)
        actor = asked.pack.actor_id
        output = encode.choose(
            line.format,
            line.sample_rate_hz,
            line.bit_depth,
            native_rate_hz=asked.pack.sample_rate_hz,
        )
        permit = self.door.speak(asked.pack, line, origin or FROM_SPEECH)
        named = origin.take_id if origin is not None else None
        take = Take(named or self.new_id("tk"), actor, line, asked.seed, output)
        take.note(asked)
        take.mark, take.permit = self.mark, permit
        if origin is not None:
            take.kind = "batch" if origin.queued else "audition"
            take.traceparent = origin.traceparent
        take.stages["queue"] = (received_s, begin)
        take.stage("text", begin)
        leasing = time.perf_counter()
        lease = self.cast.lease(asked.pack)
        take.stage("voice", leasing)
        recording = None
        if self.archive is not None and origin is not None and origin.kept:
            recording = self.archive.open(take.opened(origin), origin)
        chunks = self._render(take, lease, asked, recording)
        rendering = Rendering(take, chunks, self.demand, more)
        self._kept(rendering, recording)
        self.takes.add(take)
        take.first_audio_s = time.perf_counter() - received_s
        first_audio = metrics.FIRST_AUDIO.labels(actor, line.format)
        first_audio.observe(take.first_audio_s, take.exemplar)
        return rendering

    @staticmethod
    def _kept(rendering: Rendering, recording: Recording | None) -> None:
        """Return once the take's row is there; a take that cannot be kept is not spoken."""
        if recording is None:
            return
        try:
            recording.opened()
        except StoreFailed:
            rendering.close()
            raise

    def new_id(self, kind: str) -> str:
        """An id for something that is made: the kind, and 80 random bits."""
        return f"{kind}_{self._entropy.getrandbits(80):020x}"

    def draw_seed(self) -> int:
        """A seed for a line that names none."""
        return self._entropy.randrange(2**32)

    def check_text(self, line: Line) -> str:
        """Every check that needs neither a model nor a grant; whose voice it asks for.

        Raises:
            VoiceError: the line cannot be spoken.
        """
        return self._request(line).pack.actor_id

    def check(self, line: Line, origin: Origin, takes: int = 1) -> Permit:
        """Every check that needs no model; the permit to have so many takes made of the line.

        Raises:
            VoiceError: the line cannot be spoken.
        """
        return self.door.speak(self._request(line).pack, line, origin, takes)

    def begin(self, take: StoredTake) -> Rendering:
        """Make a take that was queued.

        Raises:
            VoiceError: it cannot be made.
        """
        origin = Origin(take_id=take.id, queued=True, production=take.production, line=take.line)
        said = stated.kept(take.facts.get("use", {}))
        return self.open(line_of_take(take), origin=replace(origin, stated=said))

    def plan(self, line: Line) -> tuple[LinePlan, Score, Request]:
        """The line made explicit, what was found out on the way, and what was asked.

        Raises:
            VoiceError: the line cannot be planned.
        """
        asked = self._request(line)
        self.door.demand_actor(asked.pack.actor_id)
        with self.cast.leased(asked.pack.actor_id) as engine:
            found = asked.plan(engine)
            return score.document(found), found, asked

    def _request(self, line: Line) -> Request:
        """Every check that needs no model."""
        lines.check(line)
        if line.plan is not None:
            pack = self.cast.pack(line.plan.actor)
            return request.of_plan(line, line.plan, pack.speaking(line.plan.language))
        pack = self.cast.pack(line.actor or "").speaking(line.language)
        limit = self.settings.max_text_chars
        if len(line.text or "") > limit:
            detail = f"{len(line.text or '')} characters"
            raise TextTooLong(detail, where="text", valid=f"up to {limit}")
        seed = self.draw_seed() if line.seed is None else line.seed
        given = self.lexicons.of(line.lexicons, pack.folder)
        median_hz = partial(self._median_hz, pack.actor_id)
        return request.of_text(
            line, seed, Voice(pack, self.cast.phonemizer(pack), given, median_hz)
        )

    def _median_hz(self, actor: str) -> float:
        return self.cast.calibration(actor).f0_median_hz

    def _render(
        self, take: Take, lease: Lease[Engine], asked: Request, recording: Recording | None
    ) -> Generator[bytes]:
        outcome: Outcome = "failed"
        reason: str | None = None
        metrics.ACTIVE.inc()
        try:
            self.demand(take)
            yield from self._encode(take, lease.engine, asked, recording)
            outcome = "complete"
        except GeneratorExit:
            outcome, reason = "cancelled", "the listener left"
            raise
        except ENGINE_ERRORS as e:
            reason = str(e)
            raise EngineFailed(f"the engine of {take.actor} failed: {e}") from e
        except VoiceError as e:
            outcome = "refused" if e.status < HTTPStatus.INTERNAL_SERVER_ERROR else "failed"
            reason = str(e)
            raise
        finally:
            take.outcome, take.sound = outcome, None
            lease.release()
            self._count(take)
            self.door.done(permit_of(take))
            if recording is not None and outcome != "complete":
                recording.drop(outcome, reason, take.audio_s)

    def demand(self, take: Take) -> None:
        """That the permit of a take that is made still stands.

        Raises:
            Unlicensed: it does not; the take ends here.
        """
        self.door.demand(permit_of(take), take.audio_s)

    def _count(self, take: Take) -> None:
        metrics.ACTIVE.dec()
        if take.outcome == "refused":
            return
        metrics.TAKES.labels(take.actor, take.outcome).inc()
        metrics.AUDIO.labels(take.actor, take.line.format, take.kind).inc(take.audio_s)
        if take.outcome == "complete":
            rtf = take.compute_s / take.audio_s
            metrics.COMPUTE.labels(take.actor).observe(rtf, take.exemplar)
        _log.info("take", extra=take.logged())
        if self._traced is not None:
            self._traced(take)

    def _encode(
        self, take: Take, engine: Engine, asked: Request, recording: Recording | None
    ) -> Iterator[bytes]:
        rate_hz, out_hz = engine.sample_rate_hz, take.output.sample_rate_hz
        begin = time.perf_counter()
        found = asked.plan(engine)
        take.fitted = found.fitted
        resampler = Resampler(rate_hz, out_hz)
        exactly = Exactly(found.length_at(out_hz))
        encoder: encode.Encoder | None = None
        written = score.Writer()
        # Such a file begins with its length, where that is known without making the sound.
        counted = take.output.format.name in _COUNTED and "duration" in engine.native
        voice, began = self.cast.calibration(take.actor), partial(setattr, take, "sound")
        for one in sounding.sentences(engine, found, voice, self.mark, began):
            if counted and encoder is None and one.planned.last:
                one.settle()
            take.stage("plan", begin)
            take.sources |= found.limited()
            from_s, guessed = take.audio_s, one.times_guessed
            if not guessed:
                take.planned(one, from_s)
            if encoder is None:
                encoder = encode.encoder(take.output, found.length_at(out_hz, one.rest_samples))
            first = time.perf_counter()
            for pcm in one.chunks():
                take.stage("first", first)
                take.audio_s += len(pcm) / rate_hz
                if recording is not None:
                    recording.feed(pcm)
                    take.heard(pcm)
                self.demand(take)
                if len(pcm):  # or a file's head would be taken for its first audio
                    ready = [encoder.feed(exactly.feed(resampler.feed(pcm)))]
                    del pcm  # not held while a slow listener takes what is given
                    yield ready.pop()
            if guessed:
                take.planned(one, from_s)
            written.add(one.planned)
        assert encoder is not None
        yield encoder.feed(exactly.feed(resampler.flush()))
        if found.length_s is not None:
            take.audio_s = float(found.length_s)
        yield encoder.feed(exactly.flush()) + encoder.flush()
        take.stage("rest", take.stages["first"][1])
        take.outcome = "complete"
        if recording is not None:
            keeping = time.perf_counter()
            recording.complete(take.made(engine, written.finish(found), score.length_of(found)))
            take.stage("keep", keeping)

    def close(self) -> None:
        """Drop the voices and end the phoneme programs."""
        self.cast.close()
