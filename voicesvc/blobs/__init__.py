"""Audio by the sha256 of its bytes: in a folder, or in a bucket of any server that speaks S3.

This package knows nothing about takes. A blob is under its name whole or not at all, whatever a
crash did, and writing the same bytes again is harmless. What was read to its end and no longer has
its name's sha256 is an error before the last of its bytes is handed out.
"""

from pathlib import Path
from urllib.parse import urlsplit

from voicesvc.blobs.folder import Folder
from voicesvc.blobs.kept import CHUNK_BYTES, Blobs, Writer, disk
from voicesvc.blobs.s3 import S3
from voicesvc.errors import BadSetting

__all__ = ["CHUNK_BYTES", "PLACES", "S3", "Blobs", "Folder", "Writer", "disk", "of"]

PLACES = ("a folder's path", "s3://bucket", "s3://bucket/prefix")


def of(where: str) -> Blobs:
    """The blobs at a folder's path or at s3://bucket/prefix. Raises BadSetting: it is neither."""
    if "://" not in where:
        if not where:
            raise BadSetting("nowhere to keep audio", valid=PLACES)
        return Folder(Path(where))
    parts = urlsplit(where)
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
        raise BadSetting(f"audio cannot be kept at {where!r}", valid=PLACES)
    return S3(where)
