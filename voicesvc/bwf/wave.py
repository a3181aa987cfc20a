"""The WAV of `encode` with `bext` and `iXML` before its format."""

import struct

import numpy as np

from voicesvc import encode
from voicesvc.audio import Pcm
from voicesvc.bwf import bext, ixml
from voicesvc.bwf.about import About
from voicesvc.encode import Encoder, Output
from voicesvc.errors import InvalidRequest

_RIFF_BYTES = 12  # "RIFF", the size of the rest, "WAVE"


def encoder(about: About, output: Output, n_samples: int) -> Encoder:
    """A stream of samples in, the bytes of one Broadcast Wave of `n_samples` out.

    What is fed first, even nothing, brings the head: everything before the first sample.

    Raises:
        InvalidRequest: the file would be longer than a RIFF can count, 4 GiB.
        ValueError: the output is no WAV.
    """
    return _Broadcast(about, output, n_samples)


class _Broadcast:
    """Lets a WAV pass, with the chunks put into its head."""

    def __init__(self, about: About, output: Output, n_samples: int) -> None:
        if output.format.name != "wav":
            raise ValueError(f"a Broadcast Wave is a wav, not a {output.format.name}")
        self._wav = encode.encoder(output, n_samples)
        plain = self._wav.feed(np.zeros(0, np.float32))
        chunks = _chunks(about, output)
        size = struct.unpack_from("<I", plain, 4)[0] + len(chunks)
        if size >= encode.UNKNOWN:
            raise InvalidRequest(
                f"{n_samples} samples do not fit into a WAV",
                where="sample_rate_hz",
                valid="up to 4 GiB: a lower rate or depth",
            )
        self._head = b"RIFF" + struct.pack("<I", size) + b"WAVE" + chunks + plain[_RIFF_BYTES:]

    def feed(self, pcm: Pcm) -> bytes:
        head, self._head = self._head, b""
        return head + self._wav.feed(pcm)

    def flush(self) -> bytes:
        return self._head + self._wav.flush()


def _chunks(about: About, output: Output) -> bytes:
    uid = f"{about.uid}-{output.sample_rate_hz}-{output.bit_depth}"
    payloads = (
        (b"bext", bext.payload(about, output, uid)),
        (b"iXML", ixml.payload(about, output, uid)),
    )
    return b"".join(name + struct.pack("<I", len(data)) + data for name, data in payloads)
