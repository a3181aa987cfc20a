"""A file on stdin, its channels added up as float32 at 32 kHz on stdout, what it is on stderr.

    {"sample_rate_hz": 44100, "channels": 2, "frames": 441000, "coding": "Opus"}

or `{"long": true}`, or `{"wrong": "what is"}`. Before it reads a byte it gives up what a decoder
does not need: more than so much memory and processor time, to open files or connections, to write
files, to start programs that have more rights. Arguments: most seconds of sound, seconds of
processor time, bytes of addresses, and the kind of file, as it begins.
"""

import json
import os
import sys

import numpy as np
import soundfile
from numpy.typing import NDArray

from voicesvc.audio import Resampler
from voicesvc.recording.decoded import M4A
from voicesvc.recording.shut import shut_in

_RATE_HZ = 32_000
_RATES_HZ = range(4_000, 192_001)
_MOST_CHANNELS = 8
_TOGETHER = 1 << 16  # frames
_CODINGS = {"OPUS": "Opus", "VORBIS": "Vorbis"}


def decode(most_s: float) -> dict[str, object]:
    """Write the samples; gives what the file is."""
    try:
        with soundfile.SoundFile(0, closefd=False) as file:
            rate_hz, channels = file.samplerate, file.channels
            if rate_hz not in _RATES_HZ or channels > _MOST_CHANNELS:
                return {"wrong": f"{channels} channels at {rate_hz} Hz are not read"}
            frames, most = 0, most_s * rate_hz
            resampler = Resampler(rate_hz, _RATE_HZ)
            while len(part := file.read(_TOGETHER, dtype="float32", always_2d=True)):
                frames += len(part)
                if frames > most:
                    return {"long": True}
                mono = np.nan_to_num(part.mean(axis=1), posinf=0.0, neginf=0.0)
                sys.stdout.buffer.write(resampler.feed(mono).astype("<f4").tobytes())
            sys.stdout.buffer.write(resampler.flush().astype("<f4").tobytes())
            sys.stdout.buffer.flush()
            coding = _CODINGS.get(file.subtype, file.subtype)
    except soundfile.SoundFileError as e:
        return {"wrong": str(e).removeprefix("Error opening 0: ")}
    about = {"sample_rate_hz": rate_hz, "channels": channels, "frames": frames, "coding": coding}
    return about if frames else {"wrong": "there is no sound in it"}


def decode_aac(most_s: float, pipe: tuple[int, int]) -> dict[str, object]:
    """The same of an M4A, by way of a pipe that is there for it."""
    from voicesvc.recording import aac

    try:
        with open(0, "rb", closefd=False) as file:
            track = aac.track(file)
            if track.duration_s > most_s + 3 * aac.FRAME / track.rate_hz:  # what encoders add
                return {"long": True}
            samples = aac.pcm(file, track, pipe)
    except aac.BadTrack as e:
        return {"wrong": str(e)}
    resampler = Resampler(track.rate_hz, _RATE_HZ)
    for at in range(0, samples.shape[1], _TOGETHER):
        part: NDArray[np.float32] = samples[:, at : at + _TOGETHER].mean(axis=0)
        sys.stdout.buffer.write(resampler.feed(part).astype("<f4").tobytes())
    sys.stdout.buffer.write(resampler.flush().astype("<f4").tobytes())
    sys.stdout.buffer.flush()
    about = {"sample_rate_hz": track.rate_hz, "channels": track.channels}
    return about | {"frames": samples.shape[1], "coding": "AAC"}


def main(most_s: str, cpu_s: str, memory_bytes: str, kind: str) -> None:
    """Shut in, decode and say what it was."""
    pipe = None
    if kind == M4A:
        import voicesvc.recording.aac  # noqa: F401 # now: no file can be opened later

        pipe = os.pipe()
    told = shut_in(int(cpu_s), int(memory_bytes))
    about = decode(float(most_s)) if pipe is None else decode_aac(float(most_s), pipe)
    os.write(told, json.dumps(about).encode())


main(*sys.argv[1:])
