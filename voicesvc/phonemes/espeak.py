"""libespeak-ng's phonemes, asked of a program of its own."""

import json
import sys
import threading
from collections.abc import Sequence
from typing import Any

from voicesvc import errors
from voicesvc.directions import Said
from voicesvc.phonemes.word import Word
from voicesvc.phonemes.written import Written, clauses, joined, to_say, written_of
from voicesvc.program import Program

_DEADLINE_S = 5.0  # a sentence takes 0.2 ms; starting the program 50 ms


class Espeak:
    """libespeak-ng's IPA, asked over a pipe from a program of its own, restarted if it dies.

    The program is GPL-3 and stays outside this process; it ends when this process does, because
    its stdin does. Raises errors.PackRefused for an unknown language.
    """

    def __init__(
        self,
        language: str,
        *,
        command: Sequence[str] = (sys.executable, "-I", "-m", "espeak_words"),
        deadline_s: float = _DEADLINE_S,
    ) -> None:
        self.language = language
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._program = Program(command)
        self._closed = False
        try:
            self._ask([], language)
        except errors.VoiceError:
            self.close()
            raise

    def words(self, text: str, start: int, said: Sequence[Said] = ()) -> tuple[Word, ...]:
        """The words of one sentence; see Phonemizer. Raises errors.EngineFailed."""
        return self._words(written_of(text, start, said), start, self.language)

    def foreign(self, text: str, start: int, language: str) -> tuple[Word, ...]:
        """The same as another language says them; see Phonemizer."""
        return self._words(written_of(text, start, ()), start, language)

    def _words(self, written: Sequence[Written], start: int, language: str) -> tuple[Word, ...]:
        if not written:
            return ()
        asked = iter(to_say(written, language))
        answers = self._ask(
            [
                {"words": [next(asked) for _ in clause], "end": clause[-1].mark}
                for clause in clauses(written)
            ],
            language,
        )
        shares = [share for clause in answers for share in clause]
        if len(shares) != len(written):
            raise errors.EngineFailed("the phoneme program answered for another number of words")
        return joined(written, shares, start)

    def close(self) -> None:
        """End the program. Asking again raises errors.EngineFailed."""
        with self._lock:
            self._closed = True
            self._program.end()

    def _ask(self, clauses: list[dict[str, Any]], language: str) -> list[list[str]]:
        line = json.dumps({"language": language, "clauses": clauses}).encode() + b"\n"
        with self._lock:
            if self._closed:
                raise errors.EngineFailed("the phoneme program was closed")
            try:
                answer = self._exchange(line)
            except (OSError, EOFError, ValueError):
                try:
                    answer = self._exchange(line)
                except (OSError, EOFError, ValueError) as error:
                    raise errors.EngineFailed(
                        f"the phoneme program failed twice: {error or type(error).__name__}"
                        f"; its stderr: {self._program.complaint!r}"
                    ) from error
        if "error" in answer:
            raise errors.PackRefused(answer["error"], where="language", valid=answer["valid"])
        clauses_said: list[list[str]] = answer["clauses"]
        return clauses_said

    def _exchange(self, line: bytes) -> dict[str, Any]:
        """One line there and one back; after a failure the program is ended, so none is stale."""
        said = self._program.ask((line,), self._deadline_s)
        try:
            answer: dict[str, Any] = json.loads(said)
        except ValueError:
            self._program.end()
            raise
        return answer
