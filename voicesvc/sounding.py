"""A score into samples, sentence by sentence, with the silences between them.

The one way from a score to sound: a line that is spoken, a take that is made again and one that is
edited go through it. Knows nothing of takes, files or rates other than the voice's own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from voicesvc import dsp, marks, plan
from voicesvc.audio import Pcm
from voicesvc.calibration import Calibration
from voicesvc.engines import Engine
from voicesvc.lineplan import LineHead
from voicesvc.render import Silence, sentence
from voicesvc.score import Planned, Score
from voicesvc.sheet import Sheet, sheet

BREATH_DB = -24.0  # below the voice's own level: louder, DNSMOS takes it for noise


@dataclass(slots=True)
class Sounding:
    """One sentence.

    Where it is spoken while the model still works out how long it is, `planned` and `sheet` are
    `guessed` until its chunks were drained; where a pause is as long as it is heard, the `sheet`'s
    times are.
    """

    planned: Planned
    sheet: Sheet
    guessed: bool
    _engine: Engine
    _head: LineHead
    _silence: Silence
    _mark: str | None
    _frames_before: int
    _began: Callable[[Iterator[Pcm]], None]

    @property
    def times_guessed(self) -> bool:
        """Whether it is not known yet when its words are heard."""
        return self.guessed or any(cut.heard is not None for cut in self.sheet.cuts)

    @property
    def rest_samples(self) -> int | None:
        """How many the line has from this sentence on, where that is known: if it is the last."""
        known = self.planned.last and not self.guessed
        return self.sheet.samples + self.planned.after_samples if known else None

    def settle(self) -> None:
        """Have it guessed no longer how long it is: the model works out what is left."""
        if self.guessed:
            self.planned = self.planned.settled()
            self.sheet = sheet(self._head, self.planned.sentence, self.planned.natural)
            self.guessed = False

    def chunks(self) -> Iterator[Pcm]:
        """Its samples, with the silence before it and after the last.

        To be drained once, before the next sentence is asked for. Raises as `sentences`.
        """
        if self.planned.before_samples:
            yield self._silence.take(self.planned.before_samples)
        shaped = self.sheet.controls.wait
        line = replace(self.sheet.plan, frames_before=self._frames_before, shaped=shaped)
        mark = marks.mark(self._mark, line.sample_rate_hz, line.hop)
        laid = replace(self.sheet, plan=line)
        cuts = yield from sentence(self._engine, laid, self._silence, mark, self._began)
        if self.guessed:
            self.settle()
        elif self.times_guessed:
            made = sheet(self._head, self.planned.sentence, self.planned.natural, cuts)
            self._silence.owed += self.sheet.samples - made.samples
            self.sheet = made
        after = self.planned.after_samples + (self._silence.owed if self.planned.last else 0)
        if after:
            yield self._silence.take(after)


def sentences(
    engine: Engine,
    score: Score,
    voice: Calibration,
    mark: str | None,
    began: Callable[[Iterator[Pcm]], None] = lambda _: None,
) -> Iterator[Sounding]:
    """All of a score, each sentence with `mark` in it; `began` is told of the engine's stream.

    Raises:
        BadPlan: the plan is for other weights, or cannot be laid out.
        EngineFailed: the engine made another number of samples than its plan says.
    """
    silence = _silence(engine.sample_rate_hz, score.head, voice)
    before = 0
    for planned in score.planned:
        if score.samples is None:
            silence.owed = 0  # of a scene's sentences each begins when the one before has ended
        laid = sheet(score.head, planned.sentence, planned.natural, laid=planned.laid)
        if planned.settle is not None and not _timeless(laid, planned):
            planned = planned.settled()
            laid = sheet(score.head, planned.sentence, planned.natural)
        guessed = planned.settle is not None
        head = score.head
        one = Sounding(planned, laid, guessed, engine, head, silence, mark, before, began)
        yield one
        before += one.sheet.plan.frames


def _timeless(laid: Sheet, planned: Planned) -> bool:
    """Whether nothing is done to the sentence that depends on where in it a word lies."""
    moved = laid.plan.words != planned.natural.words
    return not moved and laid.controls.constant and all(c.end == 0 for c in laid.cuts)


def _silence(rate_hz: int, head: LineHead, voice: Calibration) -> Silence:
    """What a line's pauses are filled with."""

    def inhale(n: int, number: int) -> Pcm:
        seed = plan.derive_seed(head.seed, "breath", number)
        return dsp.breath(rate_hz, seed, n / rate_hz, voice.level_db + BREATH_DB)

    if not head.room_tone or voice.floor is None:
        return Silence(rate_hz, inhale)
    tone = dsp.RoomTone(voice.floor, rate_hz, plan.derive_seed(head.seed, "room"))
    return Silence(rate_hz, inhale, tone.between)
