"""Latents of XTTS into samples as they come: nothing is computed twice, and no sample is lost.

Each latent becomes some four frames of HiFi-GAN by linear interpolation; frames go through
`cells.Decoder`, which carries what its convolutions need. Tensors are [time, channels].
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from voicesvc.engines.cells import TAIL_FRAMES, Decoder
from voicesvc.engines.convs import State

Positions = NDArray[np.float32]  # of rows, fractional
CELL_FRAMES = (20, 40, 64)  # the last one repeats: 0.68 s, as much as the GPT says meanwhile


class Interpolated:
    """`torch.nn.functional.interpolate(mode="linear")` over time, of a stream.

    Positions are computed in float32 as torch does, from the beginning, however the stream is cut.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self._step = np.float32(1.0 / factor)
        self._held: Tensor | None = None  # rows [_begin, _fed)
        self._begin = self._fed = self._given = 0

    def feed(self, x: Tensor) -> Tensor:
        """Whatever lies between rows that have come."""
        self._held = x if self._held is None else torch.cat([self._held, x])
        self._fed += len(x)
        at = self._positions(self._given, math.ceil(self._fed * self.factor) + 1)
        return self._rows(at[at.astype(np.int64) + 1 < self._fed])

    def flush(self) -> Tensor:
        """The rest: the last row goes on to the end."""
        return self._rows(self._positions(self._given, math.floor(self._fed * self.factor)))

    def _positions(self, begin: int, end: int) -> Positions:
        half = np.float32(0.5)
        at: Positions = (np.arange(begin, end, dtype=np.float32) + half) * self._step - half
        return at.clip(np.float32(0))

    def _rows(self, at: Positions) -> Tensor:
        assert self._held is not None
        rows = between(self._held, at, self._begin, self._fed)
        self._given += len(at)
        keep = int(self._positions(self._given, self._given + 1)[0])
        self._held, self._begin = self._held[max(keep - self._begin, 0) :], max(keep, self._begin)
        return rows


def between(held: Tensor, at: Positions, begin: int, end: int) -> Tensor:
    """The rows at fractional positions; `held` are rows [begin, end), the last goes on."""
    low = np.minimum(at.astype(np.int64), end - 1)
    high = np.minimum(low + 1, end - 1)
    share = torch.from_numpy(at - low.astype(np.float32)).clamp_(0, 1).to(held)[:, None]
    first, second = (torch.from_numpy(i - begin).to(held.device) for i in (low, high))
    return held[first] * (1 - share) + held[second] * share


class Stretched:
    """Frames at the positions that a plan gives them; where it changes nothing, as they are."""

    def __init__(self, positions: Positions) -> None:
        self._positions = positions
        self._held: Tensor | None = None
        self._begin = self._fed = self._given = 0

    def feed(self, x: Tensor) -> Tensor:
        """Whatever lies between frames that have come."""
        self._held = x if self._held is None else torch.cat([self._held, x])
        self._fed += len(x)
        rest = self._positions[self._given :]
        later = np.flatnonzero(rest.astype(np.int64) + 1 >= self._fed)
        return self._rows(rest[: later[0]] if len(later) else rest)

    def flush(self) -> Tensor:
        """The rest."""
        return self._rows(self._positions[self._given :])

    def _rows(self, at: Positions) -> Tensor:
        assert self._held is not None
        rows = between(self._held, at, self._begin, self._fed)
        self._given += len(at)
        if self._given < len(self._positions):
            keep = max(int(self._positions[self._given]), self._begin)
            self._held, self._begin = self._held[keep - self._begin :], keep
        return rows


Stage = Interpolated | Stretched


def fed(stages: list[Stage], x: Tensor) -> Tensor:
    """`x` through all stages, as far as it goes."""
    for stage in stages:
        if len(x):
            x = stage.feed(x)
    return x


def flushed(stages: list[Stage]) -> Tensor:
    """All that is left in the stages."""
    rest: Tensor | None = None
    for stage in stages:
        parts = [] if rest is None or not len(rest) else [stage.feed(rest)]
        rest = torch.cat([*parts, stage.flush()])
    assert rest is not None
    return rest


class Vocoder:
    """One voice's HiFi-GAN: latents [C] one by one, samples cell by cell.

    Args:
        decoder: its network.
        speaker: whose voice, [D].
        factors: frames for each latent, one interpolation after another.
    """

    def __init__(self, decoder: Decoder, speaker: Tensor, factors: tuple[float, ...]) -> None:
        self.decoder, self.factors = decoder, factors
        self.speaker = speaker[None, None]  # [1, 1, D]
        self.ahead_frames = decoder.lag_frames

    def frames(self, n_latents: int) -> int:
        """How many frames so many latents become."""
        n = n_latents
        for factor in self.factors:
            n = math.floor(n * factor)
        return n

    def stream(
        self,
        latents: Iterable[Tensor],
        positions: Positions | None = None,
        cells: tuple[int, ...] = CELL_FRAMES,
    ) -> Iterator[Tensor]:
        """Samples [n] of each cell, on the device; `positions` of frames where they are moved."""
        stages: list[Stage] = [Interpolated(f) for f in self.factors]
        if positions is not None:
            stages.append(Stretched(positions))
        state, number = State(), 0
        held = self.speaker.new_empty(0, 0)
        for latent in latents:
            with torch.inference_mode():
                x = fed(stages, latent[None])
                held = torch.cat([held, x]) if len(held) else x
            while len(held) > (cell := self._cell(number, cells)):
                yield self._samples(held[:cell], state)
                held, number = held[cell:], number + 1
        with torch.inference_mode():
            rest = flushed(stages)
            held = torch.cat([held, rest]) if len(held) else rest
        while len(held) > (cell := self._cell(number, cells)):
            yield self._samples(held[:cell], state)
            held, number = held[cell:], number + 1
        state.last = True
        if len(held):
            yield self._samples(held, state)

    def _cell(self, number: int, cells: tuple[int, ...]) -> int:
        return cells[min(number, len(cells) - 1)] + (0 if number else self.ahead_frames)

    def _samples(self, x: Tensor, state: State) -> Tensor:
        with torch.inference_mode():
            if state.last:
                state.excess_frames = -len(x) % TAIL_FRAMES
                x = F.pad(x, (0, 0, 0, state.excess_frames))
            samples: Tensor = self.decoder(x[None], state, self.speaker)[0]
            if state.excess_frames:
                samples = samples[: -state.excess_frames * self.decoder.hop]
        return samples
