"""What a file is, by its first bytes, and its samples, from `python -m voicesvc.recording`."""

import json
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from voicesvc.audio import Pcm
from voicesvc.errors import BadRecording, RecordingTooLong, UnknownKind
from voicesvc.recording.apart import Bounds, read_apart

RATE_HZ = 32_000  # the watermark's; all that is looked for is below 2.5 kHz
M4A = "M4A"
_AAC = (M4A,) if find_spec("sphn") is not None else ()  # it is not there for every processor
KINDS = ("WAV", "RF64", "FLAC", "MP3", "Ogg Vorbis", "Ogg Opus", *_AAC)
COMMAND = (sys.executable, "-P", "-m", "voicesvc.recording")


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
    if head[4:8] == b"ftyp" and M4A in KINDS:  # MP4 with pictures, too
        return M4A
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
        given = (str(bounds.most_s), str(bounds.cpu_s), str(bounds.memory_bytes), kind)
        most_bytes = 4 * round((bounds.most_s + 1) * RATE_HZ)
        samples, told = read_apart((*COMMAND, *given), file, bounds, most_bytes)
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
