"""A plan fitted to a length: what is wanted, and how it is met to the sample.

Knows nothing of audio; how speech gives way is in `stretch`.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from voicesvc.errors import CannotFit
from voicesvc.lineplan import SentencePlan, rounded_ms
from voicesvc.stretch import CONSONANT, PAUSE, VOWEL, Sentences, solve, stretched_by, sums_ms

LIMITS = (0.6, 1.7)  # of the whole: beyond them speech sounds edited
LONGEST_S = 3600.0
_SETTLED_MS = 40.0  # what whole frames may leave for the silence at the end
_MOST_LEFT_MS = 120.0  # where frames that change together leave no better
_DROP_FRAME = {"23.976": "24000/1001", "29.97": "30000/1001", "59.94": "60000/1001"}
_FPS = re.compile(r"[1-9][0-9]{0,5}(/[1-9][0-9]{0,5})?")


_SECONDS = f"above 0, up to {LONGEST_S:g}"
Seconds = Annotated[float, Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]


class Fit(BaseModel):
    """How long the line is to last. One exact length, or bounds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seconds: Seconds | None = Field(None, description=_SECONDS)
    samples: Annotated[int, Field(ge=1, le=2**40)] | None = Field(None, description="with at_hz")
    at_hz: Annotated[int, Field(ge=1, le=768_000)] | None = Field(
        None, description="1 to 768000, with samples"
    )
    frames: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(None, description="with fps")
    fps: str | int | float | None = Field(None, description='24, "24000/1001", 23.976')
    max_seconds: Seconds | None = Field(None, description=_SECONDS)
    min_seconds: Seconds | None = Field(None, description=_SECONDS)
    limits: Annotated[
        tuple[
            Annotated[float, Field(ge=0.1, le=1.0, allow_inf_nan=False)],
            Annotated[float, Field(ge=1.0, le=10.0, allow_inf_nan=False)],
        ],
        Field(strict=False, description="least and greatest stretch of the whole line"),
    ] = LIMITS

    @field_validator("fps")
    @classmethod
    def _rate(cls, fps: str | int | float | None) -> str | None:
        if fps is None:
            return None
        said = _DROP_FRAME.get(str(fps), str(fps).removesuffix(".0"))
        if not _FPS.fullmatch(said):
            raise ValueError('valid: a number such as 24 or 25, "24000/1001", 23.976, 29.97, 59.94')
        return said

    @model_validator(mode="after")
    def _one(self) -> "Fit":
        exact = [n for n in ("seconds", "samples", "frames") if getattr(self, n) is not None]
        bounds = [n for n in ("max_seconds", "min_seconds") if getattr(self, n) is not None]
        if len(exact) + bool(bounds) != 1:
            raise ValueError(
                "valid: one of seconds, samples with at_hz, frames with fps, or bounds"
                " (max_seconds, min_seconds)"
            )
        for number, unit in (("samples", "at_hz"), ("frames", "fps")):
            if (getattr(self, number) is None) != (getattr(self, unit) is None):
                raise ValueError(f"{number} and {unit} go together")
        if self.max_seconds and self.min_seconds and self.min_seconds > self.max_seconds:
            raise ValueError("min_seconds is greater than max_seconds")
        return self

    @property
    def bounds(self) -> bool:
        """Whether a length within bounds is wanted, and no exact one."""
        return self.max_seconds is not None or self.min_seconds is not None

    def target(self, natural_s: Fraction) -> Fraction | None:
        """The exact length in seconds; None where `natural_s` already is within the bounds."""
        if self.seconds is not None:
            return _exactly(self.seconds)
        if self.samples is not None and self.at_hz is not None:
            return Fraction(self.samples, self.at_hz)
        if self.frames is not None and self.fps is not None:
            return self.frames / Fraction(str(self.fps))
        if self.max_seconds is not None and natural_s > _exactly(self.max_seconds):
            return _exactly(self.max_seconds)
        if self.min_seconds is not None and natural_s < _exactly(self.min_seconds):
            return _exactly(self.min_seconds)
        return None


def _exactly(seconds: float) -> Fraction:
    """As it is written in decimals, to a nanosecond: 2.4 is 12/5."""
    return Fraction(round(seconds * 1_000_000_000), 1_000_000_000)


