"""What a file is, by its first bytes, and its samples, from `python -m voicesvc.recording`."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voicesvc.audio import Pcm
from voicesvc.errors import BadRecording, RecordingTooLong, UnknownKind

RATE_HZ = 32_000  # the watermark's; all that is looked for is below 2.5 kHz
KINDS = ("WAV", "RF64", "FLAC", "MP3", "Ogg Vorbis", "Ogg Opus")
COMMAND = (sys.executable, "-P", "-m", "voicesvc.recording")
_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")  # of the environment: no secret
_COMPLAINT_BYTES = 2_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a file may cost."""

    most_s: float = 300.0  # of sound
    cpu_s: int = 60
    wall_s: float = 600.0  # long, since the process has the lowest priority
    memory_bytes: int = 1 << 30  # of addresses


@dataclass(frozen=True, slots=True)
class Decoded:
    """A recording: its channels added up, [n] at `RATE_HZ`, and what it was."""

    pcm: Pcm
    kind: str
    sample_rate_hz: int
    channels: int
    duration_s: float


def kind_of(head: bytes) -> str:
    """What a file is, by its first 12 bytes.

    Raises:
        UnknownKind: none of those that are read.
    """
    for kind, begin, form in (("WAV", b"RIFF", b"WAVE"), ("RF64", b"RF64", b"WAVE")):
        if head[:4] == begin and head[8:12] == form:
            return kind
    if head[:4] in (b"fLaC", b"OggS"):
        return "FLAC" if head[:4] == b"fLaC" else "Ogg"
    if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2):
        return "MP3"
    raise UnknownKind("what the file is cannot be seen from its beginning", valid=KINDS)


def decode(path: Path, bounds: Bounds) -> Decoded:
    """The samples of a file.

    Raises:
        BadRecording: it cannot be decoded within the bounds of memory and time.
        RecordingTooLong: it is longer than it may be.
        UnknownKind: it is none of the kinds that are read.
    """
    with path.open("rb", buffering=0) as file:
        kind = kind_of(file.read(12))
        file.seek(0)
        given = (str(bounds.most_s), str(bounds.cpu_s), str(bounds.memory_bytes))
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        with subprocess.Popen(
            (*COMMAND, *given),
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment | threads,
        ) as process:
            samples, told = _read(process, bounds)
    if process.returncode:
        code = process.returncode
        why = f"signal {-code}" if code < 0 else f"status {code}"
        detail = "it ended the decoder, or took more memory or time than a recording may"
        raise BadRecording(f"{detail}: {why}", where="body")
    about = json.loads(told)
    if "long" in about:
        raise RecordingTooLong(f"over {bounds.most_s:g} s", valid=f"up to {bounds.most_s:g} s")
    if "wrong" in about:
        raise BadRecording(about["wrong"], where="body", valid=KINDS)
    if kind == "Ogg":
        kind = f"Ogg {about['coding']}"
    pcm = np.frombuffer(samples, "<f4").astype(np.float32)
    rate_hz, channels = about["sample_rate_hz"], about["channels"]
    return Decoded(pcm, kind, rate_hz, channels, round(about["frames"] / rate_hz, 6))


def _read(process: "subprocess.Popen[bytes]", bounds: Bounds) -> tuple[bytes, bytes]:
    """What it writes to stdout, as much as there may be, and to stderr."""
    assert process.stdout is not None
    assert process.stderr is not None
    timer = threading.Timer(bounds.wall_s, process.kill)
    timer.start()
    try:
        most_bytes = 4 * round((bounds.most_s + 1) * RATE_HZ)
        samples = process.stdout.read(most_bytes + 1)
        if len(samples) > most_bytes:
            process.kill()
        return samples, process.stderr.read(_COMPLAINT_BYTES)
    finally:
        process.stdout.close()
        process.wait()
        timer.cancel()
