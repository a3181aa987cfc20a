"""The service's side: files to the program that examines, and its reports back."""

import base64
import json
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voicesvc.errors import PROBLEMS, BadRecording
from voicesvc.fingerprint import Query
from voicesvc.program import Program

COMMAND = (sys.executable, "-P", "-m", "voicesvc.examine")
LIMIT_S = 900.0  # long, since the program has the lowest priority
IDLE_S = 300
_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "HOME", "LOGNAME", "TMPDIR")
_PROBLEMS = {problem.slug: problem for problem in PROBLEMS}


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a recording, as JSON, and what it is looked up by."""

    found: dict[str, Any]
    queries: tuple[Query, ...]


class Examiner:
    """Has recordings examined by a program of its own, one after another, from any thread.

    Its environment has no secret of the service: it reads what strangers send.
    """

    def __init__(
        self,
        most_s: float,
        trust: Path | None,
        command: Sequence[str] = COMMAND,
        niceness: int = 19,
    ) -> None:
        self._most_s, self._trust = most_s, trust
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        given = (*command, str(IDLE_S), str(os.getpid()), str(niceness))
        self._program = Program(given, environment | {"OMP_NUM_THREADS": "1"})
        self._lock = threading.Lock()

    def examine(self, path: Path) -> Report:
        """What can be told of a file.

        Raises:
            BadRecording: it cannot be decoded, or not examined in time.
            RecordingTooLong: it is longer than it may be.
            UnknownKind: it is of no kind that is read.
        """
        trust = None if self._trust is None else str(self._trust)
        asked = {"path": str(path), "most_s": self._most_s, "trust": trust}
        with self._lock:
            try:
                line = self._program.ask((json.dumps(asked).encode() + b"\n",), LIMIT_S)
            except (OSError, EOFError) as e:  # TimeoutError is an OSError
                raise BadRecording(f"it could not be examined: {e}", where="body") from e
        told = json.loads(line)
        if "problem" in told:
            kind = _PROBLEMS[told["problem"]]
            raise kind(told["detail"], where=told["where"], valid=told["valid"])
        queries = tuple(
            Query(np.frombuffer(base64.b64decode(words), np.uint32), speed)
            for speed, words in told["queries"]
        )
        return Report(told["report"], queries)

    def close(self) -> None:
        """End the program, also while it examines."""
        self._program.close()
        with self._lock:
            self._program.end()
