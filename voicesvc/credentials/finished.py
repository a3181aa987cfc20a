"""A file that has to be whole before it leaves: in memory while it is short, else on disk."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import IO, BinaryIO, cast

_IN_MEMORY_BYTES = 32 * 2**20
_PART_BYTES = 2**16


def temporary() -> BinaryIO:
    """A file that is gone once it is closed."""
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES))


def finished(
    chunks: Iterable[bytes], embed: Callable[[BinaryIO, BinaryIO], object]
) -> tuple[BinaryIO, int]:
    """The file of `chunks` with its credentials in it, and how many bytes it has.

    `embed` writes the one to the other. To be closed, or read by `parts`.

    Raises:
        SigningFailed: it could not be signed.
    """
    with ExitStack() as unless_signed:
        signed = unless_signed.enter_context(temporary())
        with collected(chunks) as plain:
            embed(plain, signed)
        unless_signed.pop_all()
    return signed, signed.seek(0, 2)


def collected(chunks: Iterable[bytes]) -> BinaryIO:
    """The chunks as a file, to be read from its start."""
    with ExitStack() as unless_whole:
        file = unless_whole.enter_context(temporary())
        for chunk in chunks:
            file.write(chunk)
        unless_whole.pop_all()
    file.seek(0)
    return file


def parts(file: IO[bytes]) -> Iterator[bytes]:
    """The file from its start, part by part; then it is closed."""
    with file:
        file.seek(0)
        while part := file.read(_PART_BYTES):
            yield part
