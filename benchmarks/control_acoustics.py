"""Pitch, pauses, level and voice quality, by Praat (through parselmouth) and pyloudnorm.

Nothing of voicesvc is in here. Every function takes float32 samples [n] and their rate in Hz.
"""

import math
from collections.abc import Sequence

import numpy as np
import parselmouth
import pyloudnorm
from common import Pcm
from numpy.typing import NDArray
from parselmouth.praat import call

Floats = NDArray[np.float64]

FRAME_S = 0.005
F0_HZ = (60.0, 600.0)
# Praat's window is 6.4 periods of this floor long: 6 ms, so borders are found to about 2 ms.
SHARP_HZ = 1000.0
QUIET_DB = -40.0  # against the loudest frame: below it nobody speaks


def _sound(pcm: Pcm, rate_hz: int) -> parselmouth.Sound:
    return parselmouth.Sound(pcm.astype(np.float64), rate_hz)


def f0(pcm: Pcm, rate_hz: int, within_hz: tuple[float, float] = F0_HZ) -> Floats:
    """Hz every 5 ms by Praat's autocorrelation, 0 where unvoiced; equal lengths, equal times."""
    low, high = within_hz
    pitch = _sound(pcm, rate_hz).to_pitch_ac(time_step=FRAME_S, pitch_floor=low, pitch_ceiling=high)
    return np.asarray(pitch.selected_array["frequency"], np.float64)


def around_hz(pcm: Pcm, rate_hz: int) -> tuple[float, float]:
    """Where to search for a line's pitch: around its own; for what outliers would spoil.

    From 0.55 to 3.4 times the median of a wide search, which takes some fricatives for a voice of
    500 Hz. A narrower ceiling (1.5 times the third quartile: De Looze and Hirst 2008) cuts off the
    peaks of an intonation that was asked to be wide.
    """
    wide = f0(pcm, rate_hz)
    if not (wide > 0).any():
        return F0_HZ
    middle_hz = float(np.median(wide[wide > 0]))
    return max(0.55 * middle_hz, 40.0), 3.4 * middle_hz


def f0_times(pcm: Pcm, rate_hz: int, n: int) -> Floats:
    """The moments, in s, of the `n` frames of `f0`: Praat centres them in the recording."""
    middle_s = len(pcm) / rate_hz / 2
    return np.asarray(middle_s + (np.arange(n) - (n - 1) / 2) * FRAME_S, np.float64)


def st_between(a: Floats, b: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Semitones from `a` to `b` where both are voiced, and which frames those are."""
    n = min(len(a), len(b))
    both = (a[:n] > 0) & (b[:n] > 0)
    return np.asarray(12 * np.log2(b[:n][both] / a[:n][both]), np.float64), both


def mean_st(hz: Floats) -> float:
    """Mean pitch of the voiced frames, in semitones above 1 Hz."""
    return float(np.mean(12 * np.log2(hz[hz > 0])))


def range_st(hz: Floats) -> float:
    """The span of pitch: from the 10th to the 90th percentile of the voiced frames."""
    low, high = np.percentile(12 * np.log2(hz[hz > 0]), [10, 90])
    return float(high - low)


def intensity(pcm: Pcm, rate_hz: int) -> tuple[Floats, Floats]:
    """Times in s and level in dB against the loudest, every millisecond."""
    found = _sound(pcm, rate_hz).to_intensity(
        minimum_pitch=SHARP_HZ, time_step=0.001, subtract_mean=False
    )
    level_db = np.maximum(found.values[0], -100.0)
    return np.asarray(found.xs()), np.asarray(level_db - level_db.max())


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def silences(pcm: Pcm, rate_hz: int, quiet_db: float = QUIET_DB) -> list[tuple[float, float]]:
    """Where it is quiet, (begin, end) in s, the edges of the recording included."""
    t, level_db = intensity(pcm, rate_hz)
    step = float(t[1] - t[0])
    return [
        (0.0 if a == 0 else float(t[a]) - step / 2, float(t[b - 1]) + step / 2)
        if b < len(t)
        else (float(t[a]) - step / 2, len(pcm) / rate_hz)
        for a, b in _runs(level_db < quiet_db)
    ]


def pause_s(pcm: Pcm, rate_hz: int, begin_s: float, end_s: float) -> float:
    """Length of the silence that shares most with the stretch [begin_s, end_s]; 0 if none does."""
    shared = [(min(b, end_s) - max(a, begin_s), b - a) for a, b in silences(pcm, rate_hz)]
    most = max(shared, default=(0.0, 0.0))
    return most[1] if most[0] > 0 else 0.0


def speech_s(pcm: Pcm, rate_hz: int, pauses: Sequence[tuple[float, float]] = ()) -> float:
    """Seconds of speech from its first sound to its last, without the silence at its `pauses`.

    Those are where the line is written with a sign; any other silence is the closure of a stop and
    belongs to its word. Telling the two by their length takes a closure of 70 ms for a pause in one
    rendering and not in the other: "knock twice" was 8 % off, whose words were 0.2 % off.
    """
    quiet = silences(pcm, rate_hz)
    begin = quiet[0][1] if quiet and quiet[0][0] == 0.0 else 0.0
    end = len(pcm) / rate_hz
    if quiet and quiet[-1][1] >= end - 0.001:
        end = quiet[-1][0]
    return end - begin - sum(pause_s(pcm, rate_hz, a, b) for a, b in pauses)


def loudness_lufs(pcm: Pcm, rate_hz: int) -> float:
    """Integrated loudness (ITU-R BS.1770-4) by pyloudnorm."""
    return float(pyloudnorm.Meter(rate_hz).integrated_loudness(pcm.astype(np.float64)))


def hnr(pcm: Pcm, rate_hz: int) -> Floats:
    """Harmonics-to-noise ratio in dB every 10 ms by Praat, at least -20."""
    found = _sound(pcm, rate_hz).to_harmonicity_ac(time_step=0.01, minimum_pitch=F0_HZ[0])
    return np.asarray(np.maximum(found.values[0], -20.0), np.float64)


def cpps_db(pcm: Pcm, rate_hz: int) -> float:
    """Smoothed cepstral peak prominence by Praat: the less, the breathier (Hillenbrand 1994)."""
    cepstrogram = call(_sound(pcm, rate_hz), "To PowerCepstrogram", F0_HZ[0], 0.002, 5000, 50)
    fit = ("parabolic", 0.001, 0, "Straight", "Robust")
    return float(call(cepstrogram, "Get CPPS", "no", 0.01, 0.001, 60, 330, 0.05, *fit))


def tilt_db(pcm: Pcm, rate_hz: int) -> float:
    """Energy from 3 to 8 kHz against that from 100 to 800 Hz, by Praat's spectrum."""
    spectrum = _sound(pcm, rate_hz).to_spectrum()
    high = spectrum.get_band_energy(3000.0, 8000.0)
    low = spectrum.get_band_energy(100.0, 800.0)
    return 10 * math.log10(high / low)


def level_db(pcm: Pcm, rate_hz: int, begin_s: float, end_s: float) -> float:
    """Mean level of a stretch in dB, by Praat."""
    part = _sound(pcm, rate_hz).extract_part(from_time=begin_s, to_time=end_s)
    return float(20 * math.log10(max(part.get_rms(), 1e-9)))
