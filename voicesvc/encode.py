"""Samples into the bytes of a file or a stream: feed(pcm) -> bytes, flush() -> bytes.

Knows nothing about where the samples come from or where the bytes go. Bytes leave as soon as the
format allows and are never taken back: a header says what is known when it leaves. The same
samples give the same bytes, however they are cut into chunks.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from voicesvc.audio import Pcm
from voicesvc.errors import InvalidRequest

Depth = Literal[16, 24, "32f"]  # bits per sample; "32f" is IEEE float
UNKNOWN = 0xFFFFFFFF  # what a 32-bit size says while it is unknown: read to the end
ANY_RATE_HZ = range(8000, 96001)
# libFLAC streams only rates that a frame header can hold; these are the ones in use, with the
# 0.1 % pull-down and pull-up of film transfers.
FLAC_RATES_HZ = (
    *(8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100),
    *(47952, 48000, 48048, 64000, 88200, 96000),
)
OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)  # Ogg carries each of them at 48000
MP3_KBPS = {  # constant bit rate by sample rate in Hz: MPEG-2.5, MPEG-2, MPEG-1
    **dict.fromkeys((8000, 11025, 12000), 48),
    **dict.fromkeys((16000, 22050, 24000), 96),
    **dict.fromkeys((32000, 44100, 48000), 128),
}
MP3_DELAY = 576  # samples LAME puts before the first one
OGG_SERIAL = b"vsvc"  # one stream per file, so it need not differ from another file's


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: what it is called, and which rates and depths it can carry.

    The first of `bit_depths` is the one used when none is asked for; lossy formats have none.
    """

    name: str
    media_type: str
    suffix: str
    bit_depths: tuple[Depth, ...]
    rates_hz: Sequence[int]

    @property
    def rates_text(self) -> str:
        """The valid rates in words."""
        if isinstance(self.rates_hz, range):
            return f"{self.rates_hz[0]} to {self.rates_hz[-1]}"
        return ", ".join(map(str, self.rates_hz))


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format("wav", "audio/wav", ".wav", (16, 24, "32f"), ANY_RATE_HZ),
        Format("flac", "audio/flac", ".flac", (16, 24), FLAC_RATES_HZ),
        Format("opus", "audio/ogg; codecs=opus", ".opus", (), OPUS_RATES_HZ),
        Format("mp3", "audio/mpeg", ".mp3", (), tuple(MP3_KBPS)),
        Format("pcm_s16le", "audio/pcm", ".pcm", (16,), ANY_RATE_HZ),
        Format("pcm_f32le", "audio/pcm", ".f32", ("32f",), ANY_RATE_HZ),
    )
}


@dataclass(frozen=True, slots=True)
class Output:
    """A format with the rate and depth chosen; `bit_depth` is None where the format has none."""

    format: Format
    sample_rate_hz: int
    bit_depth: Depth | None


def choose(
    format: str,
    sample_rate_hz: int | None = None,
    bit_depth: int | str | None = None,
    *,
    native_rate_hz: int,
) -> Output:
    """Check what was asked for as a whole, and fill in what was not.

    Without `sample_rate_hz` it is the voice's own rate, or the nearest the format has above it.
    A depth may be written as text ("24").

    Raises:
        InvalidRequest: the format is unknown, or does not have this rate or depth.
    """
    if format not in FORMATS:
        raise InvalidRequest(f"there is no format {format!r}", where="format", valid=FORMATS)
    chosen = FORMATS[format]
    rates_hz = chosen.rates_hz
    if sample_rate_hz is None:
        above = (rate_hz for rate_hz in rates_hz if rate_hz >= native_rate_hz)
        sample_rate_hz = next(above, rates_hz[-1])
    if sample_rate_hz not in rates_hz:
        detail = f"{format} has no sample rate of {sample_rate_hz} Hz"
        raise InvalidRequest(detail, where="sample_rate_hz", valid=chosen.rates_text)
    if bit_depth is None:
        default = chosen.bit_depths[0] if chosen.bit_depths else None
        return Output(chosen, sample_rate_hz, default)
    for depth in chosen.bit_depths:
        if str(bit_depth) == str(depth):
            return Output(chosen, sample_rate_hz, depth)
    raise InvalidRequest(
        f"{format} has no bit depth of {bit_depth}",
        where="bit_depth",
        valid=chosen.bit_depths or "none: this format is lossy, leave bit_depth out",
    )


