"""Latents of XTTS into samples as they come: nothing is computed twice, and no sample is lost.

Each latent becomes some four frames of HiFi-GAN by linear interpolation; frames go through
`cells.Decoder`, which carries what its convolutions need. Tensors are [time, channels].
"""

import math
from collections.abc import Callable, Iterable
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from voicesvc.engines.cells import TAIL_FRAMES, Decoder
from voicesvc.engines.convs import State
from voicesvc.engines.rows import Rows, Streamed

Positions = NDArray[np.float32]  # of rows, fractional
CELL_FRAMES = (20, 40, 64)  # the last one repeats: 0.68 s, as much as the GPT says meanwhile

WHOLE_FRAMES = CELL_FRAMES[1:]


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
        return self._rows(self._positions(self._given, self.reach(self._fed)))

    def reach(self, n_rows: int) -> int:
        """How many it has given when so many rows have come, not fewer than did."""
        at = self._positions(self._given, math.ceil(n_rows * self.factor) + 1)
        return self._given + int(np.count_nonzero(at.astype(np.int64) + 1 < n_rows))

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
        return self._rows(self._positions[self._given : self.reach(self._fed)])

    def reach(self, n_rows: int) -> int:
        """How many it has given when so many frames have come, not fewer than did."""
        rest = self._positions[self._given :].astype(np.int64)
        later = np.flatnonzero(rest + 1 >= n_rows)
        return self._given + int(later[0] if len(later) else len(rest))

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


class Hifigan(Rows):
    """The network of one voice or of several: frames in, samples out."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder, self.hop = decoder, decoder.hop

    def compute(self, x: Tensor, state: State, g: Tensor | None) -> Tensor:
        """See `Rows`."""
        return cast(Tensor, self.decoder(x, state, g))


class Vocoder:
    """One voice's HiFi-GAN: latents [C] one by one, samples cell by cell.

    Args:
        network: what makes the samples.
        speaker: whose voice, [D].
        factors: frames for each latent, one interpolation after another.
    """

    def __init__(self, network: Hifigan, speaker: Tensor, factors: tuple[float, ...]) -> None:
        self.network, self.factors = network, factors
        self.speaker = speaker[None, None]  # [1, 1, D]
        self.ahead_frames = network.decoder.lag_frames

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
        there: Callable[[], int] = lambda: 0,
    ) -> "Vocoded":
        """Samples [n] of each cell, on the device; `positions` of frames where they are moved.

        `there()` is how many of the latents can be had without waiting, from the first one on.
        """
        stages: list[Stage] = [Interpolated(f) for f in self.factors]
        if positions is not None:
            stages.append(Stretched(positions))
        return Vocoded(self, latents, stages, cells, there)


class Vocoded(Streamed):
    """One stream of samples; see `Vocoder.stream`.

    A cell is a whole one if it is neither the first of its stream nor the last: more frames are
    known than it has.
    """

    def __init__(
        self,
        vocoder: Vocoder,
        latents: Iterable[Tensor],
        stages: list[Stage],
        cells: tuple[int, ...],
        there: Callable[[], int],
    ) -> None:
        super().__init__(vocoder.network, vocoder.speaker)
        self._ahead, self._cells = vocoder.ahead_frames, cells
        self._latents, self._there, self._stages = iter(latents), there, stages
        self._held = vocoder.speaker.new_empty(0, 0)  # frames that no cell has yet
        self._taken = self._number = 0  # frames and cells that are made
        self._over = False  # whether all latents have come

    def whole(self) -> int | None:
        """See `Streamed`."""
        if not self._waits or not self._number:
            return None
        frames = self._frames_of_cell()
        known = self._taken + len(self._held)
        if not self._over and known - self._taken <= frames:
            known = self._there()
            for stage in self._stages:
                known = stage.reach(known)
        return frames if known - self._taken > frames else None

    def _frames_of_cell(self) -> int:
        frames = self._cells[min(self._number, len(self._cells) - 1)]
        return frames + (0 if self._number else self._ahead)

    def _more(self) -> bool:
        while not self._over and len(self._held) <= self._frames_of_cell():
            latent = next(self._latents, None)
            self._over = latent is None
            with torch.inference_mode():
                x = flushed(self._stages) if latent is None else fed(self._stages, latent[None])
                self._held = torch.cat([self._held, x]) if len(self._held) else x
        return len(self._held) > 0

    def _prepared(self) -> Tensor:
        self._more()
        cell, state = self._frames_of_cell(), self.state
        state.last = len(self._held) <= cell
        self._whole = self._number > 0 and not state.last
        x, self._held = self._held[:cell], self._held[cell:]
        self._taken, self._number = self._taken + len(x), self._number + 1
        if state.last:
            with torch.inference_mode():
                state.excess_frames = -len(x) % TAIL_FRAMES
                x = F.pad(x, (0, 0, 0, state.excess_frames))
        return x[None]
