"""A vowel whose f0 is known: glottal pulses through formants, and Praat to measure it with."""

import numpy as np
import parselmouth
from numpy.typing import NDArray
from scipy.signal import lfilter

from voicesvc.audio import Pcm

FORMANTS = ((620.0, 80.0), (1200.0, 90.0), (2500.0, 140.0), (3500.0, 200.0))  # Hz, width in Hz


def vowel(f0_hz: float | NDArray[np.float64], rate_hz: int, length_s: float = 1.0) -> Pcm:
    """A vowel of a number or of [n] f0 values in Hz; 0 is silence. Peak 0.4."""
    f0 = np.broadcast_to(np.asarray(f0_hz, float), round(length_s * rate_hz))
    phase = np.cumsum(f0 / rate_hz)
    before, after = phase - f0 / rate_hz, phase
    beat = np.floor(after) > np.floor(before)
    late = np.where(beat, (after - np.floor(after)) * rate_hz / np.maximum(f0, 1.0), 0.0)
    out = np.zeros(len(f0))
    out[beat] += 1 - late[beat]  # a pulse between samples is shared by both
    where = np.flatnonzero(beat)
    out[where[where > 0] - 1] += late[where[where > 0]]
    out = lfilter([1.0], [1.0, -np.exp(-2 * np.pi * 300 / rate_hz)], out)  # the glottis falls off
    for freq_hz, width_hz in FORMANTS:
        r = np.exp(-np.pi * width_hz / rate_hz)
        pole = 2 * r * np.cos(2 * np.pi * freq_hz / rate_hz)
        out = lfilter([1 - pole + r * r], [1.0, -pole, r * r], out)
    out -= lfilter([1 - np.exp(-0.02)], [1.0, -np.exp(-0.02)], out)  # no offset
    return (0.4 * out / np.abs(out).max()).astype(np.float32)


def spoken(f0_hz: float, rate_hz: int) -> Pcm:
    """Two vowels with silence before, between and after, and a little noise: 1.2 s."""
    n = round(1.2 * rate_hz)
    t = np.arange(n) / n
    voiced = ((t > 0.1) & (t < 0.45)) | ((t > 0.6) & (t < 0.9))
    f0 = f0_hz * 2 ** (np.sin(4 * np.pi * t) / 12) * voiced
    noise = np.random.default_rng(0).normal(0, 1e-4, n)
    return (vowel(f0, rate_hz, 1.2) * np.convolve(voiced, np.hanning(201) / 100, "same")
            + noise).astype(np.float32)  # fmt: skip


def praat_f0(pcm: Pcm, rate_hz: int, floor_hz: float = 50, ceiling_hz: float = 700):
    """Praat's times in s and f0 in Hz, 0 where unvoiced."""
    sound = parselmouth.Sound(pcm.astype(np.float64), rate_hz)
    pitch = sound.to_pitch_ac(time_step=0.005, pitch_floor=floor_hz, pitch_ceiling=ceiling_hz)
    return pitch.xs(), pitch.selected_array["frequency"]


def praat_formants(pcm: Pcm, rate_hz: int) -> NDArray[np.float64]:
    """Medians over time of the first three formants in Hz, by Praat's Burg method."""
    sound = parselmouth.Sound(pcm.astype(np.float64), rate_hz)
    found = sound.to_formant_burg(max_number_of_formants=4, maximum_formant=4200)
    times = np.arange(0.1, sound.duration - 0.1, 0.01)
    return np.array([np.median([found.get_value_at_time(k, t) for t in times]) for k in (1, 2, 3)])
