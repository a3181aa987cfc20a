"""Credentials out of an open file, or out of a sidecar's bytes, in the process that does it."""

import json
from typing import BinaryIO

from voicesvc.credentials.explained import NONE, Credentials, explain, unreadable
from voicesvc.credentials.identity import PURPOSES_TEXT

# Nothing that a file names is fetched: whoever wrote it would choose what this machine asks for.
_ALONE = {"remote_manifest_fetch": False, "ocsp_fetch": False}


def read_open(
    file: BinaryIO, manifest: bytes | None = None, anchors_pem: bytes = b""
) -> Credentials:
    """What an open file's credentials say and are worth, or those of a sidecar in their place.

    `anchors_pem` are the roots that are trusted. Nothing is fetched.
    """
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
