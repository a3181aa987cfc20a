"""What the benchmarks share: children that die with us, one clock, interleaving, the JSON line.

It knows nothing about any one peer (`peers.py`) nor about what is measured (`rtf.py` and others).
"""

import argparse
import contextlib
import ctypes
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.float32]
ROOT = Path(__file__).resolve().parent.parent
LINES_DIR = ROOT / "benchmarks" / "lines"
AUDIBLE = 1e-3  # |sample| above this is heard: -60 dBFS

# Of about 1.9, 6.3 and 17.2 s with the demonstration voice; each is one sentence.
LINES = {
    "short": "Hold the line, they are coming now.",
    "medium": "We crossed the river before dawn, and by the time the sun came up the whole valley "
    "was covered in a pale and silent fog.",
    "long": "When the old lighthouse keeper finally told us what he had seen that night, nobody at "
    "the table said a word, because each of us had heard the same strange bell ringing under the "
    "water, and each of us had decided, for reasons of our own, never to mention it to anyone "
    "again, not even after the harbour froze and the ships stopped coming.",
}

# Of speakers, as tables call them.
NAMES = {
    "voicesvc": "**voicesvc**, over HTTP",
    "onnxruntime": "onnxruntime",
    "coqui": "coqui-tts `Vits.inference`",
    "piper-tts": "piper-tts HTTP server (GPL)",
    "streaming-vits": "streaming-vits",
    "streaming-vits-calibrated": "streaming-vits, calibrated",
}

# A second thread in a maths library makes a shared machine stall, and the comparison is per thread.
ONE_THREAD = {
    f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
}
# The peers have no GPU code, and one compute thread.
SETTINGS = {"VOICESVC_WORKERS": "1", "VOICESVC_DEVICE": "cpu"}


class BenchmarkFailed(Exception):
    """A server did not start or did not answer; the message says which and what it printed."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One text as the listener got it; times in seconds from the moment the request was sent."""

    pcm: Pcm  # [n] in [-1, 1]
    rate_hz: int
    first_audible_s: float
    total_s: float

    @property
    def audio_s(self) -> float:
        """Length of what was heard."""
        return len(self.pcm) / self.rate_hz

    @property
    def rtf(self) -> float:
        """Seconds of waiting per second of audio."""
        return self.total_s / self.audio_s


class Speaker(Protocol):
    """Something that turns text into audio, at the other end of a socket or a pipe."""

    name: str
    version: str
    child: "Child"

    def speak(self, text: str, seed: int) -> Heard:
        """The whole text; raises BenchmarkFailed."""
        ...

    def close(self) -> None:
        """Ends the process."""
        ...


class _Ear:
    """Bytes to samples; `first_s` is when, by `perf_counter`, the first audible one came."""

    def __init__(self, dtype: str, header_bytes: int) -> None:
        self.dtype, self.to_skip_bytes, self.rest = dtype, header_bytes, b""
        self.scale = 32768.0 if dtype == "<i2" else 1.0
        self.first_s: float | None = None

    def feed(self, piece: bytes) -> Pcm:
        now_s, skipped_bytes = time.perf_counter(), min(self.to_skip_bytes, len(piece))
        self.to_skip_bytes -= skipped_bytes
        data = self.rest + piece[skipped_bytes:]
        whole_bytes = len(data) - len(data) % np.dtype(self.dtype).itemsize
        self.rest = data[whole_bytes:]
        samples = (np.frombuffer(data[:whole_bytes], self.dtype) / self.scale).astype(np.float32)
        if self.first_s is None and samples.size and float(np.abs(samples).max()) > AUDIBLE:
            self.first_s = now_s
        return samples


def listen(
    pieces: Iterable[bytes], sent_s: float, rate_hz: int, dtype: str, *, header_bytes: int = 0
) -> Heard:
    """Reads `pieces` to the end; `dtype` is "<i2" or "<f4", `sent_s` is by `perf_counter`.

    Raises BenchmarkFailed when nothing audible came.
    """
    ear = _Ear(dtype, header_bytes)
    parts = [ear.feed(piece) for piece in pieces]
    total_s = time.perf_counter() - sent_s
    if ear.first_s is None:
        raise BenchmarkFailed("nothing audible came")
    return Heard(np.concatenate(parts), rate_hz, ear.first_s - sent_s, total_s)


def first_audible_s(pieces: Iterator[bytes], sent_s: float) -> float:
    """Reads 16-bit samples up to the first audible one, and hangs up."""
    ear = _Ear("<i2", 0)
    with contextlib.closing(cast(Generator[bytes], pieces)):
        for piece in pieces:
            ear.feed(piece)
            if ear.first_s is not None:
                return ear.first_s - sent_s
    raise BenchmarkFailed("nothing audible came")


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Child:
    """A process that ends when we do, however we end. What it prints is kept for error messages."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        piped: bool = False,
        root: Path = ROOT,
    ) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        pipe = subprocess.PIPE if piped else None
        self.process = subprocess.Popen(
            command,
            cwd=root,
            env={**os.environ, **ONE_THREAD, **env},
            stdin=pipe or subprocess.DEVNULL,
            stdout=pipe or self.log,
            stderr=self.log,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    def tail(self) -> str:
        """The last lines it printed."""
        self.log.seek(0)
        return self.log.read()[-2000:].decode(errors="replace")

    def close(self) -> None:
        """Ends it and its children; waits until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


def cpu_s(pid: int) -> float:
    """Processor seconds that a process and its children have used, in steps of 10 ms.

    Where there is no /proc it is 0 for all.
    """
    used_ticks = 0
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used_ticks += int(fields[11]) + int(fields[12])  # user and system time
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                used_ticks += round(cpu_s(int(child)) * os.sysconf("SC_CLK_TCK"))
    return used_ticks / os.sysconf("SC_CLK_TCK")


def interleaved(jobs: Mapping[str, Callable[[int], None]], rounds: int) -> None:
    """ABAB...: each job once a round, the order turned by one each round; `job(round)`."""
    names = list(jobs)
    for r in range(rounds):
        for name in names[r % len(names) :] + names[: r % len(names)]:
            jobs[name](r)


def median(values: Iterable[float], digits: int = 4) -> float:
    """Rounded median."""
    return round(statistics.median(values), digits)


def machine() -> dict[str, Any]:
    """What it ran on."""
    cpu = platform.processor()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def commit() -> str:
    """Short commit, with "-dirty" when the tree differs from it; "none" outside a repository."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    short = git("rev-parse", "--short", "HEAD")
    return short + ("-dirty" if git("status", "--porcelain") else "") if short else "none"


def report(benchmark: str, figures: Mapping[str, Any], versions: Mapping[str, str]) -> None:
    """The one JSON line on stdout."""
    line = {
        "benchmark": benchmark,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "load_1min": round(os.getloadavg()[0], 2),
        "versions": {"python": platform.python_version(), **versions},
        **figures,
    }
    print(json.dumps(line), flush=True)


def say(*words: object) -> None:
    """A line for the human who watches."""
    print(*words, file=sys.stderr, flush=True)


def arguments(doc: str | None, *, rounds: int = 0, lines: int = 0) -> argparse.ArgumentParser:
    """A parser with `--rounds` or `--lines`, where a default is given."""
    # A terminated benchmark still runs its `finally` blocks, which end the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if rounds:
        parser.add_argument("--rounds", type=int, default=rounds, help="medians are over this many")
    if lines:
        parser.add_argument("--lines", type=int, default=lines, help="how many lines are spoken")
    return parser
