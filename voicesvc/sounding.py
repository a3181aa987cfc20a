"""A score into samples, sentence by sentence, with the silences between them.

The one way from a score to sound: a line that is spoken, a take that is made again and one that is
edited go through it. Knows nothing of takes, files or rates other than the voice's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from voicesvc import dsp, plan
from voicesvc.audio import Pcm
from voicesvc.calibration import Calibration
from voicesvc.engines import Engine
from voicesvc.lineplan import LineHead
from voicesvc.render import Silence, sentence
from voicesvc.score import Planned, Score
from voicesvc.sheet import Sheet, sheet

BREATH_DB = -24.0  # below the voice's own level: louder, DNSMOS takes it for noise


@dataclass(frozen=True, slots=True)
class Sounding:
    """One sentence; `chunks` are its samples, with the silence before it and after the last.

    The chunks of one have to be drained before the next is asked for.
    """

    planned: Planned
    sheet: Sheet
    chunks: Iterator[Pcm]


def sentences(engine: Engine, score: Score, voice: Calibration) -> Iterator[Sounding]:
    """All of a score.

    Raises:
        BadPlan: the plan is for other weights, or cannot be laid out.
        EngineFailed: the engine made another number of samples than its plan says.
    """
    silence = _silence(engine.sample_rate_hz, score.head, voice)
    for planned in score.planned:
        laid = sheet(score.head, planned.sentence, planned.natural)
        yield Sounding(planned, laid, _chunks(engine, planned, laid, silence))


def _chunks(engine: Engine, planned: Planned, laid: Sheet, silence: Silence) -> Iterator[Pcm]:
    if planned.before_samples:
        yield silence.take(planned.before_samples)
    yield from sentence(engine, laid, silence)
    if planned.after_samples:
        yield silence.take(planned.after_samples)


def _silence(rate_hz: int, head: LineHead, voice: Calibration) -> Silence:
    """What a line's pauses are filled with."""

    def inhale(n: int, number: int) -> Pcm:
        seed = plan.derive_seed(head.seed, "breath", number)
        return dsp.breath(rate_hz, seed, n / rate_hz, voice.level_db + BREATH_DB)

    if not head.room_tone or voice.floor is None:
        return Silence(rate_hz, inhale)
    tone = dsp.RoomTone(voice.floor, rate_hz, plan.derive_seed(head.seed, "room"))
    return Silence(rate_hz, inhale, tone.between)
