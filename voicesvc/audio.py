"""Samples in motion. Pcm is float32 [n] in [-1, 1], mono; its rate in Hz travels beside it.

Knows nothing about voices, plans or file formats.
"""

import numpy as np
import soxr
from numpy.typing import NDArray

Pcm = NDArray[np.float32]


def silence(length_s: float, rate_hz: int) -> Pcm:
    """Zeros, [round(length_s * rate_hz)].

    Raises:
        ValueError: the length is negative.
    """
    return np.zeros(round(length_s * rate_hz), np.float32)


def resampled_length(n_samples: int, rate_in_hz: int, rate_out_hz: int) -> int:
    """How many samples `n_samples` become at another rate: n * out / in, halves rounded up."""
    return (2 * n_samples * rate_out_hz + rate_in_hz) // (2 * rate_in_hz)


class Resampler:
    """A stream at one rate in, the same at another out: band-limited, and not a sample late.

    However the stream is cut into chunks, the samples are the same, and there are
    `resampled_length` of them. Levels hold within 0.02 dB up to 0.9 of the lower Nyquist
    frequency; from that frequency on nothing is left above -130 dB. The first samples out belong
    to the very start; they need some input ahead of them: 42 ms from 22050 to 48000 Hz, 80 ms
    from 22050 to 8000 Hz, nothing where the rates are equal.

    Raises:
        ValueError: a rate is not positive.
    """

    def __init__(self, rate_in_hz: int, rate_out_hz: int) -> None:
        self._rates_hz = rate_in_hz, rate_out_hz
        self._fed = self._left = 0  # samples
        self._stream = (
            None
            if rate_in_hz == rate_out_hz
            else soxr.ResampleStream(rate_in_hz, rate_out_hz, 1, dtype="float32", quality="HQ")
        )

    def feed(self, pcm: Pcm) -> Pcm:
        """The samples, [m], that became certain with `pcm`, [n]; m may be 0."""
        if self._stream is None:
            return pcm
        out: Pcm = self._stream.resample_chunk(np.ascontiguousarray(pcm, np.float32))
        self._fed += len(pcm)
        self._left += len(out)
        return out

    def flush(self) -> Pcm:
        """The samples that waited for what comes next, [m]. Nothing may be fed afterwards."""
        empty = np.zeros(0, np.float32)
        if self._stream is None:
            return empty
        out: Pcm = self._stream.resample_chunk(empty, last=True)
        missing = resampled_length(self._fed, *self._rates_hz) - self._left - len(out)
        # soxr counts in binary fractions: a length that ends in .5 may come out a sample short.
        return np.pad(out, (0, missing)) if missing > 0 else out[: len(out) + missing]


class Exactly:
    """A stream cut or continued with silence to `n_samples`; None lets it pass as it is."""

    def __init__(self, n_samples: int | None) -> None:
        self._left = n_samples

    def feed(self, pcm: Pcm) -> Pcm:
        """What of `pcm` still fits."""
        if self._left is None:
            return pcm
        fitting = pcm[: self._left]
        self._left -= len(fitting)
        return fitting

    def flush(self) -> Pcm:
        """The silence that is missing."""
        return np.zeros(self._left or 0, np.float32)
