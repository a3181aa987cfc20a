"""Cells of several streams of one voice computed at once: whether it pays here, and how it is done.

A device is measured when a voice is warmed on it, not guessed at: what so many cells at once cost,
and in which numbers of rows their samples are the same bits. Only such numbers are used, so that
the samples of a stream do not depend on what runs beside it. Knows nothing of plans or turns.
"""

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor

from voicesvc.audio import Pcm
from voicesvc.engines import Batching, Cell
from voicesvc.engines.rows import Begun, Rows, Streamed
from voicesvc.errors import EngineFailed

_log = logging.getLogger(__name__)
NUMBERS = (2, 4, 8)  # of cells at once that are tried
PAYS = 0.8  # of what so many cells cost alone: what they may cost at once
LONE = 1.25  # times what a cell costs alone that it may cost where it always takes several rows
_FAULTS = (RuntimeError, ValueError, MemoryError, OSError)
_ROUNDS = 3


class Sound(Iterator[Pcm]):
    """The samples of a stream of cells, on the host; of one `style` with those it is beside."""

    def __init__(self, cells: Streamed, style: Hashable = ()) -> None:
        self._cells, self._style, self._closed = cells, style, False

    def cell(self) -> Cell | None:
        """The next cell, if it can be computed beside others'."""
        network = self._cells.network
        if self._closed or max(network.rows) == 1:
            return None
        frames = self._cells.whole()
        if frames is None:
            return None
        return Cell((network, frames, self._style), max(network.rows), self._together, self)

    def close(self) -> None:
        """End it, and let go of what it carries."""
        self._closed = True
        self._cells.state.clear()

    def __next__(self) -> Pcm:
        if self._closed:
            raise StopIteration
        pcm = cast(Pcm, next(self._cells).cpu().numpy())
        if not math.isfinite(float(pcm.sum(dtype="float64"))):
            raise EngineFailed("the decoder produced samples that are not numbers")
        return pcm

    def _together(self, cells: Sequence[Cell]) -> None:
        """Compute them; where that fails each is left to its stream, and one alone may fail."""
        try:
            self._cells.network.together([cast(Sound, c.stream)._cells for c in cells])
        except _FAULTS as e:
            _log.warning("%d cells at once failed, each is computed alone: %s", len(cells), e)


class Check(Protocol):
    """What is measured of a voice on a device."""

    def cost(self, rows: int, most: float) -> float:
        """So many cells at once, in times of one alone; `most` is beyond what is of interest."""
        ...

    def alike(self, rows: int) -> tuple[int, ...]:
        """Which numbers of rows up to this give every row the bits that it has in so many.

        None where those depend on what is in the other rows.
        """
        ...


def choose(asked: str, check: Check, *, exact: bool) -> Batching:
    """How many cells are computed at once: `auto`, `off`, or a number whatever it costs.

    `exact`: only where a cell has the samples that it has alone. Elsewhere a lone cell may take
    several rows too, if it costs little more in them.
    """
    if asked == "off":
        return Batching(reason="off by VOICESVC_BATCH")
    if asked != "auto":
        rows = check.alike(int(asked))
        if not rows:
            return Batching(reason=f"a cell among {asked} has other samples beside others")
        return Batching(rows, _costs(check, rows), f"{asked} by VOICESVC_BATCH")
    costs = {1: 1.0}
    for n in NUMBERS:
        cost = check.cost(n, PAYS * n)
        if cost > PAYS * n:
            break
        costs[n] = cost
    most = max(costs)
    if most == 1:
        return Batching(reason=f"{n} at once cost {cost:.2f} times one")
    rows = check.alike(most)
    if not rows or (exact and rows[0] > 1):
        return Batching(reason=f"a cell among {most} has other samples than alone")
    if costs[rows[0]] > LONE:
        return Batching(reason=f"a lone cell would cost {costs[rows[0]]:.2f} times as much")
    reason = f"{most} at once cost {costs[most]:.2f} times one"
    return Batching(rows, {n: costs[n] for n in rows}, reason)


