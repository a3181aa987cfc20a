"""Samples kept by their position in the stream, for steps that look back and ahead."""

import numpy as np

from voicesvc.dsp.curves import Floats


class History:
    """The newest samples of a stream; `end` is the position after the last. Zero before 0."""

    def __init__(self) -> None:
        self._kept: Floats = np.zeros(0)
        self._first = 0
        self.end = 0

    def append(self, x: Floats) -> None:
        """Add [n] samples at `end`."""
        self._kept = np.concatenate([self._kept, x])
        self.end += len(x)

    def between(self, start: int, stop: int) -> Floats:
        """A copy of samples [start, stop); start may be negative, stop at most `end`.

        Raises:
            ValueError: the stretch was dropped or has not come yet.
        """
        if stop > self.end or (max(start, 0) < self._first and stop > max(start, 0)):
            raise ValueError(f"[{start}, {stop}) is outside [{self._first}, {self.end})")
        kept = self._kept[max(start, 0) - self._first : max(stop, 0) - self._first]
        if start >= 0:
            return kept.copy()
        return np.concatenate([np.zeros(min(0, stop) - start), kept])

    def replace(self, start: int, x: Floats) -> None:
        """Overwrite [n] samples from `start` on, all of which are kept."""
        at = start - self._first
        self._kept[at : at + len(x)] = x

    def drop(self, before: int) -> None:
        """Forget samples before this position."""
        cut = min(before, self.end) - self._first
        if cut > 0:
            self._kept = self._kept[cut:].copy()
            self._first += cut


class Blocks:
    """A stream cut into blocks of one size, however it comes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.fed = 0
        self._rest: Floats = np.zeros(0)

    def feed(self, x: Floats) -> list[Floats]:
        """The blocks, [size] each, that became complete with [n] more samples."""
        self.fed += len(x)
        self._rest = np.concatenate([self._rest, x])
        whole = len(self._rest) // self.size
        cut = self._rest[: whole * self.size].reshape(whole, self.size)
        self._rest = self._rest[whole * self.size :].copy()
        return [block.copy() for block in cut]

    def flush(self, more: int) -> list[Floats]:
        """The last block filled up with zeros, and `more` blocks of zeros."""
        return self.feed(np.zeros(-len(self._rest) % self.size + more * self.size))
