"""Shape: what is done to a stretch of speech, as numbers; how shapes add up."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

FACTORS = ("rate", "pause_scale", "range")  # they multiply, everything else adds
_SHARES = ("breathiness", "whisper")  # 1 is all there is


@dataclass(frozen=True, slots=True)
class Shape:
    """What is done to a stretch; the default does nothing."""

    rate: float = 1.0  # factor: every duration, pauses too, is divided by it
    pause_scale: float = 1.0  # factor of pauses, on top of `rate`
    pitch_st: float = 0.0
    range: float = 1.0  # factor of log f0's distance from the voice's median
    energy_db: float = 0.0
    tilt_db: float = 0.0  # high shelf above 1.5 kHz
    breathiness: float = 0.0  # 0 to 1
    whisper: float = 0.0  # 0 to 1; 0 is voiced
    jitter_st: float = 0.0  # standard deviation of f0 from period to period


NAMES = tuple(f.name for f in fields(Shape))
# What a line may come to, once everything that was asked for it is put together.
LIMITS: dict[str, tuple[float, float]] = {
    "rate": (0.25, 4.0),
    "pause_scale": (0.0, 8.0),
    "pitch_st": (-4.0, 8.0),  # beyond, voice quality falls; `extreme` asks for it all the same
    "range": (0.0, 6.0),
    "energy_db": (-30.0, 15.0),
    "tilt_db": (-15.0, 15.0),
}
EXTREME_PITCH_ST = (-12.0, 12.0)
_EXTREME = LIMITS | {"pitch_st": EXTREME_PITCH_ST}


def compose(outer: Shape, inner: Shape) -> Shape:
    """One shape within another: factors multiply, `_st` and `_db` add.

    Shares of breath add up to 1 at most; standard deviations of jitter, which are independent,
    add in squares.
    """
    return Shape(
        rate=outer.rate * inner.rate,
        pause_scale=outer.pause_scale * inner.pause_scale,
        pitch_st=outer.pitch_st + inner.pitch_st,
        range=outer.range * inner.range,
        energy_db=outer.energy_db + inner.energy_db,
        tilt_db=outer.tilt_db + inner.tilt_db,
        breathiness=min(1.0, outer.breathiness + inner.breathiness),
        whisper=min(1.0, outer.whisper + inner.whisper),
        jitter_st=math.hypot(outer.jitter_st, inner.jitter_st),
    )


def blend(weighted: Iterable[tuple[float, Shape]]) -> Shape:
    """Each shape by its weight, from a shape that does nothing: factors geometrically."""
    values = {name: 1.0 if name in FACTORS else 0.0 for name in NAMES}
    for weight, shape in weighted:
        for name in NAMES:
            value = getattr(shape, name)
            if name in FACTORS:
                values[name] *= value**weight
            else:
                values[name] += weight * value
    for name in _SHARES:
        values[name] = min(1.0, values[name])
    return Shape(**values)


def within(shape: Shape, *, extreme: bool = False) -> tuple[Shape, frozenset[str]]:
    """The shape brought within its limits, however it came together, and what was too much."""
    changed: dict[str, float] = {}
    for name, (low, high) in (_EXTREME if extreme else LIMITS).items():
        value = getattr(shape, name)
        if not low <= value <= high:
            changed[name] = min(max(value, low), high)
    return (replace(shape, **changed) if changed else shape), frozenset(changed)
