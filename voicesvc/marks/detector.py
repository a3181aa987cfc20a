"""Is a recording marked, and where? Windows of 2 s, also at other speeds.

A window without energy below 2 kHz says nothing: Perth takes unmarked ones of that kind for marked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.signal
import torch

from voicesvc.audio import Pcm, Resampler
from voicesvc.marks.perth import RATE_HZ, network

WINDOW_S, STEP_S = 2.0, 1.0
SPEEDS = (0.95, 0.96, 0.97, 0.98, 0.99, 1.01, 1.02, 1.03, 1.04, 1.05)
SURE = 0.9  # a window alone: the highest of unmarked speech was 0.85 (benchmarks/marks.py)
LIKELY = 0.75  # two that overlap
_FAINT_DBFS = -60.0  # below 2 kHz: nothing there that a mark could be in
_THIN_DB = -35.0  # of what is below 2 kHz next to all of it
_SEARCHED = 6  # windows that are looked at for other speeds: the loudest
_LEAST_S = 0.5

Verdict = Literal["marked", "not marked", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch, and how surely it is marked; None where that cannot be told."""

    begin_s: float
    end_s: float
    score: float | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found; `marked` are the stretches that are, joined where they overlap."""

    verdict: Verdict
    score: float | None  # of the surest window
    speed: float  # at which it was found: 1.04 is played 4 % too fast
    windows: tuple[Window, ...]
    marked: tuple[tuple[float, float], ...]  # seconds


def find(pcm: Pcm, rate_hz: int, speeds: Sequence[float] = SPEEDS) -> Finding:
    """Look for the mark in `pcm`, [n] at `rate_hz`; where it is not found, at other speeds too.

    Raises:
        EngineFailed: the network's weights are not there.
    """
    at_32k = _resampled(pcm, rate_hz)
    spans = list(_spans(len(at_32k)))
    low = _low(at_32k)
    telling = [i for i, (a, b) in enumerate(spans) if _tells(at_32k[a:b], low[a:b])]
    if not telling:
        silent = tuple(Window(a / RATE_HZ, b / RATE_HZ, None) for a, b in spans)
        return Finding("inconclusive", None, 1.0, silent, ())
    as_it_is = _at_speed(at_32k, spans, telling, 1.0)
    if as_it_is.verdict == "marked" or not speeds:
        return as_it_is
    loudest = sorted(telling, key=lambda i: -float(np.square(low[slice(*spans[i])]).sum()))
    searched = sorted(loudest[:_SEARCHED])
    others = [_at_speed(at_32k, spans, searched, speed) for speed in speeds]
    best = max(others, key=_mean)
    return _at_speed(at_32k, spans, telling, best.speed) if best.verdict == "marked" else as_it_is


def _mean(found: Finding) -> float:
    """Over the windows that tell; below all others where none is marked."""
    scores = [w.score for w in found.windows if w.score is not None]
    return sum(scores) / len(scores) if found.verdict == "marked" else -1.0


def _at_speed(
    pcm: Pcm, spans: Sequence[tuple[int, int]], telling: Sequence[int], speed: float
) -> Finding:
    scores: dict[int, float] = {}
    for i in telling:
        begin, end = spans[i]
        part = pcm[begin:end] if speed == 1.0 else _slowed(pcm[begin:end], speed)
        scores[i] = network().score(torch.from_numpy(np.ascontiguousarray(part)))
    windows = tuple(
        Window(round(a / RATE_HZ, 3), round(b / RATE_HZ, 3), _rounded(scores.get(i)))
        for i, (a, b) in enumerate(spans)
    )
    sure = {i for i, score in scores.items() if score >= SURE}
    for i, score in scores.items():
        if score >= LIKELY and scores.get(i + 1, 0.0) >= LIKELY:
            sure |= {i, i + 1}
    verdict: Verdict = "marked" if sure else "not marked"
    stretches = _joined([spans[i] for i in sorted(sure)])
    return Finding(verdict, _rounded(max(scores.values())), speed, windows, stretches)


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 3)


def _joined(spans: Sequence[tuple[int, int]]) -> tuple[tuple[float, float], ...]:
    joined: list[tuple[int, int]] = []
    for begin, end in spans:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return tuple((round(a / RATE_HZ, 3), round(b / RATE_HZ, 3)) for a, b in joined)


def _spans(n: int) -> Iterator[tuple[int, int]]:
    """Windows that cover `n` samples; the last ends where they end."""
    window, step = round(WINDOW_S * RATE_HZ), round(STEP_S * RATE_HZ)
    begin = 0
    while begin + window < n:
        yield begin, begin + window
        begin += step
    if n >= _LEAST_S * RATE_HZ:
        yield max(n - window, 0), n


def _low(pcm: Pcm) -> Pcm:
    """What is below 2 kHz."""
    sos = scipy.signal.butter(8, 2000, fs=RATE_HZ, output="sos")
    low: Pcm = scipy.signal.sosfilt(sos, pcm).astype(np.float32)
    return low


def _tells(pcm: Pcm, low: Pcm) -> bool:
    """Whether there is enough below 2 kHz."""
    low_db, whole_db = (10 * np.log10(np.mean(np.square(x)) + 1e-20) for x in (low, pcm))
    return bool(low_db > _FAINT_DBFS and low_db - whole_db > _THIN_DB)


def _slowed(pcm: Pcm, speed: float) -> Pcm:
    """As it was before somebody played it faster by `speed`."""
    return _resampled(pcm, round(RATE_HZ / speed))


def _resampled(pcm: Pcm, rate_hz: int) -> Pcm:
    resampler = Resampler(rate_hz, RATE_HZ)
    return np.concatenate([resampler.feed(pcm), resampler.flush()])
