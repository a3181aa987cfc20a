"""Credentials out of a file, or out of the `.c2pa` beside it."""

import json
from pathlib import Path
from typing import BinaryIO

from voicesvc.credentials.explained import NONE, Credentials, explain, unreadable
from voicesvc.credentials.identity import PURPOSES_TEXT

SIDECAR = ".c2pa"
# Nothing that a file names is fetched: whoever wrote it would choose what this machine asks for.
_ALONE = {"remote_manifest_fetch": False, "ocsp_fetch": False}


def read(path: Path, sidecar: Path | None = None, anchors_pem: bytes = b"") -> Credentials:
    """What the credentials of a file say, and what they are worth. Nothing is fetched.

    Without `sidecar`, those in the file count, else `<file>.c2pa` where there is one.
    `anchors_pem` are the roots that are trusted.

    Raises:
        OSError: the file cannot be read.
    """
    found = NONE if sidecar is not None else _read(path, None, anchors_pem)
    beside = sidecar or path.with_name(path.name + SIDECAR)
    if found.state == "none" and beside.is_file():
        return _read(path, beside.read_bytes(), anchors_pem)
    return found


def _read(path: Path, manifest: bytes | None, anchors_pem: bytes) -> Credentials:
    with path.open("rb") as file:
        return read_open(file, manifest, anchors_pem)


def read_open(
    file: BinaryIO, manifest: bytes | None = None, anchors_pem: bytes = b""
) -> Credentials:
    """As `read`, of a file that is open, with the credentials of a sidecar in place of its own."""
    import c2pa

    trust = {"trust_config": PURPOSES_TEXT}
    if anchors_pem:  # the library takes no empty ones
        trust["user_anchors"] = anchors_pem.decode("ascii", "replace")
    context = c2pa.Context.from_dict({"verify": {**_ALONE, "verify_trust": True}, "trust": trust})
    try:
        if manifest is None:
            reader = c2pa.Reader(None, file, context=context)
        else:  # of a type that it looks for nothing in
            kind = "application/octet-stream"
            reader = c2pa.Reader(kind, file, manifest_data=manifest, context=context)
        with reader:
            return explain(json.loads(reader.json()))
    except c2pa.C2paError.ManifestNotFound:
        return NONE
    except c2pa.C2paError.NotSupported:  # a kind of file that holds no credentials
        return NONE
    except c2pa.C2paError as e:
        return unreadable(str(e))
