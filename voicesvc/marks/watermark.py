"""A stream of samples marked: what Perth adds below 2 kHz is added to them, all else is as it was.

Frames lie on the samples' own grid, a frame of the engine apart where that is about 10 ms: sound
that moves by whole frames takes its mark with it. Computed in blocks of frames that are always the
same, so the samples are too, however the stream is cut. A sample leaves when 0.24 s behind it are
known and its block is full: the first ones with 0.3 s, later ones within 0.37 s more. Knows nothing
of takes or files.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voicesvc.audio import Pcm
from voicesvc.marks.perth import (
    BINS,
    HOP,
    N_FFT,
    RATE_HZ,
    REACH,
    SPAN_DB,
    Rows,
    levels,
    network,
    rows,
)
from voicesvc.products import Product

WINDOW_S, HOP_S = N_FFT / RATE_HZ, HOP / RATE_HZ
BAND_HZ = 2500  # a window's lobe above the last bin: nothing above is looked at or written to
# How far from 10 ms apart frames may be: at 0.8 and at 1.25 of it the mark is found as surely.
_NEAREST, _FARTHEST = 0.8, 1.25
# Frames in a block, up to so many: a block costs about the same however few it has. With the first
# 24 the first 0.07 s leave, which a line's first sound is in.
_BLOCKS = ((24, 24), (64, 16))
_BLOCK = 32  # from there on: a voice no faster than speech must not run dry for it
_SILENT = 0.05  # mean level, of 1: below it, at -170 dB, a frame is digital silence
STRENGTH = 1.2  # what it costs and what it survives: benchmarks/marks.py


def hop(rate_hz: int, frame: int) -> int:
    """Samples from one frame to the next, where an engine's frame has `frame` samples.

    One that divides the engine's, if there is one that is about 10 ms; else 10 ms.
    """
    aim = rate_hz * HOP_S
    divisors = (n for n in range(1, frame + 1) if frame % n == 0)
    near = [n for n in divisors if _NEAREST * aim <= n <= _FARTHEST * aim]
    return min(near, key=lambda n: abs(math.log(n / aim)), default=round(aim))


def zone_ms(rate_hz: int, hop: int) -> float:
    """A change of samples at one place changes what is added to others up to this far from it."""
    return 1000 * (WINDOW_S + REACH * hop / rate_hz)


@cache
def _waves(rate_hz: int) -> tuple[Product, Product]:
    """A window of samples [n] into the network's spectrum [2 BINS], and back.

    The short-time Fourier transform at 32 kHz by its definition, on the samples that there are, for
    the bins that are wanted: real parts, then imaginary ones. Below `BAND_HZ` the sum over a window
    is the same at any rate, but for how many samples there are in a second.
    """
    t = np.arange(math.ceil(WINDOW_S * rate_hz)) / rate_hz
    window = 0.5 - 0.5 * np.cos(2 * np.pi * t / WINDOW_S)  # Hann's
    phase = 2 * np.pi * np.outer(t, np.arange(BINS) / WINDOW_S)
    waves = np.concatenate([np.cos(phase), -np.sin(phase)], axis=1) * window[:, None]
    back = waves.T * (2 / N_FFT)
    back[0] /= 2  # there is one of it, and two of every other frequency
    there = waves.T * (RATE_HZ / rate_hz)
    return _product(there), _product(back.T)


def _product(weight: np.ndarray[Any, np.dtype[np.float64]]) -> Product:
    return Product(torch.from_numpy(weight.astype(np.float32)))


class _Convolution:
    """One layer on a stream of frames; it keeps what it has to see again."""

    def __init__(self, layer: Rows) -> None:
        self._layer = layer
        self._held = torch.zeros(layer.kernel // 2, layer.n_in, dtype=layer.dtype)

    def feed(self, x: Tensor, last: bool) -> Tensor:
        """[t, n_in] -> the frames that became certain, [u, n_out]."""
        kernel = self._layer.kernel
        behind = self._held.new_zeros(kernel // 2 if last else 0, x.shape[1])
        x = torch.cat([self._held, x.to(behind.dtype), behind])
        self._held = x[max(len(x) - kernel + 1, 0) :].clone()  # a view would keep all of it
        return x.new_zeros(0, self._layer.n_out) if len(x) < kernel else self._layer(x)


class Watermark:
    """Marks a stream at `rate_hz`: as many samples come out as went in, in order.

    However the stream is cut, they are the same. Frames are `hop` samples apart; `strength`
    multiplies what is added, in dB.

    Raises:
        EngineFailed: the network's weights are not there.
        ValueError: the rate is below 5000 Hz.
    """

    def __init__(self, rate_hz: int, hop: int, strength: float = STRENGTH) -> None:
        if rate_hz < 2 * BAND_HZ:
            raise ValueError(f"{rate_hz} Hz: valid from {2 * BAND_HZ} Hz on")
        self._hop, self._strength = hop, strength
        self._there, self._back = _waves(rate_hz)
        self._layers = [_Convolution(layer) for layer in network().adds]
        self._window = math.ceil(WINDOW_S * rate_hz)
        self._weight = 0.375 * WINDOW_S * rate_hz / hop  # of the squared windows on each sample
        self._pcm = np.zeros(self._window // 2, np.float32)  # half a window before the next frame
        self._frames = self._fed = self._out = 0
        # Of frames whose answer is not there yet, [t, 2 BINS] and [t, 1].
        self._spectra, self._loud = torch.zeros(0, 2 * BINS), torch.zeros(0, 1)
        self._sum = np.zeros(self._window, np.float32)  # windows on each other, from `_begin` on
        self._begin = -(self._window // 2)
        self._held = np.zeros(0, np.float32)  # not marked yet

    def feed(self, pcm: Pcm) -> Pcm:
        """The marked samples, [m], that became certain with `pcm`, [n]."""
        self._fed += len(pcm)
        self._held = np.concatenate([self._held, pcm])
        self._pcm = np.concatenate([self._pcm, pcm])
        parts = [np.zeros(0, np.float32)]
        while len(self._pcm) >= (self._block - 1) * self._hop + self._window:
            parts.append(self._run(self._block, last=False))
        return self._marked(np.concatenate(parts))

    def flush(self) -> Pcm:
        """The samples that waited for what comes next. Nothing may be fed afterwards."""
        left = self._fed // self._hop + 1 - self._frames  # frames that begin within the stream
        behind = np.zeros(self._window + left * self._hop, np.float32)
        self._pcm = np.concatenate([self._pcm, behind])
        out = self._run(left, last=True)
        missing = self._fed - self._out
        tail = self._sum[:missing] / self._weight
        rest = np.zeros(missing - len(tail), np.float32)
        return self._marked(np.concatenate([out, tail, rest]))

    @property
    def _block(self) -> int:
        return next((n for upto, n in _BLOCKS if self._frames < upto), _BLOCK)

    @torch.inference_mode()
    def _run(self, n: int, last: bool) -> Pcm:
        """Look at `n` more frames."""
        pcm = torch.from_numpy(self._pcm[: (n - 1) * self._hop + self._window].copy())
        self._pcm, self._frames = self._pcm[n * self._hop :].copy(), self._frames + n
        spectrum = rows(pcm.unfold(0, self._window, self._hop), self._there)  # [n, 2 BINS]
        x = levels(torch.complex(spectrum[:, :BINS], spectrum[:, BINS:]))
        self._spectra = torch.cat([self._spectra, spectrum])
        self._loud = torch.cat([self._loud, (x.mean(1, keepdim=True) > _SILENT).float()])
        for layer in self._layers:
            x = layer.feed(x, last)
        return self._laid(x)

    def _laid(self, answer: Tensor) -> Pcm:
        """Turn the answers on the next frames, [t, BINS], into samples, and lay them down."""
        t = len(answer)
        if t == 0:
            return np.zeros(0, np.float32)
        spectrum, self._spectra = self._spectra[:t], self._spectra[t:].clone()
        loud, self._loud = self._loud[:t], self._loud[t:].clone()
        gain = torch.expm1(answer * loud * (self._strength * SPAN_DB * math.log(10) / 20))
        added = rows(spectrum * gain.repeat(1, 2), self._back).numpy()
        room = np.zeros(t * self._hop, np.float32)
        self._sum = np.concatenate([self._sum, room])
        for i, frame in enumerate(added):
            self._sum[i * self._hop : i * self._hop + self._window] += frame
        done, self._sum = self._sum[: len(room)], self._sum[len(room) :].copy()
        before = max(min(-self._begin, len(room)), 0)  # what lies before the stream's first sample
        self._begin += len(room)
        out: Pcm = (done[before:] / self._weight)[: self._fed - self._out]
        self._out += len(out)
        return out

    def _marked(self, added: Pcm) -> Pcm:
        out: Pcm = self._held[: len(added)] + added
        self._held = self._held[len(added) :].copy()
        return out
