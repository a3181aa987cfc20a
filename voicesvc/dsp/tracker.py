"""Fundamental frequency of a stream: autocorrelation candidates, and the best path through them.

P. Boersma (1993), "Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound", IFA Proceedings 17, 97-110. Two things differ, so
that it can follow a stream: the path through the candidates is decided `DECIDE_AFTER_S`
behind the newest, and silence is an absolute level, not one relative to the whole recording.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.signal import firwin

from voicesvc.audio import Pcm
from voicesvc.dsp.curves import Floats
from voicesvc.dsp.history import Blocks, History

FRAME_S = 0.005
FLOOR_HZ = 55.0
CEILING_HZ = 600.0
DECIDE_AFTER_S = 0.06  # of path are seen before a frame is decided
CANDIDATES = 8
SILENCE_PEAK = 0.01  # -40 dBFS: a frame whose peak is below is not voiced
VOICING_THRESHOLD = 0.45  # Boersma's parameters, as Praat has them
OCTAVE_COST = 0.01
OCTAVE_JUMP_COST = 0.35
VOICED_UNVOICED_COST = 0.14
BLOCK_FRAMES = 4  # that a stream is worked on by
WHOLE_FRAMES = 40  # the same of a recording that is there already: half the time for each
WORKING_RATE_HZ = 10000  # lags are searched at least at this rate
DECIMATOR_TAPS_S = 0.0024  # a 4 kHz low-pass, for a working rate of 10 kHz or more


class Lowered:
    """A stream low-passed and lowered by a whole factor, without delay but `delay` of waiting.

    `step` takes blocks of one size, a multiple of `factor`; sample m of `out` belongs to sample
    m * factor of the input.
    """

    def __init__(self, rate_hz: int, factor: int, cut_hz: float, taps_s: float) -> None:
        self.factor = factor
        half = max(1, round(taps_s * rate_hz / 2))
        self._taps: Floats = firwin(2 * half + 1, cut_hz, fs=rate_hz)
        self.delay = half  # input samples
        self._tail: Floats = np.zeros(half)
        self._skip = 0  # of the filtered samples, so that those kept are multiples of `factor`
        self.out = History()

    def step(self, block: Floats) -> None:
        """Filter one block, [size], and append what became certain to `out`."""
        x = np.concatenate([self._tail, block])
        self._tail = x[-2 * self.delay :]
        if len(x) <= 2 * self.delay:
            return
        filtered = np.convolve(x, self._taps, "valid")
        self.out.append(filtered[self._skip :: self.factor])
        self._skip = (self._skip - len(filtered)) % self.factor


class Path:
    """Boersma's Viterbi path, each frame decided `DECIDE_AFTER_S` behind the newest."""

    def __init__(self, frame_s: float) -> None:
        self.waits = math.ceil(DECIDE_AFTER_S / frame_s)  # frames
        self._per_frame = 0.01 / frame_s  # costs are defined for 10 ms, as in Praat
        self._best: Floats = np.zeros(CANDIDATES + 1)
        self._octave: Floats = np.zeros(CANDIDATES + 1)
        self._back: list[list[int]] = []
        self._f0: list[list[float]] = []

    def step(self, f0_hz: Floats, strength: Floats) -> list[float]:
        """Candidates of frames in, [n, 1 + CANDIDATES], the first unvoiced; decided f0 out."""
        octave = np.log2(np.maximum(f0_hz, 1.0))
        before = np.concatenate([self._octave[None], octave[:-1]])
        cost = OCTAVE_JUMP_COST * np.abs(before[:, :, None] - octave[:, None, :])
        cost[:, 0, :] = cost[:, :, 0] = VOICED_UNVOICED_COST
        cost[:, 0, 0] = 0.0
        cost *= self._per_frame
        self._octave = octave[-1]
        decided = []
        for k in range(len(f0_hz)):
            through = self._best[:, None] - cost[k]
            self._back.append(through.argmax(0).tolist())
            best = through.max(0) + strength[k]
            self._best = best - best.max()
            self._f0.append(f0_hz[k].tolist())
            if len(self._f0) > self.waits:
                state = int(self._best.argmax())
                for back in self._back[:0:-1]:
                    state = back[state]
                decided.append(self._f0[0][state])
                del self._f0[0], self._back[0]
        return decided


