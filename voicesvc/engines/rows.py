"""Streams of cells, and the cells of several streams computed as the rows of one.

What is computed is a network's; what a cell is computed from, and which cells are whole ones, is a
stream's. Whole cells of one length that begin neither a stream nor end one can be rows of one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from voicesvc.engines.convs import State


class Rows(ABC):
    """A network whose streams can be computed side by side.

    `rows` are the numbers of rows in which whole cells are computed, and of which every row has
    the same samples.
    """

    rows: tuple[int, ...] = (1,)
    hop: int  # samples for each frame that a cell's input has

    @abstractmethod
    def compute(self, x: Tensor, state: State, g: Tensor | None) -> Tensor:
        """Frames [b, t, C] (and speaker [b, 1, G]) -> samples [b, n], as far as they are known."""

    def together(self, streams: Sequence["Streamed"]) -> None:
        """Compute the next cells of several streams at once: whole ones, of one length."""
        n, g = len(streams), streams[0].g
        rows = min(r for r in self.rows if r >= n)
        with torch.inference_mode():
            if rows == 1:
                samples = self.compute(streams[0].input(), streams[0].state, g)
            else:
                inputs = [s.input() for s in streams]
                x = inputs[0].new_zeros(rows, *inputs[0].shape[1:])
                torch.cat(inputs, out=x[:n])
                state = State.stacked([s.state for s in streams], rows)
                samples = self.compute(x, state, g)
                state.part([s.state for s in streams])
            for stream, row in zip(streams, samples, strict=False):
                stream.made = row if rows == 1 else row.clone()

    def alone(self, stream: "Streamed") -> Tensor:
        """Compute the next cell of a stream that is no whole one: [n], its excess included."""
        with torch.inference_mode():
            return self.compute(stream.input(), stream.state, stream.g)[0]


class Streamed(Iterator[Tensor], ABC):
    """One stream of samples, cell by cell: [n] each, on the device. One thread at a time."""

    def __init__(self, network: Rows, g: Tensor | None) -> None:
        self.network, self.g, self.state = network, g, State()
        self.made: Tensor | None = None  # the next cell, if it is computed already
        self._input: Tensor | None = None  # of the next cell, where that was worked out
        self._whole = False  # whether that is a whole one

    @abstractmethod
    def whole(self) -> int | None:
        """Of how many frames the next cell is, if it is a whole one and that is known already."""

    @abstractmethod
    def _more(self) -> bool:
        """Whether there is another cell."""

    @abstractmethod
    def _prepared(self) -> Tensor:
        """What the next cell is computed from: [1, t, C]; sets `_whole` and what `state` says."""

    @property
    def _waits(self) -> bool:
        """Whether nothing was worked out for the next cell yet."""
        return self.made is None and self._input is None

    def input(self) -> Tensor:
        """What the next cell is computed from: [1, t, C]."""
        if self._input is None:
            self._input = self._prepared()
        return self._input

    def __next__(self) -> Tensor:
        if self.made is None:
            if self._input is None and not self._more():
                raise StopIteration
            self.input()
            if self._whole:
                self.network.together([self])
            else:
                self.made = self.network.alone(self)
        assert self.made is not None
        made, self.made, self._input = self.made, None, None
        if self.state.excess_frames:
            made = made[: -self.state.excess_frames * self.network.hop]
        return made


Begun = Callable[[int, int], Streamed]  # a stream by its number, its next cell of so many frames
