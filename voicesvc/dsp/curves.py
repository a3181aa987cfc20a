"""What the shaping of a sentence may ask for, over the samples of the sentence."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Piecewise linear over samples, constant beyond its ends.

    Raises:
        ValueError: the arrays differ in length, are empty, fall, or hold what is not finite.
    """

    at: Floats  # [n], samples, rising
    value: Floats  # [n]

    def __post_init__(self) -> None:
        if self.at.ndim != 1 or self.at.shape != self.value.shape or not len(self.at):
            raise ValueError("a curve has as many positions as values, at least one")
        if not (np.isfinite(self.at).all() and np.isfinite(self.value).all()):
            raise ValueError("a curve holds finite numbers")
        if (np.diff(self.at) < 0).any():
            raise ValueError("a curve's positions rise")

    @classmethod
    def constant(cls, value: float) -> "Curve":
        """The same value everywhere."""
        return cls(np.zeros(1), np.full(1, float(value)))

    def __call__(self, t: NDArray[np.floating] | NDArray[np.integer]) -> Floats:
        """The values at samples `t`, [n]."""
        return np.asarray(np.interp(t, self.at, self.value))

    def is_constant(self, value: float) -> bool:
        """Whether it is `value` everywhere."""
        return bool((self.value == value).all())


def _nothing() -> Curve:
    return Curve.constant(0.0)


def _once() -> Curve:
    return Curve.constant(1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Controls:
    """Everything the shaper does, each as a curve over the sentence's samples."""

    pitch_st: Curve = field(default_factory=_nothing)  # 0 leaves f0 alone
    range: Curve = field(default_factory=_once)  # factor of log f0's distance from `pivot_hz`
    energy_db: Curve = field(default_factory=_nothing)
    tilt_db: Curve = field(default_factory=_nothing)  # high shelf above 1.5 kHz
    breathiness: Curve = field(default_factory=_nothing)  # 0 to 1
    whisper: Curve = field(default_factory=_nothing)  # 0 to 1; 0 is voiced
    jitter_st: float = 0.0  # standard deviation of random f0 from period to period
    pivot_hz: float = 120.0

    def __post_init__(self) -> None:
        if not self.pivot_hz > 0 or not math.isfinite(self.pivot_hz):
            raise ValueError("pivot_hz is a frequency")

    @property
    def moves_pitch(self) -> bool:
        """Whether f0 is changed anywhere."""
        still = self.pitch_st.is_constant(0.0) and self.range.is_constant(1.0)
        return not still or self.jitter_st != 0.0

    @property
    def adds_noise(self) -> bool:
        """Whether breath noise is mixed in anywhere."""
        return not (self.breathiness.is_constant(0.0) and self.whisper.is_constant(0.0))

    @property
    def wait(self) -> bool:
        """Whether what comes later is to be heard first."""
        return self.moves_pitch or self.adds_noise

    @property
    def constant(self) -> bool:
        """Whether the same is asked for everywhere."""
        curves = (self.pitch_st, self.range, self.energy_db, self.tilt_db)
        every = (*curves, self.breathiness, self.whisper)
        return all(c.is_constant(float(c.value[0])) for c in every)

    @property
    def identity(self) -> bool:
        """Whether nothing is asked for anywhere."""
        flat = self.energy_db.is_constant(0.0) and self.tilt_db.is_constant(0.0)
        return flat and not self.wait
