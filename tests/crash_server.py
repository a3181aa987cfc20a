"""A service that is killed, at a named place or from outside: started with everything imported.

    python crash_server.py FOLDER PORT

Reads one JSON object a line, `{"place": name or null, "nth": n}`, and forks a service for each, on
the folder and the port, the actor `ann` spoken by a tone. Says on standard output, a JSON object a
line, which process was forked and, later, how it ended. A place is where the process kills itself
with SIGKILL the nth time it comes there; but for those of the start, comings are counted from
SIGUSR1 on. Ends with its standard input.
"""

import ctypes
import itertools
import json
import os
import random
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from conftest import EVERYBODY, tone_of

import voicesvc.blobs.folder
from voicesvc import archive, jobs
from voicesvc.api import create_app
from voicesvc.blobs import Folder, Writer
from voicesvc.config import Settings
from voicesvc.packs import Pack
from voicesvc.store import queue
from voicesvc.store import takes as rows
from voicesvc.studio import Studio

CHUNK_S = 0.004

# Where: whose what, and whether after it was done. `*` is inside a transaction.
PLACES: dict[str, tuple[Any, str, bool]] = {
    "a take's row is written, not committed *": (rows, "add", True),
    "a take's row is there": (archive.Recording, "opened", True),
    "a take's temporary file is there": (Folder, "create", True),
    "some of its samples are written": (Writer, "feed", True),
    "all of its samples are written": (Writer, "commit", False),
    "its file is about to be renamed": (os, "replace", False),
    "its file is renamed": (os, "replace", True),
    "its file's name is known to the disk": (voicesvc.blobs.folder, "_sync", True),
    "its audio is safe": (Writer, "commit", True),
    "its row says complete, not committed *": (rows, "close", True),
    "its row says complete": (archive.Archive, "end", True),
    "a queued take is claimed, not committed *": (queue, "claim", True),
    "a queued take is about to be made": (jobs.Maker, "_make", False),
    "a take is measured, not committed *": (rows, "measured", True),
}
AT_START: dict[str, tuple[Any, str, bool]] = {
    "takes that were left are put in order, not committed *": (queue, "abandoned", True),
    "temporary files are swept": (Folder, "sweep", True),
    "audio that is no take's is about to be removed": (Folder, "delete", False),
    "audio that is no take's is removed": (Folder, "delete", True),
    "deleted takes are let go of, not committed *": (rows, "purge", True),
}


def die_at(place: str, nth: int) -> None:
    """Have this process killed when it comes to a place the nth time."""
    owner, name, after = (PLACES | AT_START)[place]
    true, comings = getattr(owner, name), itertools.count(1)
    counting = place in AT_START

    def count(*_: object) -> None:
        nonlocal counting
        counting = True

    signal.signal(signal.SIGUSR1, count)

    def dying(*args: Any, **options: Any) -> Any:
        now = counting and next(comings) == nth
        if now and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = true(*args, **options)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, dying)


def serve(folder: Path, port: int) -> None:
    """Until a signal."""
    jobs.LISTENERS_S = 0.0  # a place is in measuring, which is to be come to while others listen

    def load(pack: Pack, _: Settings, __: Callable[[str], None]) -> Any:
        return tone_of(pack, delay_s=CHUNK_S)

    settings = Settings.read(
        {},
        models_dir=folder / "models",
        data_dir=folder / "data",
        deleted_kept_days=0,
        check_words="off",
        watermark="off",
        **EVERYBODY,
    )
    kept = archive.open_in(settings, f"in_{secrets.token_hex(10)}")
    studio = Studio(settings, load=load, entropy=random.SystemRandom(), archive=kept)
    app = create_app(studio, workers=4)
    uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="critical", timeout_graceful_shutdown=5)
    ).run()


def main() -> None:
    """Fork and tell."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            if asked["place"] is not None:
                die_at(asked["place"], asked["nth"])
            serve(folder, port)
            os._exit(0)
        print(json.dumps({"pid": child}), flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
