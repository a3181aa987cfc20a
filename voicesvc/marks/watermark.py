"""A stream of samples marked: what Perth adds below 2 kHz is added to them, all else is as it was.

Computed in blocks of frames that are always the same, so the samples are too, however the stream is
cut. A sample leaves when 0.22 s behind it are known and its block is full: the first ones with
0.27 s, later ones within 0.32 s more. Knows nothing of takes or files.
"""

import numpy as np
import torch
from torch import Tensor

from voicesvc.audio import Pcm
from voicesvc.marks.interpolation import Interpolated
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
)

LOOKAHEAD_S = (N_FFT + REACH * HOP) / RATE_HZ
ZONE_MS = 1000 * LOOKAHEAD_S
"""A change of the samples at one place changes what is added to others up to this far from it."""
# Frames in a block, up to so many: a block costs about the same however few it has. With the first
# 25 the first 0.07 s leave, which a line's first sound is in.
_BLOCKS = ((25, 25), (64, 16))
_BLOCK = 32  # from there on: a voice no faster than speech must not run dry for it
_SILENT = 0.05  # mean level, of 1: below it, at -170 dB, a frame is digital silence
STRENGTH = 1.2  # what it costs and what it survives: benchmarks/marks.py
_WEIGHT = 0.375 * N_FFT / HOP  # sum of the squared Hann windows that lie on each sample


class _Convolution:
    """One layer on a stream of frames; it keeps what it has to see again."""

    def __init__(self, layer: Rows) -> None:
        self._layer = layer
        self._held = torch.zeros(layer.kernel // 2, layer.n_in)

    def feed(self, x: Tensor, last: bool) -> Tensor:
        """[t, n_in] -> the frames that became certain, [u, n_out]."""
        kernel = self._layer.kernel
        behind = x.new_zeros(kernel // 2 if last else 0, x.shape[1])
        x = torch.cat([self._held, x, behind])
        self._held = x[max(len(x) - kernel + 1, 0) :]
        return x.new_zeros(0, self._layer.n_out) if len(x) < kernel else self._layer(x)


class _Residual:
    """What is to be added, at 32 kHz."""

    def __init__(self, strength: float) -> None:
        self._strength = strength
        self._layers = [_Convolution(layer) for layer in network().adds]
        self._window = torch.hann_window(N_FFT)
        self._pcm = np.zeros(N_FFT // 2, np.float32)  # from half a window before the next frame
        self._frames = self._fed = self._out = 0
        self._spectra: list[Tensor] = []  # of frames whose answer is not there yet, [t, BINS]
        self._sum = np.zeros(N_FFT, np.float32)  # windows laid over each other, from `_begin` on
        self._begin = -(N_FFT // 2)

    def feed(self, pcm: Pcm) -> Pcm:
        """[n] -> the samples that became certain, [m]."""
        self._fed += len(pcm)
        self._pcm = np.concatenate([self._pcm, pcm])
        parts = [np.zeros(0, np.float32)]
        while len(self._pcm) >= (self._block - 1) * HOP + N_FFT:
            parts.append(self._run(self._block, last=False))
        return np.concatenate(parts)

    def flush(self) -> Pcm:
        """The samples that waited for what comes next."""
        left = self._fed // HOP + 1 - self._frames  # frames that begin within the stream
        behind = np.zeros(N_FFT + left * HOP, np.float32)
        self._pcm = np.concatenate([self._pcm, behind])
        out = self._run(left, last=True)
        missing = self._fed - self._out
        tail = self._sum[:missing] / _WEIGHT
        return np.concatenate([out, tail, np.zeros(missing - len(tail), np.float32)])

    @property
    def _block(self) -> int:
        return next((n for upto, n in _BLOCKS if self._frames < upto), _BLOCK)

    @torch.inference_mode()
    def _run(self, n: int, last: bool) -> Pcm:
        """Look at `n` more frames."""
        pcm = torch.from_numpy(self._pcm[: (n - 1) * HOP + N_FFT].copy())
        self._pcm, self._frames = self._pcm[n * HOP :], self._frames + n
        spectrum = torch.fft.rfft(pcm.unfold(0, N_FFT, HOP) * self._window)[:, :BINS]  # [n, BINS]
        self._spectra.append(spectrum)
        x = levels(spectrum)
        for layer in self._layers:
            x = layer.feed(x, last)
        return self._laid(x)

    def _laid(self, answer: Tensor) -> Pcm:
        """Turn the answers on the next frames, [t, BINS], into samples, and lay them down."""
        t = len(answer)
        if t == 0:
            return np.zeros(0, np.float32)
        held = torch.cat(self._spectra)
        spectrum, self._spectra = held[:t], [held[t:]]
        loud = (levels(spectrum).mean(1, keepdim=True) > _SILENT).float()
        gain = 10 ** (answer * loud * (self._strength * SPAN_DB / 20)) - 1
        added = (torch.fft.irfft(spectrum * gain, N_FFT) * self._window).numpy()
        room = np.zeros(t * HOP, np.float32)
        self._sum = np.concatenate([self._sum, room])
        for i, frame in enumerate(added):
            self._sum[i * HOP : i * HOP + N_FFT] += frame
        done, self._sum = self._sum[: t * HOP], self._sum[t * HOP :]
        before = max(min(-self._begin, t * HOP), 0)  # what lies before the stream's first sample
        self._begin += t * HOP
        out: Pcm = (done[before:] / _WEIGHT)[: self._fed - self._out]
        self._out += len(out)
        return out


class Watermark:
    """Marks a stream at `rate_hz`: as many samples come out as went in, in order.

    However the stream is cut, they are the same. `strength` multiplies what is added, in dB.

    Raises:
        EngineFailed: the network's weights are not there.
        ValueError: the rate is below 7500 Hz.
    """

    def __init__(self, rate_hz: int, strength: float = STRENGTH) -> None:
        self._up, self._down = Interpolated(rate_hz, RATE_HZ), Interpolated(RATE_HZ, rate_hz)
        self._residual = _Residual(strength)
        self._held = np.zeros(0, np.float32)

    def feed(self, pcm: Pcm) -> Pcm:
        """The marked samples, [m], that became certain with `pcm`, [n]."""
        self._held = np.concatenate([self._held, pcm])
        return self._marked(self._down.feed(self._residual.feed(self._up.feed(pcm))))

    def flush(self) -> Pcm:
        """The samples that waited for what comes next. Nothing may be fed afterwards."""
        added = self._residual.feed(self._up.flush())
        added = np.concatenate([added, self._residual.flush()])
        rest = np.concatenate([self._down.feed(added), self._down.flush()])
        return self._marked(np.pad(rest, (0, max(len(self._held) - len(rest), 0))))

    def _marked(self, added: Pcm) -> Pcm:
        n = min(len(added), len(self._held))
        out: Pcm = self._held[:n] + added[:n]
        self._held = self._held[n:]
        return out