def _costs(check: Check, rows: Sequence[int]) -> dict[int, float]:
    return {n: 1.0 if n == 1 else check.cost(n, math.inf) for n in rows}


class Measured:
    """See `Check`: of a voice as it is loaded.

    Args:
        network: what computes its cells.
        begun: a stream of noise by its number, whose next cell is a whole one of so many frames.
        frames: how long whole cells are; the first and the last of them are timed.
        where: its device.
        clock: in s.
    """

    def __init__(
        self,
        network: Rows,
        begun: Begun,
        frames: Sequence[int],
        where: torch.device,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._network, self._begin, self._frames = network, begun, frames
        self.where, self._clock = where, clock

    def cost(self, rows: int, most: float) -> float:
        """The dearer of the shortest and the longest whole cell; the lowest of a few rounds."""
        found = 0.0
        for frames in (self._frames[0], self._frames[-1]):
            alone_s, at_once_s = math.inf, math.inf
            for _ in range(_ROUNDS):  # in turns, so that other programs slow down both
                alone_s = min(alone_s, self._seconds(1, frames))
                at_once_s = min(at_once_s, self._seconds(rows, frames))
            found = max(found, at_once_s / alone_s)
            if found > most:
                break
        return found

    def alike(self, rows: int) -> tuple[int, ...]:
        """See `Check`; of every length that a whole cell has."""
        found = [n for n in (1, *NUMBERS) if n <= rows]
        for frames in self._frames:
            reference = self._samples(range(rows), rows, frames)
            turned = self._samples(reversed(range(rows)), rows, frames)
            if not torch.equal(reference, turned.flip(0)):
                return ()
            found = [n for n in found if self._same(n, rows, frames, reference)]
        return tuple(found)

    def _same(self, n: int, rows: int, frames: int, reference: Tensor) -> bool:
        if n == rows:
            return True
        parts = [self._samples(range(i, i + n), n, frames) for i in range(0, rows, n)]
        return torch.equal(torch.cat(parts), reference)

    def _seconds(self, rows: int, frames: int) -> float:
        streams = [self.begun(i, frames) for i in range(rows)]
        began_s = self._clock()
        self.compute(streams, rows)
        for stream in streams:
            next(stream).cpu()
        return self._clock() - began_s

    def _samples(self, numbers: Sequence[int] | Iterator[int], rows: int, frames: int) -> Tensor:
        streams = [self.begun(i, frames) for i in numbers]
        self.compute(streams, rows)
        return torch.stack([next(s) for s in streams])

    def compute(self, streams: Sequence[Streamed], rows: int) -> None:
        """Compute their next cells at once, in so many rows."""
        before, self._network.rows = self._network.rows, (rows,)
        self._network.together(streams)
        self._network.rows = before

    def begun(self, number: int, frames: int) -> Streamed:
        """A stream of noise, with a whole cell of so many frames as its next."""
        stream = self._begin(number, frames)
        next(stream)
        stream.input()
        if self.where.type == "cuda":
            torch.cuda.synchronize(self.where)
        return stream


class AtOnce(ABC):
    """What an engine has that can compute the cells of several streams at once: see `Batches`.

    Where a cell is never computed alone, sums are rounded in another order: that is another class
    of device.
    """

    device: str

    def __init__(self, network: Rows, device: str) -> None:
        self._network, self._class = network, device
        self.batching = Batching()

    @property
    def batching(self) -> Batching:
        """In how many rows whole cells are computed."""
        return self._batching

    @batching.setter
    def batching(self, batching: Batching) -> None:
        self._batching, self._network.rows = batching, batching.rows
        fewest = batching.rows[0]
        self.device = self._class if fewest == 1 else f"{self._class} rows {fewest}"

    @abstractmethod
    def check(self) -> Measured:
        """What is measured of this voice."""

    def measure(self, asked: str) -> Batching:
        """How many whole cells are computed at once: see `choose`."""
        check = self.check()
        return choose(asked, check, exact=check.where.type == "cpu")
