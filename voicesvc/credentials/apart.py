"""Credentials of a file that came from anywhere, read by a process of its own, with limits."""

import json
import sys
from pathlib import Path
from typing import Any

from voicesvc.credentials.explained import Credentials, unreadable
from voicesvc.errors import BadRecording
from voicesvc.recording import Bounds, read_apart

SIDECAR = ".c2pa"
COMMAND = (sys.executable, "-P", "-m", "voicesvc.credentials")
_BOUNDS = Bounds(wall_s=200.0)
_MOST_BYTES = 1 << 20  # of what is said of them


def read(
    path: Path,
    sidecar: Path | None = None,
    anchors: Path | None = None,
    bounds: Bounds = _BOUNDS,
) -> Credentials:
    """What the credentials of a file say, and what they are worth; `anchors` are trusted roots.

    Without `sidecar`, those in the file count, else `<file>.c2pa` where there is one. Unreadable
    where they take more memory or time to read than `bounds` say.

    Raises:
        OSError: one of the files cannot be read.
    """
    found = _read(path, sidecar, anchors, bounds)
    beside = path.with_name(path.name + SIDECAR)
    if sidecar is None and found.state == "none" and beside.is_file():
        return _read(path, beside, anchors, bounds)
    return found


def _read(path: Path, sidecar: Path | None, anchors: Path | None, bounds: Bounds) -> Credentials:
    for named in (sidecar, anchors):
        if named is not None:
            named.open("rb").close()
    files = ("" if file is None else str(file.absolute()) for file in (anchors, sidecar))
    given = (str(bounds.cpu_s), str(bounds.memory_bytes), *files)
    with path.open("rb", buffering=0) as file:
        try:
            said, _ = read_apart((*COMMAND, *given), file, bounds, _MOST_BYTES)
        except BadRecording:
            return unreadable("They take more memory or time to read than they may.")
    told: dict[str, Any] = json.loads(said)
    lists = {name: tuple(value) for name, value in told.items() if isinstance(value, list)}
    return Credentials(**(told | lists))
