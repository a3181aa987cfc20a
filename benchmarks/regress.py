"""Has it become slower? Ratios to a baseline that ran in turns with us, now against earlier.

Every benchmark that is kept has, under `ratios`, by name the ratio of each round: ours over the
baseline's, lower is better. On a machine that others use too, minutes differ more than commits do;
a ratio of two that took turns does not know of it. What is judged is the quotient of the median
ratio now and the median ratio of earlier runs, with the interval that a percentile bootstrap gives
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13): `slower` where all of it
is above 1 + `TOLERANCE`, `faster` where all of it is below 1 - `TOLERANCE`, else `same`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.05
CONFIDENCE = 0.95
RESAMPLES = 2000
EARLIER = 5  # runs on a machine of the same kind that now is compared with
LEAST_ROUNDS = 3  # with fewer an interval says nothing
Verdict = Literal["slower", "same", "faster", "new"]
Line = Mapping[str, Any]  # one JSON line of a benchmark


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and where it lies with the confidence that was asked for."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True)
class Judged:
    """One ratio now, next to earlier runs."""

    benchmark: str
    name: str
    now: Interval
    before: Interval | None
    quotient: Interval | None  # now over before
    verdict: Verdict


def _medians(values: Sequence[float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Medians of resamples, [RESAMPLES]."""
    drawn = rng.choice(np.asarray(values, np.float64), (RESAMPLES, len(values)))
    return np.asarray(np.median(drawn, axis=1), np.float64)


def _within(samples: NDArray[np.float64], middle: float) -> Interval:
    rest = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(samples, (rest, 100 - rest))
    return Interval(float(low), middle, float(high))


def interval(values: Sequence[float], rng: np.random.Generator) -> Interval:
    """The median of some rounds."""
    return _within(_medians(values, rng), float(np.median(values)))


def quotient(now: Sequence[float], before: Sequence[float], rng: np.random.Generator) -> Interval:
    """The median of `now` over that of `before`."""
    samples = _medians(now, rng) / _medians(before, rng)
    return _within(samples, float(np.median(now) / np.median(before)))


def verdict(found: Interval) -> Verdict:
    """What a quotient says."""
    if found.low > 1 + TOLERANCE:
        return "slower"
    return "faster" if found.high < 1 - TOLERANCE else "same"


def alike(one: Line, other: Line) -> bool:
    """Whether two runs can be compared: same benchmark, device, precision and processor."""
    same = all(one.get(key) == other.get(key) for key in ("benchmark", "device", "precision"))
    return same and one.get("machine", {}).get("cpu") == other.get("machine", {}).get("cpu")


def judge(lines: Iterable[Line], seed: int = 1) -> list[Judged]:
    """Every ratio of the newest run of each benchmark against the runs before it.

    `lines` are in the order in which they were measured.
    """
    runs: dict[str, list[Line]] = {}
    for line in lines:
        runs.setdefault(line["benchmark"], []).append(line)
    rng = np.random.default_rng(seed)
    found = []
    for benchmark, of in runs.items():
        newest, earlier = of[-1], [line for line in of[:-1] if alike(line, of[-1])][-EARLIER:]
        for name, now in newest.get("ratios", {}).items():
            before = [r for line in earlier for r in line.get("ratios", {}).get(name, ())]
            found.append(_judged(benchmark, name, now, before, rng))
    return found


def _judged(
    benchmark: str,
    name: str,
    now: Sequence[float],
    before: Sequence[float],
    rng: np.random.Generator,
) -> Judged:
    enough = min(len(now), len(before)) >= LEAST_ROUNDS
    of = quotient(now, before, rng) if enough else None
    return Judged(
        benchmark,
        name,
        interval(now, rng),
        interval(before, rng) if before else None,
        of,
        verdict(of) if of else "new",
    )


def slope(values: Sequence[float], step: float, rng: np.random.Generator) -> Interval:
    """Units of `values` per unit of `step`: a line by least squares through points in time.

    Neighbours in time are alike, so blocks of the residuals are drawn, not single ones (moving
    block bootstrap, Künsch 1989), of a length that is the cube root of theirs.
    """
    y = np.asarray(values, np.float64)
    x = np.arange(len(y)) * step
    gradient, start = np.polyfit(x, y, 1)
    fitted = start + gradient * x
    rest, length = y - fitted, max(1, round(len(y) ** (1 / 3)))
    blocks = -(-len(y) // length)
    begins = rng.integers(0, len(y) - length + 1, (RESAMPLES, blocks))
    drawn = (begins[:, :, None] + np.arange(length)).reshape(RESAMPLES, -1)[:, : len(y)]
    slopes = np.polyfit(x, (fitted + rest[drawn]).T, 1)[0]
    return _within(np.asarray(slopes, np.float64), float(gradient))
