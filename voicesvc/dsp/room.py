"""What is heard where nobody speaks: an inhaled breath, and the tone of the room.

Knows nothing of sentences; the caller splices these into pauses.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, firwin2, lfilter, sosfilt

from voicesvc.audio import Pcm
from voicesvc.dsp.curves import Floats

BREATH_S = 0.42
BREATH_RISE = 0.62  # of a breath's length: it swells slowly and stops sooner
RESONANCES = (  # Hz, width in Hz, level: an open tract, its resonances wide and damped
    (620.0, 350.0, 1.0),
    (1650.0, 450.0, 0.9),
    (2600.0, 600.0, 0.5),
    (3700.0, 900.0, 0.32),
    (6200.0, 2500.0, 0.14),
)
BANDS_HZ = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)  # IEC 61260 octaves
FLOOR_SHARE = 0.05  # of a recording's frames, the quietest, are its floor
FLOOR_FRAME_S = 0.032
DIGITAL_SILENCE_DB = -110.0  # a quieter frame was never recorded, and is no floor
TONE_TAPS_S = 0.02


def breath(
    rate_hz: int, seed: int, length_s: float = BREATH_S, level_db: float = -50.0, tract: float = 1.0
) -> Pcm:
    """One inhaled breath of `level_db` dBFS RMS: [round(length_s * rate_hz)].

    Noise whose spectrum falls, with weak peaks below 3 kHz about where a central vowel has its
    resonances (R. Werner et al. (2023), "Acoustics of breath noises in human speech: descriptive
    and three-dimensional modeling approaches", JSLHR, doi 10.1044/2023_JSLHR-23-00112). `tract`
    scales the resonances: above 1 for a shorter vocal tract.

    Raises:
        ValueError: the length is not positive.
    """
    n = round(length_s * rate_hz)
    if n < 1:
        raise ValueError(f"a breath of {length_s} s has no samples")
    random = np.random.default_rng(seed)
    noise = lfilter([1.0], [1.0, -(0.55 ** (22050 / rate_hz))], random.standard_normal(n))
    out = np.zeros(n)
    for freq_hz, width_hz, level in RESONANCES:
        if tract * freq_hz < 0.45 * rate_hz:
            r = np.exp(-np.pi * width_hz / rate_hz)
            pole = 2 * r * np.cos(2 * np.pi * tract * freq_hz / rate_hz)
            out += level * lfilter([1 - r], [1.0, -pole, r * r], noise)
    out = sosfilt(butter(2, 250.0, "high", fs=rate_hz, output="sos"), out)
    t = np.arange(n) / n
    rise = np.sin(np.pi / 2 * np.minimum(t / BREATH_RISE, 1.0)) ** 1.6
    fall = np.cos(np.pi / 2 * np.maximum(t - BREATH_RISE, 0.0) / (1 - BREATH_RISE)) ** 1.3
    slow = np.exp(-2 * np.pi * 70.0 / rate_hz)  # the air's flutter, below 70 Hz
    flutter = lfilter([1 - slow], [1.0, -slow], random.standard_normal(n))
    out = out * rise * fall * (1 + 0.15 * flutter / max(float(flutter.std()), 1e-9))
    level = 10 ** (level_db / 20) / max(float(np.sqrt(np.mean(out * out))), 1e-12)
    return np.asarray(out * level, np.float32)


@dataclass(frozen=True, slots=True)
class Floor:
    """The noise under a voice: its RMS level, and that of its octave bands, all in dBFS."""

    level_db: float
    bands_db: tuple[float, ...]  # of BANDS_HZ, as many as lie below half the rate


def floor_of(pcm: Pcm, rate_hz: int) -> Floor | None:
    """The noise floor of a recording, from its quietest frames; None where it has none.

    Frames of digital silence are not counted: nothing was recorded there.
    """
    size = round(FLOOR_FRAME_S * rate_hz)
    frames = pcm[: len(pcm) // size * size].reshape(-1, size).astype(np.float64)
    level_db = 10 * np.log10(np.maximum(np.mean(frames**2, axis=1), 1e-20))
    heard = frames[level_db > DIGITAL_SILENCE_DB]
    if not len(heard):
        return None
    level_db = level_db[level_db > DIGITAL_SILENCE_DB]
    quiet = heard[np.argsort(level_db, kind="stable")[: max(1, round(FLOOR_SHARE * len(heard)))]]
    window = np.hanning(size)
    power = np.mean(np.abs(np.fft.rfft(quiet * window)) ** 2, axis=0)
    power[1:-1] *= 2
    power /= size * np.sum(window**2)  # now its sum is the mean square
    freq_hz = np.fft.rfftfreq(size, 1 / rate_hz)
    bands = []
    for centre_hz in BANDS_HZ:
        low_hz, high_hz = centre_hz / np.sqrt(2), centre_hz * np.sqrt(2)
        if low_hz < rate_hz / 2:
            inside = (freq_hz >= low_hz) & (freq_hz < high_hz)
            bands.append(round(10 * float(np.log10(max(power[inside].sum(), 1e-14))), 2))
    return Floor(round(10 * float(np.log10(np.mean(quiet**2))), 2), tuple(bands))


class RoomTone:
    """Noise of a floor's level and spectrum, without beginning or end.

    The samples at a position are the same however they are asked for.
    """

    def __init__(self, floor: Floor, rate_hz: int, seed: int) -> None:
        self._seed = seed
        half = max(8, round(TONE_TAPS_S * rate_hz / 2))
        self._size = 4 * half  # samples of noise drawn at once
        shown = len(floor.bands_db)
        centres_hz = np.array(BANDS_HZ[:shown])
        widths_hz = centres_hz / np.sqrt(2)
        density_db = np.array(floor.bands_db) - 10 * np.log10(widths_hz)
        freq_hz = np.linspace(0.0, rate_hz / 2, 257)
        gain_db = np.interp(np.log2(freq_hz + 1.0), np.log2(centres_hz), density_db)
        taps = firwin2(2 * half + 1, freq_hz, 10 ** (gain_db / 20), fs=rate_hz)
        self._taps: Floats = taps * 10 ** (floor.level_db / 20) / np.sqrt(np.sum(taps**2))

    def between(self, start: int, stop: int) -> Pcm:
        """Samples [start, stop), start at least 0."""
        first, last = start // self._size, max(start, stop - 1) // self._size
        drawn = [self._noise(k) for k in range(first - 1, last + 1)]
        parts = [
            np.convolve(np.concatenate(drawn[k : k + 2]), self._taps, "valid")[-self._size :]
            for k in range(len(drawn) - 1)
        ]
        offset = first * self._size
        return np.concatenate(parts)[start - offset : stop - offset].astype(np.float32)

    def _noise(self, k: int) -> Floats:
        return np.random.default_rng((self._seed, k + 1)).standard_normal(self._size)
