"""Audio in a folder."""

import os
import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from voicesvc.blobs.kept import CHUNK_BYTES, Span, Writer, disk, key_of, name_at, unknown
from voicesvc.errors import UnknownBlob

_TEMPORARY = "tmp"


class Folder:
    """Blobs as files `ab/cd/abcd…` of a folder, which is made when the first is written.

    A blob is written to a temporary name, flushed to the disk, renamed, and its name flushed too.
    Nobody but the owner may read the files.
    """

    def __init__(self, path: Path) -> None:
        self._root = path

    def create(self) -> Writer:
        """A new file with a temporary name."""
        temporary = self._root / _TEMPORARY / secrets.token_hex(16)
        with disk(f"write into {self._root}"):
            _make(temporary.parent, self._root)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            descriptor = os.open(temporary, flags, 0o600)
        file = cast(BinaryIO, os.fdopen(descriptor, "wb", buffering=0))

        def keep(sha256: str) -> None:
            final = self._path(sha256)
            with disk(f"write into {self._root}"):
                os.fsync(descriptor)
                _make(final.parent, self._root)
                os.replace(temporary, final)
                for folder in (final.parent, *final.parents[1:3]):
                    _sync(folder)

        def discard() -> None:
            with suppress(OSError):
                file.close()
            with suppress(OSError):
                temporary.unlink()

        return Writer(file, keep, discard)

    def open(
        self, sha256: str, chunk_bytes: int = CHUNK_BYTES, start: int = 0, stop: int | None = None
    ) -> Generator[bytes, None, None]:
        """As Blobs says; the file is held open until the pieces are read or closed."""
        chunks = self._chunks(sha256, chunk_bytes, start, stop)
        next(chunks)
        return chunks

    def read(self, sha256: str) -> bytes:
        """All of it."""
        return b"".join(self.open(sha256))

    def size(self, sha256: str) -> int:
        """How long its file is."""
        return self._stat(sha256).st_size

    def written_s(self, sha256: str) -> float:
        """When its file was written."""
        return self._stat(sha256).st_mtime

    def has(self, sha256: str) -> bool:
        """Whether there is a file of this name."""
        try:
            self._stat(sha256)
        except UnknownBlob:
            return False
        return True

    def delete(self, sha256: str) -> None:
        """Remove its file."""
        path = self._path(sha256)
        with disk(f"delete {path}"):
            path.unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        """Every file whose name and place are those of a blob."""
        with disk(f"list {self._root}"):
            for first in _inside(self._root):
                for second in _inside(first) if len(first.name) == 2 else ():
                    for path in _inside(second):
                        if name := name_at(path.relative_to(self._root).as_posix()):
                            yield name

    def sweep(self, older_than_s: float, now_s: float) -> int:
        """Remove files with temporary names."""
        swept = 0
        with disk(f"sweep {self._root}"):
            for path in _inside(self._root / _TEMPORARY):
                with suppress(FileNotFoundError):
                    if path.stat().st_mtime <= now_s - older_than_s:
                        path.unlink()
                        swept += 1
        return swept

    def close(self) -> None:
        """Nothing is held open."""

    def _path(self, sha256: str) -> Path:
        return self._root / key_of(sha256)

    def _stat(self, sha256: str) -> os.stat_result:
        path = self._path(sha256)
        with disk(f"read {path}"), _found(sha256):
            return path.stat()

    def _chunks(
        self, sha256: str, chunk_bytes: int, start: int, stop: int | None
    ) -> Generator[bytes, None, None]:
        """First an empty one, when the file is open and the range is known to be within it."""
        path = self._path(sha256)
        with disk(f"read {path}"), _found(sha256):
            file = path.open("rb")
        with file:
            span = Span(sha256, os.fstat(file.fileno()).st_size, start, stop)
            yield b""
            file.seek(start)

            def piece(_: int, length: int) -> bytes:
                with disk(f"read {path}"):
                    return file.read(length)

            yield from span.pieces(piece, chunk_bytes)


@contextmanager
def _found(sha256: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise unknown(sha256) from error


def _make(folder: Path, root: Path) -> None:
    """The folder within the root, and those between, for the owner alone."""
    if not root.is_dir():
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sync(root.parent)
    for part in reversed([folder, *folder.parents]):
        if part.is_relative_to(root):
            part.mkdir(mode=0o700, exist_ok=True)


def _sync(folder: Path) -> None:
    """Have the disk know the names in this folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _inside(folder: Path) -> list[Path]:
    """What is in a folder, sorted; nothing where there is none."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
