"""What a take measures: loudness, peaks, pitch, clipping, silence; and its waveform as points.

Knows nothing of who spoke or of what was to be said. `qc` listens for that.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyebur128
from numpy.typing import NDArray

from voicesvc.audio import Pcm
from voicesvc.dsp import floor_of, track
from voicesvc.dsp.curves import Floats

RATES_HZ = range(8_000, 768_001)
MOMENTARY_STEPS = 4  # of 100 ms: 400 ms, EBU Tech 3341 section 2.2
SHORT_TERM_STEPS = 30  # 3 s
LOUDNESS_STEPS = {  # which each figure needs at least
    "loudness_lufs": MOMENTARY_STEPS,
    "momentary_max_lufs": MOMENTARY_STEPS,
    "short_term_max_lufs": SHORT_TERM_STEPS,
    "loudness_range_lu": SHORT_TERM_STEPS + 10,  # two values of 3 s, a second apart
}
PEAK_TAIL = 64  # samples of silence after the end, in which the peak filter rings out
FULL_SCALE = 32767 / 32768  # the largest sample that 16 bits hold
QUIET_DB = -40.0  # against the loudest `LOUD_FRAMES`: what is below, at either end, is silence
QUIET_FRAME_S = 0.005
LOUD_FRAMES = 10  # 50 ms, so that a click is not taken for the voice
VOICED_FRAMES = 20  # 0.1 s: a take with less has no pitch to speak of
# Around the median, once more: a wide search takes some fricatives for a voice of 500 Hz.
F0_WITHIN = (0.55, 3.4)
RESOLUTION = 16  # buckets for one point of a waveform, at most

Int8s = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Measured:
    """One take's figures. None where there is none: `not_measured` has the field and why."""

    duration_s: float
    loudness_lufs: float | None  # integrated, ITU-R BS.1770-4
    momentary_max_lufs: float | None  # of 400 ms, EBU Tech 3341
    short_term_max_lufs: float | None  # of 3 s
    loudness_range_lu: float | None  # EBU Tech 3342
    true_peak_dbtp: float | None  # BS.1770-4, annex 2
    f0_median_hz: float | None
    f0_low_hz: float | None  # 5th percentile of the voiced frames
    f0_high_hz: float | None  # 95th
    f0_range_st: float | None  # from the one to the other
    clipped_samples: int  # at full scale or above it
    clipped_runs: int  # stretches of such samples, of one or more
    clipped_longest: int  # samples of the longest
    head_ms: float | None  # silence before the first sound
    tail_ms: float | None  # and after the last
    floor_dbfs: float | None  # RMS of the quietest frames
    not_measured: dict[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As a JSON object, with null for None."""
        return asdict(self)


def measure(pcm: Pcm, rate_hz: int, between: Callable[[], None] = lambda: None) -> Measured:
    """Measure a whole take, [n] at `rate_hz`; `between` is called between steps of milliseconds.

    Mono counts once, as one front channel (BS.1770-4, table 3): a sine of 997 Hz whose peak is at
    -20 dBFS has -23.0 LUFS. Two equal channels would have 3 LU more.

    Raises:
        ValueError: `pcm` is no vector, or holds what is no number; or the rate is not of RATES_HZ.
    """
    if pcm.ndim != 1 or rate_hz not in RATES_HZ or not np.isfinite(pcm).all():
        raise ValueError(f"no take: samples of shape {pcm.shape} at {rate_hz} Hz")
    pcm = np.ascontiguousarray(pcm, np.float32)
    why: dict[str, str] = {}
    return Measured(
        duration_s=round(len(pcm) / rate_hz, 6),
        **_loudness(pcm, rate_hz, why, between),
        **_pitch(pcm, rate_hz, why, between),
        **_clipping(pcm),
        **_silence(pcm, rate_hz, why),
        floor_dbfs=_floor_dbfs(pcm, rate_hz, why),
        not_measured=why,
    )


def _loudness(
    pcm: Pcm, rate_hz: int, why: dict[str, str], between: Callable[[], None]
) -> dict[str, Any]:
    mode = pyebur128.MeasurementMode
    meter = pyebur128.R128State(1, rate_hz, mode.MODE_I | mode.MODE_LRA | mode.MODE_TRUE_PEAK)
    step = (rate_hz + 5) // 10  # libebur128's own 100 ms
    momentary, short_term = [-math.inf], [-math.inf]
    for n, begin in enumerate(range(0, len(pcm), step), 1):
        chunk = pcm[begin : begin + step]
        between()
        meter.add_frames(chunk, len(chunk))  # it does not check the length
        if len(chunk) == step and n >= MOMENTARY_STEPS:
            momentary.append(pyebur128.get_loudness_momentary(meter))
        if len(chunk) == step and n >= SHORT_TERM_STEPS:
            short_term.append(pyebur128.get_loudness_shortterm(meter))
    levels = {
        "loudness_lufs": pyebur128.get_loudness_global(meter),
        "momentary_max_lufs": max(momentary),
        "short_term_max_lufs": max(short_term),
        "loudness_range_lu": pyebur128.get_loudness_range(meter),
    }
    for name, needed in LOUDNESS_STEPS.items():
        if len(pcm) < needed * step:
            why[name] = f"the take is shorter than {needed * 100} ms"
        elif levels["loudness_lufs"] == -math.inf:
            why[name] = "nothing in the take is above -70 LUFS"
    meter.add_frames(np.zeros(PEAK_TAIL, np.float32), PEAK_TAIL)
    peak = pyebur128.get_true_peak(meter, 0)
    if peak == 0:
        why["true_peak_dbtp"] = "all samples are 0"
    levels["true_peak_dbtp"] = 20 * math.log10(peak or 1.0)
    return {name: None if name in why else round(level, 2) for name, level in levels.items()}


def _pitch(
    pcm: Pcm, rate_hz: int, why: dict[str, str], between: Callable[[], None]
) -> dict[str, Any]:
    """Median and spread of f0, from the frames between `F0_WITHIN` times the first median."""
    f0_hz = track(pcm, rate_hz, between)
    voiced: Floats = f0_hz[f0_hz > 0]
    if len(voiced) >= VOICED_FRAMES:
        low, high = np.median(voiced) * np.array(F0_WITHIN)
        voiced = voiced[(voiced >= low) & (voiced <= high)]
    names = ("f0_low_hz", "f0_median_hz", "f0_high_hz", "f0_range_st")
    if len(voiced) < VOICED_FRAMES:
        why |= dict.fromkeys(names, f"less than {VOICED_FRAMES * 5} ms of the take are voiced")
        return dict.fromkeys(names)
    marks_hz = [float(x) for x in np.percentile(voiced, [5, 50, 95])]
    range_st = 12 * math.log2(marks_hz[2] / marks_hz[0])
    return dict(zip(names, [round(x, 2) for x in (*marks_hz, range_st)], strict=True))


def _clipping(pcm: Pcm) -> dict[str, int]:
    at_top = np.abs(pcm) >= FULL_SCALE
    edges = np.flatnonzero(np.diff(at_top, prepend=False, append=False))
    runs = edges[1::2] - edges[::2]
    return {
        "clipped_samples": int(runs.sum()),
        "clipped_runs": len(runs),
        "clipped_longest": int(runs.max(initial=0)),
    }


def _silence(pcm: Pcm, rate_hz: int, why: dict[str, str]) -> dict[str, Any]:
    size = max(1, round(QUIET_FRAME_S * rate_hz))
    frames = np.pad(pcm, (0, size - len(pcm) % size)).reshape(-1, size)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    loudest = np.convolve(power, np.full(LOUD_FRAMES, 1 / LOUD_FRAMES)).max(initial=0.0)
    heard = np.flatnonzero(power > loudest * 10 ** (QUIET_DB / 10))
    if not len(heard):
        why |= dict.fromkeys(("head_ms", "tail_ms"), "there is no sound in the take")
        return {"head_ms": None, "tail_ms": None}
    tail = max(0, len(pcm) - int(heard[-1] + 1) * size)
    return {
        "head_ms": round(1000 * int(heard[0]) * size / rate_hz, 1),
        "tail_ms": round(1000 * tail / rate_hz, 1),
    }


def _floor_dbfs(pcm: Pcm, rate_hz: int, why: dict[str, str]) -> float | None:
    floor = floor_of(pcm, rate_hz)
    if floor is None:
        why["floor_dbfs"] = "nothing but digital silence, or less than one frame of 32 ms"
    return None if floor is None else floor.level_db


class Peaks:
    """A stream's waveform as `n_points` pairs of lowest and highest sample.

    It need not know how long the stream will be: buckets of samples are merged in pairs whenever
    there are `RESOLUTION` for each point, so memory depends on `n_points` alone. A point reaches
    over its own samples and, in long streams, up to 1/8 of a point to either side.

    Raises:
        ValueError: `n_points` is not positive.
    """

    def __init__(self, n_points: int) -> None:
        if n_points < 1:
            raise ValueError(f"{n_points} points are no waveform")
        self._points = n_points
        self._size = 1  # samples of a bucket
        self._buckets: Int8s = np.zeros((2, RESOLUTION * n_points), np.int8)  # lowest, highest
        self._full = 0  # buckets
        self._open: list[int] = []  # lowest and highest of the bucket that is not full
        self._open_n = 0  # its samples
        self._n = 0  # samples in all

    def feed(self, pcm: Pcm) -> None:
        """The next samples, [n]; what is beyond full scale is drawn at full scale."""
        self._n += len(pcm)
        while len(pcm):
            if self._open_n or len(pcm) < self._size:
                take = self._size - self._open_n
                self._fill(_int8(pcm[:take]))
            else:
                whole = min(len(pcm) // self._size, self._buckets.shape[1] - self._full)
                take = whole * self._size
                rows = _int8(pcm[:take]).reshape(whole, self._size)
                self._add(rows.min(1), rows.max(1))
            pcm = pcm[take:]

    def flush(self) -> tuple[Int8s, Int8s]:
        """Lowest and highest, int8 [n_points] each, full scale at ±127; 0 for an empty stream.

        Where there are fewer samples than points, neighbours share one.
        """
        if self._n == 0:
            return np.zeros(self._points, np.int8), np.zeros(self._points, np.int8)
        used = self._buckets[:, : self._full]
        if self._open_n:
            used = np.column_stack([used, self._open])
        i = np.arange(self._points)
        begin = i * self._n // self._points // self._size
        end = -(-(i + 1) * self._n // self._points // self._size)
        # reduceat takes [begin, end) of every second pair, and no index beyond the last
        spans = np.stack([begin, np.minimum(end, used.shape[1])], axis=1).ravel()
        low, high = np.pad(used, ((0, 0), (0, 1)), mode="edge")
        lowest: Int8s = np.minimum.reduceat(low, spans)[::2]
        highest: Int8s = np.maximum.reduceat(high, spans)[::2]
        return lowest, highest

    def _fill(self, part: Int8s) -> None:
        ends = [int(part.min()), int(part.max())]
        if self._open_n:
            ends = [min(self._open[0], ends[0]), max(self._open[1], ends[1])]
        self._open = ends
        self._open_n += len(part)
        if self._open_n == self._size:
            self._open_n = 0
            self._add(np.array([ends[0]], np.int8), np.array([ends[1]], np.int8))

    def _add(self, low: Int8s, high: Int8s) -> None:
        end = self._full + len(low)
        self._buckets[:, self._full : end] = low, high
        self._full = end
        if end == self._buckets.shape[1]:
            self._merge(0, np.min)
            self._merge(1, np.max)
            self._full //= 2
            self._size *= 2

    def _merge(self, row: int, of: Callable[..., Any]) -> None:
        self._buckets[row, : self._full // 2] = of(self._buckets[row].reshape(-1, 2), axis=1)


def _int8(pcm: Pcm) -> Int8s:
    return np.asarray(np.rint(np.clip(pcm, -1.0, 1.0) * 127), np.int8)


def peaks(pcm: Pcm, n_points: int) -> tuple[Int8s, Int8s]:
    """A whole take's waveform: lowest and highest, int8 [n_points] each; see Peaks."""
    drawn = Peaks(n_points)
    drawn.feed(pcm)
    return drawn.flush()
