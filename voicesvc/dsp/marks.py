"""One mark for each period of a voice, at the same place in every period.

A mark is found from the one before by the best normalised cross-correlation of the waveform
around both, near one period on; so a voice whose fundamental is weak is marked as surely as one
whose fundamental is strong. Everything is decided on frames of f0 and low-passed samples alone,
not on how they were cut into blocks.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from voicesvc.dsp.history import History
from voicesvc.dsp.tracker import FLOOR_HZ

SEARCH = 0.2  # of a period, to both sides of the expected mark
FAR_COST = 0.05  # of correlation, for a mark at the edge of the search
PEAK_GAIN = 0.1  # of correlation, for a mark on the largest peak within the search
FIRST_S = 0.02  # the first mark is the largest peak within this much of a stretch's beginning
MIN_PERIODS = 2.0  # shorter voiced stretches are left alone


@dataclass(slots=True)
class Stretch:
    """A run of voiced frames and its marks, in input samples; grows until `closed`."""

    start: float
    end: float  # known only when closed
    marks: list[float] = field(default_factory=list)
    closed: bool = False


class Marker:
    """Marks of a stream, from `Analysis`'s frames and its lowered samples."""

    def __init__(self, rate_hz: int, frame: float, lowered: History, factor: int) -> None:
        self._x = lowered
        self._factor = factor
        self._frame = frame
        self._first = FIRST_S * rate_hz
        self._rate_hz = rate_hz
        self._f0: list[float] = []  # of frames from `_first_frame` on
        self._first_frame = 0
        self._open: Stretch | None = None
        self.stretches: list[Stretch] = []  # in order; the caller takes away those it is done with
        self.decided = 0.0  # input samples before this have their last word on voicing
        self.lookahead = math.ceil(max(self._first, (1 + SEARCH) * rate_hz / FLOOR_HZ) + 2 * frame)

    def step(self, f0_hz: list[float]) -> None:
        """Take the next frames' f0, and mark what can be marked."""
        for f0 in f0_hz:
            frame = self._first_frame + len(self._f0)
            border = max(0.0, (frame - 0.5) * self._frame)
            if f0 > 0 and self._open is None:
                self._open = Stretch(border, math.inf)
                self.stretches.append(self._open)
                cut = len(self._f0)
                del self._f0[:cut]
                self._first_frame += cut
            self._f0.append(f0)
            if f0 == 0 and self._open is not None:
                self._open.end = border
                self._open.closed = True
                self._mark(self._open)
                self._open = None
            self.decided = border + self._frame
        if self._open is not None:
            self._mark(self._open)

    def _period(self, at: float) -> float:
        """In input samples, at an input sample in the open stretch."""
        k = round(at / self._frame) - self._first_frame
        last = len(self._f0) - 1
        if self._f0[last] == 0:
            last -= 1
        return self._rate_hz / self._f0[min(max(k, 0), last)]

    def _mark(self, stretch: Stretch) -> None:
        end = stretch.end if stretch.closed else self.decided
        if not stretch.marks:
            period = self._period(stretch.start)
            if stretch.closed and end - stretch.start < MIN_PERIODS * period:
                return
            if not stretch.closed and end - stretch.start < self._first:
                return
            self._begin(stretch, min(end, stretch.start + self._first))
        marks = stretch.marks
        while True:
            period = self._period(marks[-1])
            if not stretch.closed and marks[-1] + (1 + SEARCH) * period > end:
                return
            mark = self._next(marks[-1], period)
            if mark > end:
                return
            marks.append(mark)

    def _begin(self, stretch: Stretch, end: float) -> None:
        """The first mark, and those before it."""
        a, b = math.ceil(stretch.start / self._factor), int(end / self._factor)
        x = np.abs(self._x.between(a, b))
        found = [float((a + int(x.argmax())) * self._factor)]
        while (mark := self._next(found[-1], -self._period(found[-1]))) > stretch.start:
            found.append(mark)
        stretch.marks = found[::-1]

    def _next(self, mark: float, period: float) -> float:
        """The mark one `period` on, or back where it is negative; all in input samples."""
        step = abs(period) / self._factor
        at = round(mark / self._factor)
        half = max(2, round(step / 2))
        slack = max(2, round(SEARCH * step))
        low = round(at + period / self._factor) - slack
        ref = self._x.between(at - half, at + half + 1)
        around = self._x.between(low - half, low + 2 * slack + half + 1)
        energy = np.concatenate([[0.0], np.cumsum(around * around)])
        energy = energy[2 * half + 1 :] - energy[: -2 * half - 1]
        alike = np.correlate(around, ref, "valid")
        score = alike / np.sqrt(np.maximum(energy * float(ref @ ref), 1e-18))
        off = np.arange(-slack, slack + 1) / slack
        score -= FAR_COST * off * off
        peak = np.abs(around[half : half + 2 * slack + 1])
        score += PEAK_GAIN * peak / max(float(peak.max()), 1e-9)
        k = int(score.argmax())
        part = 0.0
        if 0 < k < 2 * slack:
            a, b, c = score[k - 1 : k + 2].tolist()
            part = 0.5 * (a - c) / min(a - 2 * b + c, -1e-12)
        return mark + (low - at + k + part) * self._factor
