"""A filter that listens: one take after another on stdin, one verdict a line on stdout.

    {"id": 1, "rate_hz": 22050, "text": "Hold fast.", "language": "en-us", "pcm_bytes": 70560}
    70560 bytes: mono float32 samples, little-endian
    {"id": 1, "verdict": {"wer": 0.0, ...}}

`said`, which may be left out, has stretches of the text that are read otherwise:
`[{"start": 0, "end": 4, "text": "stay"}]`. The program runs at the lowest priority, on one thread,
and ends when stdin does. Its arguments, which may be left out: after how many seconds without a
question it ends; the id of its parent, with which it ends (on Linux, whatever it is doing; else
when it comes to read again); and how nice it is, 19 being the lowest priority.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def end_with(parent: int) -> None:
    """Have the kernel end this process with its parent, and end it if that is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def main(idle_s: int = 0, parent: int | None = None, niceness: int = 19) -> None:
    """Take the last place in the queue for the processor, and only then load what is large."""
    if parent is not None:
        end_with(parent)
    os.nice(niceness)
    from voicesvc.qc.listener import answer

    answer(idle_s)


main(*map(int, sys.argv[1:]))
