"""A file on stdin, what its credentials say and are worth as JSON on stdout.

Before it reads a byte it gives up what `voicesvc.recording` does. Arguments: seconds of processor
time, bytes of addresses, a file with the roots that are trusted, or nothing, and one with the
credentials, or nothing where they are in the file itself.
"""

import json
import os
import sys
from dataclasses import asdict
from io import FileIO
from pathlib import Path

import c2pa  # noqa: F401 # now: no file can be opened later

from voicesvc.credentials.reading import read_open
from voicesvc.recording.shut import shut_in


def main(cpu_s: str, memory_bytes: str, anchors: str, sidecar: str) -> None:
    """Shut in, read and say what they are."""
    anchors_pem = Path(anchors).read_bytes() if anchors else b""
    beside = os.open(sidecar, os.O_RDONLY) if sidecar else None  # to be read within the limits
    shut_in(int(cpu_s), int(memory_bytes))
    with open(0, "rb", closefd=False) as file:
        manifest = None if beside is None else FileIO(beside).read()
        found = read_open(file, manifest, anchors_pem)
    sys.stdout.write(json.dumps(asdict(found)))
    sys.stdout.flush()


main(*sys.argv[1:])
