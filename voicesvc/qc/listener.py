"""What `python -m voicesvc.qc` does: takes in, verdicts out, by models that are loaded once."""

import json
import os
import signal
import sys
from typing import Any, BinaryIO

import numpy as np

from voicesvc.audio import Pcm
from voicesvc.directions import Said
from voicesvc.qc.compare import compare
from voicesvc.qc.judges import Opinion, Recogniser
from voicesvc.qc.verdict import Verdict

LANGUAGES = ("en",)  # of the recogniser


class Listener:
    """Judges takes with models that are loaded once."""

    def __init__(self) -> None:
        self._recogniser = Recogniser()
        self._opinion = Opinion()

    def verdict(self, pcm: Pcm, asked: dict[str, Any]) -> Verdict:
        """One take's. Raises KeyError, TypeError."""
        why: dict[str, str] = {}
        language, rate_hz = str(asked["language"]), int(asked["rate_hz"])
        found: dict[str, Any] = {"not_measured": why}
        if not len(pcm):
            return Verdict.none("the take is empty")
        if language.lower().replace("_", "-").partition("-")[0] in LANGUAGES:
            transcript = self._recogniser.hear(pcm, rate_hz)
            said = [Said(s["start"], s["end"], text=s["text"]) for s in asked.get("said", ())]
            compared = compare(asked["text"], transcript, language, said)
            found |= {
                "wer": compared.wer,
                "words": compared.words,
                "inserted": compared.inserted,
                "transcript": transcript,
            }
            if compared.wer is None:
                why["wer"] = "the text has no word that a recogniser writes down"
        else:
            why["wer"] = f"the recogniser knows {', '.join(LANGUAGES)}, not {language!r}"
        return Verdict(distillmos=round(self._opinion.score(pcm, rate_hz), 3), **found)


def exactly(stream: BinaryIO, n_bytes: int) -> bytes:
    """Raises EOFError."""
    data = stream.read(n_bytes)
    if len(data) < n_bytes:
        raise EOFError(f"{len(data)} of {n_bytes} bytes of samples")
    return data


def answer(idle_s: int) -> None:
    """Answer until stdin ends or is silent for `idle_s`; 0 waits for ever.

    Raises:
        EOFError: stdin ended within a take.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # models print
    listener = Listener()
    while True:
        signal.alarm(idle_s)  # nobody catches it: it ends the program
        header = sys.stdin.buffer.readline()
        signal.alarm(0)
        if not header:
            return
        asked = json.loads(header)
        data = exactly(sys.stdin.buffer, asked["pcm_bytes"])
        verdict = listener.verdict(np.frombuffer(data, "<f4"), asked)
        answers.write(json.dumps({"id": asked["id"], "verdict": verdict.json()}) + "\n")
        answers.flush()