class Encoder(Protocol):
    """A stream of samples in, the bytes of one file out."""

    def feed(self, pcm: Pcm) -> bytes:
        """The bytes that can leave now that `pcm`, [n], is known; often none."""
        ...

    def flush(self) -> bytes:
        """The bytes that waited for the end. Nothing may be fed afterwards.

        Raises:
            ValueError: a length was promised in the header, and another was fed.
        """
        ...


def encoder(output: Output, n_samples: int | None = None) -> Encoder:
    """An encoder for `output`. `n_samples` in all, if that is known, goes into the header.

    Without it every file is valid, but an MP3 ends in up to two frames of padding, and
    python-soundfile trips over the end of a FLAC (libsndfile, FFmpeg and browsers do not).
    """
    rate_hz, depth = output.sample_rate_hz, output.bit_depth
    match output.format.name:
        case "wav":
            return _Plain(n_samples, depth, *_wav(rate_hz, depth, n_samples))
        case "flac":
            head = _Head(partial(_flac_head, n_samples or 0))
            return _Coded(n_samples, _open_flac(rate_hz, depth), head)
        case "opus":
            return _Coded(n_samples, _open_opus(rate_hz), _ogg_pages)
        case "mp3":
            head = _Head(partial(_mp3_head, rate_hz, n_samples))
            return _Coded(n_samples, _open_mp3(rate_hz), head)
    return _Plain(n_samples, depth, b"", b"")


def with_length(output: Output, n_samples: int, head: bytes) -> tuple[bytes, bytes]:
    """A finished file's first 64 bytes with its length put in, and what to append to the file."""
    if output.format.name == "wav" and head[4:8] == b"\xff" * 4:
        known, tail = _wav(output.sample_rate_hz, output.bit_depth, n_samples)
        return known + head[len(known) :], tail
    return (_flac_head(n_samples, head) if output.format.name == "flac" else head), b""


def _to_int(pcm: Pcm, bits: int) -> NDArray[np.int32]:
    """To the nearest integer of `bits` bits, [n]; what does not fit is clipped, never wrapped."""
    full = 2 ** (bits - 1)  # scaling float32 by a power of two is exact
    nearest: Pcm = np.rint(pcm * np.float32(full))
    return np.clip(nearest, -full, full - 1).astype(np.int32)


class _Counted:
    """Counts samples, so that no file ends short of the length its header promised."""

    def __init__(self, n_samples: int | None) -> None:
        self._promised = n_samples
        self._fed = 0

    def _check(self) -> None:
        if self._promised is not None and self._fed != self._promised:
            raise ValueError(f"{self._promised} samples were promised and {self._fed} were fed")


class _Plain(_Counted):
    """The samples themselves, between a head and a tail."""

    def __init__(
        self, n_samples: int | None, depth: Depth | None, head: bytes, tail: bytes
    ) -> None:
        super().__init__(n_samples)
        self._depth, self._head, self._tail = depth, head, tail

    def feed(self, pcm: Pcm) -> bytes:
        self._fed += len(pcm)
        head, self._head = self._head, b""
        return head + self._pack(pcm)

    def flush(self) -> bytes:
        self._check()
        return self._head + self._tail

    def _pack(self, pcm: Pcm) -> bytes:
        if self._depth == "32f":
            return pcm.astype("<f4").tobytes()
        if self._depth == 24:
            return _to_int(pcm, 24).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
        return _to_int(pcm, 16).astype("<i2").tobytes()


