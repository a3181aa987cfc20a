"""Between the voice's rate and the watermark's, for what lies below 2.5 kHz. Knows no network.

Nothing else is looked at or written to, so a filter of 16 taps does, which looks 0.4 ms ahead; the
resampler of `audio`, which keeps everything up to the Nyquist frequency, would look 42 ms.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from voicesvc.audio import Pcm, resampled_length

BAND_HZ = 2500
_REACH = 8  # samples of the input on each side
_BETA = 9.0  # of the Kaiser window: what is left outside the band is below -85 dB


@cache
def _filters(rate_in_hz: int, rate_out_hz: int) -> NDArray[np.float32]:
    """A windowed sinc for every place between two samples at which one can be asked for.

    [places, 16]; each sums to 1. (Smith, Digital Audio Resampling: bandlimited interpolation.)
    """
    places = rate_out_hz // math.gcd(rate_in_hz, rate_out_hz)
    taps = np.arange(1 - _REACH, _REACH + 1) - np.arange(places)[:, None] / places
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (taps / _REACH) ** 2, 0, 1))) / np.i0(_BETA)
    h = np.sinc(taps) * window
    filters: NDArray[np.float32] = (h / h.sum(axis=1, keepdims=True)).astype(np.float32)
    return filters


class Interpolated:
    """A stream at one rate in, what it has below `BAND_HZ` at another out.

    However the stream is cut, the samples are the same.

    Raises:
        ValueError: a rate is so low that there is no room above the band.
    """

    def __init__(self, rate_in_hz: int, rate_out_hz: int) -> None:
        if min(rate_in_hz, rate_out_hz) < 3 * BAND_HZ:
            raise ValueError(f"{rate_in_hz} Hz to {rate_out_hz} Hz: both from {3 * BAND_HZ} Hz on")
        common = math.gcd(rate_in_hz, rate_out_hz)
        self._step, self._places = rate_in_hz // common, rate_out_hz // common
        self._rates_hz = rate_in_hz, rate_out_hz
        self._filters = _filters(rate_in_hz, rate_out_hz)
        self._held = np.zeros(_REACH - 1, np.float32)
        self._first = 1 - _REACH  # the sample of the input that `_held` begins with
        self._fed = self._made = 0

    def feed(self, pcm: Pcm) -> Pcm:
        """The samples, [m], that became certain with `pcm`, [n]."""
        self._fed += len(pcm)
        self._held = np.concatenate([self._held, pcm])
        last = self._first + len(self._held) - 1 - _REACH  # the last sample with its taps there
        return self._until(max((last + 1) * self._places - 1, -1) // self._step + 1)

    def flush(self) -> Pcm:
        """The samples that waited for what comes next. Nothing may be fed afterwards."""
        self._held = np.concatenate([self._held, np.zeros(_REACH + 1, np.float32)])
        return self._until(resampled_length(self._fed, *self._rates_hz))

    def _until(self, end: int) -> Pcm:
        """The samples of the output before `end`."""
        if end <= self._made:
            return np.zeros(0, np.float32)
        at = np.arange(self._made, end, dtype=np.int64) * self._step
        whole, place = at // self._places, at % self._places
        windows = np.lib.stride_tricks.sliding_window_view(self._held, 2 * _REACH)
        taps = windows[whole + 1 - _REACH - self._first]
        out: Pcm = np.einsum("nt,nt->n", taps, self._filters[place])
        self._made = end
        keep = end * self._step // self._places + 1 - _REACH - self._first
        self._held, self._first = self._held[keep:], self._first + keep
        return out
