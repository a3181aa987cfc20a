"""libespeak-ng's phonemes, asked of a program of its own."""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from voicesvc import errors
from voicesvc.directions import Said
from voicesvc.phonemes.word import Word
from voicesvc.phonemes.written import Written, clauses, joined, to_say, written_of

_DEADLINE_S = 5.0  # a sentence takes 0.2 ms; starting the program 50 ms
_PIPE_CHUNK_BYTES = 65536
_COMPLAINT_BYTES = 500


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
        self._command = tuple(command)
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._program: subprocess.Popen[bytes] | None = None
        self._complaint = b""  # the end of what it wrote to stderr
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
            self._end()

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
                        f"; its stderr: {self._complaint.decode(errors='replace').strip()!r}"
                    ) from error
        if "error" in answer:
            raise errors.PackRefused(answer["error"], where="language", valid=answer["valid"])
        clauses_said: list[list[str]] = answer["clauses"]
        return clauses_said

    def _exchange(self, line: bytes) -> dict[str, Any]:
        """One line there and one back; after a failure the program is ended, so none is stale."""
        program = self._program or self._start()
        done = False
        try:
            answer: dict[str, Any] = json.loads(self._line_back(program, line))
            done = True
        finally:
            if not done:
                self._end()
        return answer

    def _line_back(self, program: subprocess.Popen[bytes], line: bytes) -> bytes:
        assert program.stdin
        assert program.stdout
        assert program.stderr
        to, back, complaints = (f.fileno() for f in (program.stdin, program.stdout, program.stderr))
        until_s = time.monotonic() + self._deadline_s
        poll = select.poll()
        poll.register(to, select.POLLOUT)
        poll.register(back, select.POLLIN)
        poll.register(complaints, select.POLLIN)
        rest = memoryview(line)
        got = b""
        while not got.endswith(b"\n"):
            left_s = until_s - time.monotonic()
            events = dict(poll.poll(left_s * 1000)) if left_s > 0 else {}
            if not events:
                raise TimeoutError(f"no answer within {self._deadline_s:g} s")
            if complaints in events:  # read at every turn, or a full pipe would stop the program
                wrote = os.read(complaints, _PIPE_CHUNK_BYTES)
                self._complaint = (self._complaint + wrote)[-_COMPLAINT_BYTES:]
                if not wrote:
                    poll.unregister(complaints)
            if to in events:
                rest = rest[os.write(to, rest) :]
                if not rest:
                    poll.unregister(to)
            if back in events:
                chunk = os.read(back, _PIPE_CHUNK_BYTES)
                if not chunk:
                    raise EOFError("it ended")
                got += chunk
        return got

    def _start(self) -> subprocess.Popen[bytes]:
        self._program = program = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        assert program.stdin
        os.set_blocking(program.stdin.fileno(), False)
        return program

    def _end(self) -> None:
        program, self._program = self._program, None
        if program is None:
            return
        program.kill()
        program.wait()
        if program.stderr:
            os.set_blocking(program.stderr.fileno(), False)
            last = program.stderr.read() or b""
            self._complaint = (self._complaint + last)[-_COMPLAINT_BYTES:]
        for pipe in (program.stdin, program.stdout, program.stderr):
            if pipe:
                pipe.close()
