"""Marks: what says of a sample that it was synthesised, whatever happens to the file around it.

Knows nothing of takes, files or HTTP. torch is imported once something is marked.
"""

from typing import Protocol

import numpy as np

from voicesvc.audio import Pcm

PERTH = "perth"
_WARM_HZ, _WARM_FRAME = 24_000, 256  # any


class Mark(Protocol):
    """A stream of samples on its way out: as many leave as came in, in order."""

    def feed(self, pcm: Pcm) -> Pcm:
        """The samples that became certain with `pcm`, [n]; [m], m may be 0."""

    def flush(self) -> Pcm:
        """The samples that waited for what comes next. Nothing may be fed afterwards."""


class Unmarked:
    """A stream that is left as it is."""

    def feed(self, pcm: Pcm) -> Pcm:
        """The samples."""
        return pcm

    def flush(self) -> Pcm:
        """Nothing."""
        return np.zeros(0, np.float32)


def mark(name: str | None, rate_hz: int, frame: int) -> Mark:
    """What marks a stream at `rate_hz` whose engine's frames have `frame` samples.

    Sound that moves by whole frames takes its mark with it. None marks nothing.

    Raises:
        EngineFailed: the network's weights are not there.
    """
    if name is None:
        return Unmarked()
    from voicesvc.marks.watermark import Watermark, hop

    return Watermark(rate_hz, hop(rate_hz, frame))


def warm(name: str | None) -> None:
    """Load what marks, so that no listener waits for it."""
    mark(name, _WARM_HZ, _WARM_FRAME).feed(np.zeros(_WARM_HZ, np.float32))