def _wav(rate_hz: int, depth: Depth | None, n_samples: int | None) -> tuple[bytes, bytes]:
    """RIFF/WAVE up to the first sample (44 bytes, 58 for float), and after the last.

    24 bits are plain PCM (tag 1), as field recorders and workstations write it, not EXTENSIBLE.
    """
    tag, bits, extra = (3, 32, b"\0\0") if depth == "32f" else (1, int(depth or 16), b"")
    frame_bytes = bits // 8
    fmt = struct.pack("<HHIIHH", tag, 1, rate_hz, rate_hz * frame_bytes, frame_bytes, bits)
    chunks = _riff(b"fmt ", len(fmt + extra)) + fmt + extra
    if tag == 3:
        count = UNKNOWN if n_samples is None else min(n_samples, UNKNOWN)
        chunks += _riff(b"fact", 4) + struct.pack("<I", count)
    data_bytes = UNKNOWN if n_samples is None else n_samples * frame_bytes
    odd = data_bytes % 2
    whole_bytes = len(b"WAVE") + len(chunks) + 8 + data_bytes + odd
    if whole_bytes > UNKNOWN:  # not known, or over the 4 GiB that RIFF can count
        return _riff(b"RIFF", UNKNOWN) + b"WAVE" + chunks + _riff(b"data", UNKNOWN), b""
    head = _riff(b"RIFF", whole_bytes) + b"WAVE" + chunks + _riff(b"data", data_bytes)
    return head, bytes(odd)  # chunks end on even bytes


def _riff(name: bytes, n_bytes: int) -> bytes:
    return name + struct.pack("<I", n_bytes)


class _Tap:
    """A file that only grows. libsndfile seeks back to finish its headers, but those have left."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._at = self._end = 0  # bytes from the start of the file

    def write(self, data: bytes) -> int:
        if self._at == self._end:
            self._waiting += data
            self._end += len(data)
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._end)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def take(self) -> bytes:
        """What was written since the last call."""
        data, self._waiting = bytes(self._waiting), bytearray()
        return data


class _Coded(_Counted):
    """Samples through libsndfile; `finish` gets every batch of bytes before it leaves."""

    def __init__(
        self,
        n_samples: int | None,
        opened: tuple[_Tap, soundfile.SoundFile],
        finish: Callable[[bytes], bytes],
    ) -> None:
        super().__init__(n_samples)
        self._tap, self._file = opened
        self._finish = finish

    def feed(self, pcm: Pcm) -> bytes:
        self._fed += len(pcm)
        self._file.write(np.clip(pcm, -1, 1))
        return self._finish(self._tap.take())

    def flush(self) -> bytes:
        self._check()
        self._file.close()
        return self._finish(self._tap.take())


class _Head:
    """Rewrites the first bytes of a file, which hold its header."""

    def __init__(self, rewrite: Callable[[bytes], bytes]) -> None:
        self._rewrite: Callable[[bytes], bytes] | None = rewrite

    def __call__(self, data: bytes) -> bytes:
        if self._rewrite is None or not data:
            return data
        rewrite, self._rewrite = self._rewrite, None
        return rewrite(data)


def _open_flac(rate_hz: int, depth: Depth | None) -> tuple[_Tap, soundfile.SoundFile]:
    # Level 5 has blocks of 4096 samples, level 2 of 1152: 2 to 7 % larger at low rates, where a
    # block of 4096 would hold back up to half a second.
    level = 5 if rate_hz >= 32000 else 2
    tap = _Tap()
    return tap, soundfile.SoundFile(
        tap, "w", rate_hz, 1, f"PCM_{depth}", format="FLAC", compression_level=level / 8
    )


def _flac_head(n_samples: int, data: bytes) -> bytes:
    """Puts the length into STREAMINFO: 36 bits, from the low half of byte 21."""
    field = struct.pack(">BI", data[21] & 0xF0 | n_samples >> 32, n_samples & UNKNOWN)
    return data[:21] + field + data[26:]


def _open_opus(rate_hz: int) -> tuple[_Tap, soundfile.SoundFile]:
    tap = _Tap()
    file = soundfile.SoundFile(tap, "w", rate_hz, 1, "OPUS", format="OGG")
    # soundfile has no name for SFC_SET_OGG_PAGE_LATENCY_MS. Without it a page holds 1 s back;
    # 50 ms is the least libsndfile takes.
    latency_ms = soundfile._ffi.new("double *", 50.0)
    soundfile._snd.sf_command(file._file, 0x1302, latency_ms, soundfile._ffi.sizeof("double"))
    return tap, file


_BACKWARDS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # bits of a byte


def _ogg_crc(page: bytes) -> int:
    """CRC-32, polynomial 0x04C11DB7, most significant bit first, no inversion (RFC 3533)."""
    # zlib's is the same with the bits of every byte, and of the result, the other way round.
    mirrored = zlib.crc32(page.translate(_BACKWARDS), UNKNOWN) ^ UNKNOWN
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_BACKWARDS), "big")


def _ogg_pages(data: bytes) -> bytes:
    """Whole Ogg pages with a fixed serial number: libsndfile's is random, ours must repeat."""
    pages, at = [], 0
    while at < len(data):
        body = at + 27 + data[at + 26]
        end = body + sum(data[at + 27 : body])
        serial = data[at : at + 14] + OGG_SERIAL + data[at + 18 : at + 22]
        rest = data[at + 26 : end]
        crc = _ogg_crc(serial + bytes(4) + rest)
        pages.append(serial + struct.pack("<I", crc) + rest)
        at = end
    return b"".join(pages)


