"""What every place of audio has in common: names, writers, and checking what is read."""

import errno
import hashlib
import re
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from voicesvc.errors import BlobDamaged, BlobsFailed, InvalidRequest, NoSpace, UnknownBlob

CHUNK_BYTES = 2**20
_NAME = re.compile(r"[0-9a-f]{64}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Writer:
    """A blob while it is written, by one thread at a time; forgotten unless it is committed.

    `with blobs.create() as writer:` aborts at the end of the block what was not committed.
    """

    def __init__(
        self, file: BinaryIO, keep: Callable[[str], None], discard: Callable[[], None]
    ) -> None:
        self._file = file
        self._keep = keep
        self._discard = weakref.finalize(self, discard)
        self._digest = hashlib.sha256()

    def feed(self, data: bytes) -> None:
        """Put these bytes at the end.

        Raises:
            NoSpace: there is no room; the writer is aborted.
            BlobsFailed: they cannot be written; the writer is aborted.
        """
        self._must_be_open()
        left = memoryview(data)
        try:
            with disk("write audio"):
                while left:
                    left = left[self._file.write(left) :]
        except (NoSpace, BlobsFailed):
            self.abort()
            raise
        self._digest.update(data)

    def commit(self) -> str:
        """Keep what was fed, durably; its sha256 in hex, which is its name from now on.

        Raises:
            NoSpace, BlobsFailed: it is not kept; the writer is aborted.
        """
        self._must_be_open()
        sha256 = self._digest.hexdigest()
        try:
            self._keep(sha256)
        finally:
            self.abort()
        return sha256

    def abort(self) -> None:
        """Forget what was fed; nothing happens when it is committed or aborted already."""
        self._discard()

    def _must_be_open(self) -> None:
        if not self._discard.alive:
            raise ValueError("the writer is committed or aborted")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abort()


class Blobs(Protocol):
    """Where audio is kept. Any method from any thread.

    Every method raises BlobsFailed when the disk or the server does not do its part.
    """

    def create(self) -> Writer:
        """A new blob, to be fed and committed."""

    def open(
        self, sha256: str, chunk_bytes: int = CHUNK_BYTES, start: int = 0, stop: int | None = None
    ) -> Generator[bytes, None, None]:
        """The bytes from `start` up to `stop` (the end), in pieces of `chunk_bytes`.

        Raises:
            UnknownBlob: there is none, said at once.
            InvalidRequest: the range is not within it, said at once.
            BlobDamaged: read as a whole, before the last piece: it is not what its name says.
        """

    def read(self, sha256: str) -> bytes:
        """All of it. Raises UnknownBlob, BlobDamaged."""

    def size(self, sha256: str) -> int:
        """How long it is in bytes. Raises UnknownBlob."""

    def written_s(self, sha256: str) -> float:
        """When it was last committed, in seconds since 1970. Raises UnknownBlob."""

    def has(self, sha256: str) -> bool:
        """Whether it is kept."""

    def delete(self, sha256: str) -> None:
        """Keep it no longer; nothing happens when there is none.

        What reads a folder's meanwhile reads it to its end, and a bucket's meets UnknownBlob.
        """

    def names(self) -> Iterator[str]:
        """The sha256 of every blob, sorted."""

    def sweep(self, older_than_s: float, now_s: float) -> int:
        """Remove what a crash left half written before `now_s - older_than_s`; how much it was."""

    def close(self) -> None:
        """Let go of what is held open."""


class Span:
    """A range of a blob that is checked while it is read."""

    def __init__(self, sha256: str, size_bytes: int, start: int, stop: int | None) -> None:
        """Raises InvalidRequest: the range is not within the blob."""
        self.start, self.stop = start, size_bytes if stop is None else stop
        if not 0 <= self.start <= self.stop <= size_bytes:
            raise InvalidRequest(
                f"bytes {start} to {self.stop} are not within the blob",
                where="range",
                valid=f"0 to {size_bytes}, start before stop",
            )
        self._sha256 = sha256
        self._whole = self.start == 0 and self.stop == size_bytes

    def pieces(
        self, piece: Callable[[int, int], bytes], chunk_bytes: int
    ) -> Generator[bytes, None, None]:
        """What `piece(at, length)` gives from start to stop; the last when the hash is right."""
        if chunk_bytes < 1:
            raise ValueError("a piece has at least one byte")
        digest = hashlib.sha256()
        at = self.start
        while True:
            length = min(chunk_bytes, self.stop - at)
            data = piece(at, length) if length else b""
            digest.update(data)
            at += length
            last = at == self.stop
            wrong = last and self._whole and digest.hexdigest() != self._sha256
            if len(data) != length or wrong:
                raise BlobDamaged(f"the audio {self._sha256} is not what it was")
            if data:
                yield data
            if last:
                return


def key_of(sha256: str) -> str:
    """Where a blob lies, as ab/cd/abcd…. Raises UnknownBlob: it is no sha256."""
    if not _NAME.fullmatch(sha256):
        raise UnknownBlob(f"no audio {sha256!r}", where="sha256", valid="64 hexadecimal digits")
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"


def name_at(key: str) -> str | None:
    """The blob that lies there, if it is one's place."""
    name = key.rpartition("/")[2]
    return name if _NAME.fullmatch(name) and key == key_of(name) else None


def unknown(sha256: str) -> UnknownBlob:
    """The error that there is no such blob."""
    return UnknownBlob(f"no audio {sha256}", where="sha256")


@contextmanager
def disk(doing: str) -> Iterator[None]:
    """What the disk refuses, by the errors of this service: NoSpace, or else BlobsFailed."""
    try:
        yield
    except OSError as error:
        kind = NoSpace if error.errno in _FULL else BlobsFailed
        raise kind(f"cannot {doing}: {error.strerror or error}") from error
