"""A program of ours that reads what a stranger sent, started with limits and without secrets."""

import os
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from voicesvc.errors import BadRecording

_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")  # of the environment: no secret
_COMPLAINT_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a file may cost."""

    most_s: float = 300.0  # of sound
    cpu_s: int = 60
    wall_s: float = 600.0  # long, since the process has the lowest priority
    memory_bytes: int = 1 << 30  # of addresses


def read_apart(
    command: Sequence[str], file: IO[bytes], bounds: Bounds, most_bytes: int
) -> tuple[bytes, bytes]:
    """What a program says of a file on its stdin: its stdout, up to `most_bytes`, and its stderr.

    The program is to shut itself in by `bounds` before it reads a byte; how long it may be there
    is seen to here.

    Raises:
        BadRecording: it did not come to its end, or said more.
    """
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    with subprocess.Popen(
        command,
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment | threads,
    ) as process:
        said, told = _read(process, bounds.wall_s, most_bytes)
    if process.returncode:
        code = process.returncode
        why = f"signal {-code}" if code < 0 else f"status {code}"
        detail = "it ended the decoder, or took more memory or time than a recording may"
        raise BadRecording(f"{detail}: {why}", where="body")
    return said, told


def _read(
    process: "subprocess.Popen[bytes]", wall_s: float, most_bytes: int
) -> tuple[bytes, bytes]:
    assert process.stdout is not None
    assert process.stderr is not None
    timer = threading.Timer(wall_s, process.kill)
    timer.start()
    try:
        said = process.stdout.read(most_bytes + 1)
        if len(said) > most_bytes:
            process.kill()
        return said, process.stderr.read(_COMPLAINT_BYTES)
    finally:
        process.stdout.close()
        process.wait()
        timer.cancel()