@dataclass(frozen=True, slots=True)
class Report:
    """What fitting did. Factors: 2.0 lasts twice as long."""

    natural_s: float
    target_s: float
    stretch: float  # of the whole
    pauses: float
    vowels: float
    consonants: float
    worst: float  # the phoneme that is farthest from its own length
    worst_phoneme: str

    @property
    def header(self) -> str:
        """The numbers in one line of ASCII."""
        return "; ".join(f"{n}={v}" for n, v in self.json().items() if isinstance(v, float))

    def json(self) -> dict[str, Any]:
        """For an answer."""
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in ((n, getattr(self, n)) for n in self.__slots__)
        }


def fit(
    line: Sentences, wanted: Fit, made_ms: Callable[[Sentences], float]
) -> tuple[Sentences, Fraction | None, Report | None]:
    """Sentences at the length that is wanted, that length in seconds, and what was done.

    `made_ms` says how long sentences really come out. A line within bounds, if bounds are all
    that is wanted, comes back as it is, with no length.

    Raises:
        CannotFit: the line would have to be stretched beyond the limits; says what is natural.
    """
    natural_ms = made_ms(line)
    target_s = wanted.target(Fraction(natural_ms) / 1000)
    if target_s is None:
        return line, None, None
    target_ms = float(target_s * 1000)
    low, high = wanted.limits
    stretch = target_ms / natural_ms
    if not low <= stretch <= high:
        raise CannotFit(
            f"{target_ms / 1000:.3f} s is {stretch:.2f} times this line's natural"
            f" {natural_ms / 1000:.3f} s; the limits are {low:g} and {high:g}",
            where="fit",
            valid=f"{low * natural_ms / 1000:.3f} to {high * natural_ms / 1000:.3f} s,"
            " or other limits",
        )
    k, done = _settle(line, target_ms, made_ms)
    return done, target_s, _report(line, done, natural_ms, target_ms, k)


def _settle(
    line: Sentences, target_ms: float, made_ms: Callable[[Sentences], float]
) -> tuple[float, Sentences]:
    """The common stretch and the sentences at `target_ms`.

    Frames are whole, so a line comes out a few milliseconds beside its durations' sum; the aim is
    moved until it comes out a little short, and the rest goes into the silence at its end.

    Raises:
        CannotFit: no stretch comes close, because every phoneme has its shortest length.
    """
    sums = sums_ms(line)
    aim_ms = target_ms
    best: tuple[float, float, list[SentencePlan]] | None = None  # what is left, in ms, and of what
    for _ in range(16):
        k = solve(sums, aim_ms)
        stretched = stretched_by(line, k)
        left_ms = target_ms - made_ms(stretched)
        if left_ms >= 0 and (best is None or left_ms < best[0]):
            best = left_ms, k, stretched
        if 0 <= left_ms <= _SETTLED_MS:
            break
        aim_ms = max(aim_ms + left_ms - _SETTLED_MS / 4, 1.0)
    if best is not None and best[0] <= _MOST_LEFT_MS:
        left_ms, k, stretched = best
        last = stretched[-1]
        longer = last.model_copy(update={"pause_ms": rounded_ms(last.pause_ms + left_ms)})
        return k, [*stretched[:-1], longer]
    raise CannotFit(
        f"{target_ms / 1000:.3f} s: every phoneme is as short as it can be", where="fit"
    )


def _report(
    line: Sentences, done: Sentences, natural_ms: float, target_ms: float, k: float
) -> Report:
    worst, worst_phoneme = 1.0, ""
    for before, after in zip(line, done, strict=True):
        for a, b in zip(before.words, after.words, strict=True):
            for p, q in zip(a.phonemes, b.phonemes, strict=True):
                factor = q.duration_ms / p.duration_ms if p.duration_ms else 1.0
                if abs(math.log(factor)) > abs(math.log(worst)):
                    worst, worst_phoneme = factor, p.symbol
    return Report(
        natural_s=natural_ms / 1000,
        target_s=target_ms / 1000,
        stretch=target_ms / natural_ms,
        pauses=math.exp(PAUSE * k),
        vowels=math.exp(VOWEL * k),
        consonants=math.exp(CONSONANT * k),
        worst=worst,
        worst_phoneme=worst_phoneme,
    )
