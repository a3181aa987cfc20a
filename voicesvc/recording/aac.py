"""AAC out of an M4A or MP4: its frames found in the file, and decoded by symphonia.

For the process that has shut itself in. `sphn` reads AAC as a stream of frames with a head each
(ADTS, ISO/IEC 13818-7), not as MP4 has it (ISO/IEC 14496-12, 14496-14), so they are put into one.
The extensions of HE-AAC are left out: what remains is the sound below half of its rate's half.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import sphn
from numpy.typing import NDArray

FRAME = 1024  # samples of a frame
MOST_HEAD_BYTES = 1 << 26  # of what says where the frames are
_HEAD_BYTES = 7  # of a frame in ADTS
_MOST_FRAME_BYTES = (1 << 13) - 1 - _HEAD_BYTES  # its length has 13 bits
_RATES_HZ = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025),
    *(8_000, 7_350),
)
_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)  # by the number of their layout
_AAC = 0x40  # object type of MPEG-4 audio
_LC, _SBR, _PS = 2, 5, 29  # audio object types


class BadTrack(ValueError):
    """The file has no AAC that is read here; says why."""


@dataclass(frozen=True, slots=True)
class Track:
    """The first sound track of a file: what it is, and where its frames are, each [n_frames]."""

    rate: int  # place in the list of rates
    layout: int
    starts_bytes: NDArray[np.int64]
    sizes_bytes: NDArray[np.int64]

    @property
    def rate_hz(self) -> int:
        """Of the samples."""
        return _RATES_HZ[self.rate]

    @property
    def channels(self) -> int:
        """How many there are."""
        return _CHANNELS[self.layout]

    @property
    def duration_s(self) -> float:
        """With what the encoder put before and after the sound."""
        return len(self.sizes_bytes) * FRAME / self.rate_hz


def track(file: BinaryIO) -> Track:
    """Where the sound of an MP4 is.

    Raises:
        BadTrack: there is none, or it is not AAC in whole frames.
    """
    try:
        for part in _boxes(_moov(file), b"trak"):
            media = _inside(part, b"mdia")
            if _inside(media, b"hdlr")[8:12] == b"soun":
                return _track(_inside(_inside(media, b"minf"), b"stbl"))
    except (struct.error, IndexError, OSError, ValueError) as e:  # a place that no file has, too
        raise e if isinstance(e, BadTrack) else BadTrack("the file is damaged") from e
    raise BadTrack("there is no sound in it")


def pcm(file: BinaryIO, found: Track, pipe: tuple[int, int]) -> NDArray[np.float32]:
    """The samples of a track, [channels, n]; `pipe` is an open one, which is used up.

    Raises:
        BadTrack: its frames cannot be decoded.
    """
    reader, writer = pipe
    child = os.fork()  # symphonia wants a file to read from, and none can be made here
    if child == 0:
        try:
            os.close(reader)
            with open(writer, "wb") as stream:
                for frame in _frames(file, found):
                    stream.write(frame)
        finally:
            os._exit(0)
    os.close(writer)  # leaves place for one open file, which is taken before a byte is read
    samples: NDArray[np.float32]
    try:
        samples, rate_hz = sphn.read(f"/dev/fd/{reader}")
    except ValueError as e:
        raise BadTrack("its AAC cannot be decoded") from e
    finally:
        os.close(reader)
        os.waitpid(child, 0)
    if rate_hz != found.rate_hz:
        raise BadTrack("its AAC has another rate than the file says")
    return samples


def _frames(file: BinaryIO, found: Track) -> Iterator[bytes]:
    """Each with a head of its own; ends where the file does."""
    for start, size in zip(found.starts_bytes.tolist(), found.sizes_bytes.tolist(), strict=True):
        whole = size + _HEAD_BYTES
        head = (0xFFF1 << 40) | ((_LC - 1) << 38) | (found.rate << 34) | (found.layout << 30)
        head |= (whole << 13) | (0x7FF << 2)
        file.seek(start)
        body = file.read(size)
        if len(body) < size:
            return
        yield head.to_bytes(_HEAD_BYTES, "big") + body


def _moov(file: BinaryIO) -> bytes:
    """What the file says of its tracks, wherever it stands."""
    file.seek(0)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        inside = size - 8
        if size == 1:
            inside = struct.unpack(">Q", file.read(8))[0] - 16
        if kind == b"moov":
            if not 0 < inside <= MOST_HEAD_BYTES:
                raise BadTrack("what it says of its tracks has no length, or is too long")
            return file.read(inside)
        if size == 0 or inside < 0:
            break
        file.seek(inside, os.SEEK_CUR)
    raise BadTrack("it does not say what is in it")


def _boxes(within: bytes, kind: bytes) -> Iterator[bytes]:
    """The contents of all boxes of a kind."""
    at = 0
    while at + 8 <= len(within):
        size, found = struct.unpack_from(">I4s", within, at)
        if size < 8:
            raise BadTrack("the file is damaged")
        if found == kind:
            yield within[at + 8 : at + size]
        at += size


def _inside(within: bytes, kind: bytes) -> bytes:
    """The first box of a kind."""
    for found in _boxes(within, kind):
        return found
    raise BadTrack(f"it has no {kind.decode()}")


def _track(table: bytes) -> Track:
    entry = _inside(table, b"stsd")[8:]
    if entry[4:8] != b"mp4a":
        raise BadTrack("its sound is not AAC")
    rate, layout = _config(entry)
    sizes = _sizes(_inside(table, b"stsz"))
    if not len(sizes):
        raise BadTrack("its frames are not listed at its beginning or end")
    if sizes.max() > _MOST_FRAME_BYTES:
        raise BadTrack("a frame is longer than AAC has them")
    return Track(rate, layout, _starts(table, sizes), sizes)


def _config(entry: bytes) -> tuple[int, int]:
    """Which rate and which layout of channels, from the description of a stream."""
    at = entry.index(b"esds") + 8
    kind = -1
    while kind != 5:  # the decoder's own description, inside the others
        kind, at = entry[at], at + 1
        while entry[at] & 0x80:  # a length, seven bits a byte
            at += 1
        at += 1
        if kind == 3:
            flags = entry[at + 2]
            at += 3 + 2 * (flags >> 7)
        elif kind == 4:
            if entry[at] != _AAC:
                raise BadTrack("its sound is not AAC")
            at += 13
        elif kind != 5:
            raise BadTrack("its sound is not described")
    bits = int.from_bytes(entry[at : at + 5].ljust(5, b"\0"), "big")
    object_type, rate, layout = bits >> 35, (bits >> 31) & 15, (bits >> 27) & 15
    short = (bits >> 26) & 1
    if object_type in (_SBR, _PS):
        object_type, short = (bits >> 18) & 31, (bits >> 17) & 1
    if object_type != _LC or short or rate >= len(_RATES_HZ) or not 0 < layout < len(_CHANNELS):
        raise BadTrack("its AAC is of a kind that is not read: AAC-LC and HE-AAC are")
    return rate, layout


def _sizes(content: bytes) -> NDArray[np.int64]:
    each, n = struct.unpack_from(">II", content, 4)
    if each:
        if n > MOST_HEAD_BYTES // 4:
            raise BadTrack("there are too many frames")
        return np.full(n, each, np.int64)
    return np.frombuffer(content, ">u4", n, 12).astype(np.int64)


def _starts(table: bytes, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each frame begins in the file: they lie one after another in chunks."""
    many = any(True for _ in _boxes(table, b"co64"))
    content = _inside(table, b"co64" if many else b"stco")
    (n,) = struct.unpack_from(">I", content, 4)
    chunks = np.frombuffer(content, ">u8" if many else ">u4", n, 8).astype(np.int64)
    content = _inside(table, b"stsc")
    (n,) = struct.unpack_from(">I", content, 4)
    runs = np.frombuffer(content, ">u4", 3 * n, 8).astype(np.int64).reshape(n, 3)
    lasting = np.diff(np.append(runs[:, 0] - 1, len(chunks)))  # chunks of each run
    frames = np.repeat(np.minimum(runs[:, 1], len(sizes)), lasting)
    ends = np.cumsum(frames)
    if len(chunks) != len(frames) or not len(ends) or ends[-1] < len(sizes):
        raise BadTrack("the file is damaged")
    chunk = np.searchsorted(ends, np.arange(len(sizes)), side="right")
    before = np.concatenate(([0], np.cumsum(sizes)))
    first = before[np.minimum(ends - frames, len(sizes))]  # bytes of all frames before each chunk
    starts: NDArray[np.int64] = chunks[chunk] + before[:-1] - first[chunk]
    return starts
