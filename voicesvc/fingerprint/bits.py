"""Samples into words: 32 bits for each 23 ms, whether a band's lead over the next one grows.

A word is 0 where the take is silent: there is nothing there that a copy of it would have.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicesvc.audio import Pcm, Resampler

Words = NDArray[np.uint32]
RATE_HZ = 5512  # twice as much as the highest band needs at the highest speed
HOP, WINDOW = 128, 512  # samples: a word each 23 ms, of 93 ms
WORDS_PER_S = RATE_HZ / HOP
FINER = 4  # words of a recording that is looked up, for each one of a take: it may begin anywhere
SPEEDS = (1.0, 0.95, 0.96, 0.97, 0.98, 0.99, 1.01, 1.02, 1.03, 1.04, 1.05)
_EDGES_HZ = np.geomspace(300.0, 2000.0, 34)  # of 33 bands, each 6 % higher than the one below
_SILENT_DB = -30.0  # next to the loudest frame
_TOGETHER = 2048  # frames that are transformed at once


@dataclass(frozen=True, slots=True)
class Query:
    """The words of a recording that is looked up, `FINER` for each `HOP`, as if slowed by `speed`.

    Word i is of the recording at `i * step_s` and the frame `HOP` later.
    """

    words: Words
    speed: float

    @property
    def step_s(self) -> float:
        """How far apart the words are, in the recording's own time."""
        return HOP / FINER / RATE_HZ / self.speed


class Fingerprinter:
    """The fingerprint of a take that comes part by part: `feed` its samples, then `flush`."""

    def __init__(self, rate_hz: int) -> None:
        self._resampler = Resampler(rate_hz, RATE_HZ)
        self._held = np.zeros(WINDOW // 2, np.float32)  # the first frame is around the first sample
        self._bands: list[NDArray[np.float64]] = []

    def feed(self, pcm: Pcm) -> None:
        """The next samples, [n]."""
        self._take(self._resampler.feed(pcm))

    def flush(self) -> Words:
        """The words, [m]. Nothing may be fed afterwards."""
        self._take(self._resampler.flush())
        return _words(np.concatenate([np.zeros((0, 33)), *self._bands]), 1, silent=True)

    def _take(self, pcm: Pcm) -> None:
        self._held = np.concatenate([self._held, pcm])
        n = (len(self._held) - WINDOW) // HOP + 1
        if n > 0:
            self._bands.append(_bands(self._held, np.arange(n) * HOP, 1.0))
            self._held = self._held[n * HOP :]


def words(pcm: Pcm, rate_hz: int) -> Words:
    """The fingerprint of a whole take, [n] samples."""
    fingerprinter = Fingerprinter(rate_hz)
    fingerprinter.feed(pcm)
    return fingerprinter.flush()


def queries(pcm: Pcm, rate_hz: int, speeds: Sequence[float] = SPEEDS) -> list[Query]:
    """What a recording, [n] samples, is looked up by, at each speed that it may be played at."""
    resampler = Resampler(rate_hz, RATE_HZ)
    low = np.concatenate(
        [np.zeros(WINDOW // 2, np.float32), resampler.feed(pcm), resampler.flush()]
    )
    made = []
    for speed in speeds:
        step = HOP / FINER / speed
        n = max(int((len(low) - WINDOW) / step) + 1, 0)
        bands = _bands(low, np.round(np.arange(n) * step).astype(np.int64), speed)
        made.append(Query(_words(bands, FINER, silent=False), speed))
    return made


def _bands(pcm: Pcm, begins: NDArray[np.int64], speed: float) -> NDArray[np.float64]:
    """The energy of the 33 bands in the frames that begin there, [n, 33]."""
    window = np.hanning(WINDOW)
    edges = _EDGES_HZ * speed * WINDOW / RATE_HZ + 0.5  # in bins, each half a bin to both sides
    below = edges.astype(np.int64)
    within = edges - below
    parts = [np.zeros((0, 33))]
    frames = np.lib.stride_tricks.sliding_window_view(pcm, WINDOW) if len(begins) else pcm
    for at in range(0, len(begins), _TOGETHER):
        spectrum = np.fft.rfft(frames[begins[at : at + _TOGETHER]] * window, axis=1)
        power = np.abs(spectrum) ** 2
        sums = np.pad(np.cumsum(power, axis=1), ((0, 0), (1, 0)))
        at_edges = sums[:, below] * (1 - within) + sums[:, below + 1] * within
        parts.append(np.diff(at_edges, axis=1))
    return np.concatenate(parts)


def _words(bands: NDArray[np.float64], apart: int, *, silent: bool) -> Words:
    """A word for each frame that has one `apart` frames later."""
    if len(bands) <= apart:
        return np.zeros(0, np.uint32)
    leads = bands[:, :-1] - bands[:, 1:]
    bits = leads[apart:] > leads[:-apart]
    found = np.packbits(bits, axis=1).view(">u4")[:, 0].astype(np.uint32)
    if silent:
        energy = bands.sum(axis=1)
        louder = np.maximum(energy[apart:], energy[:-apart])
        found[louder <= energy.max() * 10 ** (_SILENT_DB / 10)] = 0
    return found