def _open_mp3(rate_hz: int) -> tuple[_Tap, soundfile.SoundFile]:
    low, high = (32, 320) if rate_hz >= 32000 else (8, 160) if rate_hz >= 16000 else (8, 64)
    level = (high - MP3_KBPS[rate_hz] - 0.5) / (high - low)  # libsndfile rounds kbps down
    tap = _Tap()
    return tap, soundfile.SoundFile(
        tap,
        "w",
        rate_hz,
        1,
        "MPEG_LAYER_III",
        format="MP3",
        compression_level=level,
        bitrate_mode="CONSTANT",
    )


def _mp3_head(rate_hz: int, n_samples: int | None, data: bytes) -> bytes:
    """Replaces the first frame, which LAME leaves empty until the end, by what is known now.

    With the length, players cut the encoder's delay and padding exactly. Without it, the size
    0xFFFFFFFF makes FFmpeg, and so browsers, take the frame for what it is and cut the delay;
    an empty frame would be played as silence.
    """
    frame_samples, side_bytes = (1152, 17) if rate_hz >= 32000 else (576, 9)
    kbps = MP3_KBPS[rate_hz]
    frame_bytes, remainder = divmod(frame_samples // 8 * kbps * 1000, rate_hz)
    padding, sizes = 0, struct.pack(">II", 2, UNKNOWN)  # flags: 1 frames, 2 bytes
    if n_samples is not None:
        samples = MP3_DELAY + n_samples
        padding = -samples % frame_samples
        padding += frame_samples if padding < 576 else 0  # the decoder lags by that much
        n_frames = (samples + padding) // frame_samples
        extra_bytes = -((1 - n_frames) * remainder // rate_hz)  # keeps the mean rate
        sizes = struct.pack(">III", 3, n_frames, frame_bytes * (1 + n_frames) + extra_bytes)
    lame = b"LAME3.100" + b"\1" + bytes(10) + bytes([kbps])
    lame += (MP3_DELAY << 12 | padding).to_bytes(3, "big") + bytes(10)
    frame = data[:4] + bytes(side_bytes) + b"Info" + sizes + lame
    frame += struct.pack(">H", _crc16(frame))
    return frame.ljust(frame_bytes, b"\0") + data[frame_bytes:]


def _crc16(data: bytes) -> int:
    """CRC-16/ARC, which ends the LAME tag."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
