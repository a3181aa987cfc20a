"""Audio in a bucket of any server that speaks S3."""

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from obstore.exceptions import BaseError
from obstore.store import S3Store

from voicesvc.blobs.kept import CHUNK_BYTES, Span, Writer, disk, key_of, name_at, unknown
from voicesvc.errors import BadSetting, BlobsFailed, UnknownBlob

_PART_BYTES = 8 * 2**20
_IN_MEMORY_BYTES = 16 * 2**20
_NO_BUCKET = "NoSuchBucket"
_CODE = re.compile("<Code>(.*?)</Code>")
_REFUSALS = ("AccessDenied", "403 Forbidden", "401 Unauthorized")


class S3:
    """Blobs as objects `prefix/ab/cd/abcd…` of a bucket.

    Credentials, region and endpoint come from the environment, by the names that AWS's own tools
    use (docs/storage.md). A blob is gathered in memory, beyond 16 MiB in a nameless temporary file,
    and put when it is whole, in one request or in parts: S3 shows an object when it is all there.
    """

    def __init__(self, url: str) -> None:
        try:
            self._store = S3Store.from_url(
                url,
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
            )
        except BaseError as error:
            raise BadSetting(_short(error), where=url) from error
        self._url = url

    def create(self) -> Writer:
        """A new buffer."""
        file = cast(BinaryIO, SpooledTemporaryFile(_IN_MEMORY_BYTES))  # noqa: SIM115

        def keep(sha256: str) -> None:
            with disk("write audio"):
                file.seek(0)
            with self._answered("write"):
                self._store.put(key_of(sha256), file, chunk_size=_PART_BYTES)

        def discard() -> None:
            with suppress(OSError):
                file.close()

        return Writer(file, keep, discard)

    def open(
        self, sha256: str, chunk_bytes: int = CHUNK_BYTES, start: int = 0, stop: int | None = None
    ) -> Generator[bytes, None, None]:
        """As Blobs says; one request a piece, so that a slow reader holds no connection."""
        span = Span(sha256, self.size(sha256), start, stop)

        def piece(at: int, length: int) -> bytes:
            with self._answered("read", sha256):
                return bytes(self._store.get_range(key_of(sha256), start=at, length=length))

        return span.pieces(piece, chunk_bytes)

    def read(self, sha256: str) -> bytes:
        """All of it, in requests of 8 MiB."""
        return b"".join(self.open(sha256, _PART_BYTES))

    def size(self, sha256: str) -> int:
        """How long its object is."""
        return self._head(sha256)[0]

    def written_s(self, sha256: str) -> float:
        """When its object was put."""
        return self._head(sha256)[1]

    def has(self, sha256: str) -> bool:
        """Whether there is an object of this name."""
        try:
            self._head(sha256)
        except UnknownBlob:
            return False
        return True

    def delete(self, sha256: str) -> None:
        """Delete its object."""
        key = key_of(sha256)
        with suppress(UnknownBlob), self._answered("delete", sha256):
            self._store.delete(key)

    def names(self) -> Iterator[str]:
        """Every object whose key is that of a blob."""
        with self._answered("list"):
            for page in self._store.list():
                for item in page:
                    if name := name_at(item["path"]):
                        yield name

    def sweep(self, older_than_s: float, now_s: float) -> int:
        """Nothing to do: parts of an upload that broke off are for the bucket's lifecycle rules."""
        return 0

    def close(self) -> None:
        """Connections close by themselves when they are idle."""

    def _head(self, sha256: str) -> tuple[int, float]:
        """Its size in bytes, and when it was put."""
        with self._answered("read", sha256):
            said = self._store.head(key_of(sha256))
        return said["size"], said["last_modified"].timestamp()

    @contextmanager
    def _answered(self, doing: str, sha256: str | None = None) -> Iterator[None]:
        """What the server refuses, by this service's errors."""
        try:
            yield
        except FileNotFoundError as error:
            if sha256 is None or not self._bucket_is_there(key_of(sha256)):
                raise BlobsFailed(f"no bucket at {self._url}") from error
            raise unknown(sha256) from error
        except BaseError as error:
            if _NO_BUCKET in str(error):
                raise BlobsFailed(f"no bucket at {self._url}") from error
            word = "may not" if any(code in str(error) for code in _REFUSALS) else "cannot"
            raise BlobsFailed(f"{word} {doing} at {self._url}: {_short(error)}") from error

    def _bucket_is_there(self, key: str) -> bool:
        """Whether what was not found is only the object: the answer to HEAD does not say."""
        try:
            next(iter(self._store.list(key)), None)
        except BaseError as error:
            return _NO_BUCKET not in str(error)
        return True


def _short(error: BaseError) -> str:
    """What obstore says, and the server's own word for it, without how it came to it."""
    said = str(error)
    code = _CODE.search(said)
    return said.partition("\n")[0].partition(": <?xml")[0] + (f": {code[1]}" if code else "")