class Analysis:
    """F0 of frames from blocks of one size; the part of `Tracker` that the shaper shares.

    Frame i is centred on input sample round(i * frame). `step` answers with the frames that were
    decided; a frame is decided `lookahead` input samples behind its centre at the latest, beside
    the block.
    """

    def __init__(
        self,
        rate_hz: int,
        frame: float,
        voicing_threshold: float = VOICING_THRESHOLD,
        silence_peak: float = SILENCE_PEAK,
    ) -> None:
        self._voicing_threshold = voicing_threshold
        self._silence_peak = silence_peak
        factor = max(1, rate_hz // WORKING_RATE_HZ)
        working_hz = rate_hz / factor
        self.lowered = Lowered(rate_hz, factor, 0.4 * working_hz, DECIMATOR_TAPS_S)
        self._frame = frame
        self._half = round(1.5 * working_hz / FLOOR_HZ)  # three periods in the window
        self._rate_hz = 2 * working_hz  # of the lags, by interpolation
        self._size = 1 << int(3 * self._half - 1).bit_length()
        self._window: Floats = np.hanning(2 * self._half + 1)
        self._lags = int(self._rate_hz / CEILING_HZ), int(self._rate_hz / FLOOR_HZ) + 2
        self._shape: Floats = self._autocorrelation(self._window[None])
        self._path = Path(frame / rate_hz)
        self._next = 0  # frame
        waits = self._half * factor + self.lowered.delay + factor
        self.lookahead = waits + int((self._path.waits + 1) * frame) + 1

    def _autocorrelation(self, x: Floats) -> Floats:
        """Of rows, [n, window], at the lags searched and one around them, against lag 0."""
        power = np.abs(np.fft.rfft(x, self._size)) ** 2
        r = np.fft.irfft(power, 2 * self._size)
        first, last = self._lags
        return np.asarray(r[:, first - 1 : last + 1] / (r[:, :1] + 1e-12))

    def step(self, block: Floats) -> list[float]:
        """F0 in Hz, 0 where unvoiced, of the frames decided with this block, [size]."""
        lowered = self.lowered
        lowered.step(block)
        rows = []
        while True:
            at = round(round(self._next * self._frame) / lowered.factor)
            if at + self._half + 1 > lowered.out.end:
                break
            rows.append(lowered.out.between(at - self._half, at + self._half + 1))
            self._next += 1
        if not rows:
            return []
        return self._path.step(*self._candidates(np.array(rows)))

    def _candidates(self, rows: Floats) -> tuple[Floats, Floats]:
        """F0 and strength of the candidates, [n, 1 + CANDIDATES] each, the first unvoiced."""
        third = self._half // 3
        peak = np.abs(rows[:, self._half - third : self._half + third + 1]).max(1)
        threshold = self._voicing_threshold
        quiet = 2.0 - peak * (1.0 + threshold) / self._silence_peak
        unvoiced = threshold + np.maximum(0.0, quiet)
        rows = (rows - rows.mean(1, keepdims=True)) * self._window
        r = self._autocorrelation(rows) / self._shape
        a, b, c = r[:, :-2], r[:, 1:-1], r[:, 2:]
        peaks = (b > a) & (b >= c) & (b > 0.5 * VOICING_THRESHOLD)
        curvature = a - 2 * b + c
        shift = np.where(peaks, 0.5 * (a - c) / np.where(peaks, curvature, 1.0), 0.0)
        lag = np.arange(*self._lags) + shift
        height = b - 0.25 * (a - c) * shift
        height = np.where(height > 1, 1 / np.maximum(height, 1), height)
        f0_hz = self._rate_hz / lag
        strength = np.where(peaks, height - OCTAVE_COST * np.log2(FLOOR_HZ / f0_hz), -1e3)
        best = np.argsort(-strength, 1, kind="stable")[:, :CANDIDATES]
        return (
            np.column_stack([np.zeros(len(rows)), np.take_along_axis(f0_hz, best, 1)]),
            np.column_stack([unvoiced, np.take_along_axis(strength, best, 1)]),
        )


class Tracker:
    """F0 of a stream every 5 ms: frame i is the time i * 5 ms, 0 Hz is unvoiced.

    However the stream is cut, and whatever `block_frames` is, the frames are the same. From 55 to
    600 Hz.
    """

    def __init__(self, rate_hz: int, block_frames: int = BLOCK_FRAMES) -> None:
        self._frame = FRAME_S * rate_hz
        self._analysis = Analysis(rate_hz, self._frame)
        self._blocks = Blocks(round(block_frames * self._frame))
        self._given = 0

    def feed(self, pcm: Pcm) -> Floats:
        """F0 in Hz of the frames decided with `pcm`, [n]."""
        return self._run(self._blocks.feed(pcm.astype(np.float64)))

    def flush(self) -> Floats:
        """F0 in Hz of the frames that waited; in all, one for every 5 ms begun."""
        n = self._blocks.fed
        frames = int(np.ceil(n / self._frame))
        more = self._analysis.lookahead // self._blocks.size + 2
        return self._run(self._blocks.flush(more))[: frames - self._given]

    def _run(self, blocks: list[Floats]) -> Floats:
        found = [f0 for block in blocks for f0 in self._analysis.step(block)]
        self._given += len(found)
        return np.array(found, np.float64)


def track(pcm: Pcm, rate_hz: int, between: Callable[[], None] = lambda: None) -> Floats:
    """F0 in Hz every 5 ms of a whole recording, 0 where unvoiced: [ceil(n / 5 ms)].

    `between` is called between the steps that it is worked on in.
    """
    tracker, found = Tracker(rate_hz, WHOLE_FRAMES), list[Floats]()
    step = round(WHOLE_FRAMES * FRAME_S * rate_hz)
    for begin in range(0, len(pcm), step):
        between()
        found.append(tracker.feed(pcm[begin : begin + step]))
    return np.concatenate([*found, tracker.flush()])
