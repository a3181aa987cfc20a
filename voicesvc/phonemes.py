"""Span -> words with the symbols a model hears. Knows nothing about models or sound."""

import json
import os
import select
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from voicesvc import errors
from voicesvc.directions import Said
from voicesvc.script import written_words
from voicesvc.spoken import is_short_form, readings, spoken


@dataclass(frozen=True, slots=True)
class Word:
    """One written word of a sentence and what is said for it.

    All words' `phones + after`, joined in order, are the sentence as the model hears it.
    """

    text: str  # as written, without the punctuation around it
    start: int  # character offsets of `text` in the text of the request
    end: int
    phones: tuple[str, ...]  # one symbol each: "h", "ə", "ˈ", "l" ...
    after: tuple[str, ...]  # what separates it from the next word: " ", ",", "." ...


class Phonemizer(Protocol):
    """Says words of `language`. `words` may be called from any thread."""

    language: str

    def words(self, text: str, start: int, said: Sequence[Said] = ()) -> tuple[Word, ...]:
        """The words of one sentence of cleaned text that begins at `start` of the request.

        Each stretch of `said` (in order, within the sentence, none overlapping another) is one
        word, said as it asks; the rest is said as written, and a word that a stretch covers in
        part is words of their own around it. Raises errors.EngineFailed when a phoneme program
        fails.
        """
        ...

    def foreign(self, text: str, start: int, language: str) -> tuple[Word, ...]:
        """Words of cleaned text as `language` ("fr") says them.

        Raises errors.PackRefused where that language cannot be said.
        """
        ...

    def close(self) -> None:
        """End what was started; nothing is said after it."""
        ...


@dataclass(frozen=True, slots=True)
class _Written:
    text: str
    start: int
    end: int
    mark: str  # the punctuation after it as one symbol, "" for none
    said: Said | None = None  # how it is read, if otherwise than written


# The strongest first. espeak's voices learned ";" for a dash.
_MARKS = ((".", "."), (";", ";"), ("—", ";"), ("--", ";"), (" - ", ";"), (":", ":"))


def _mark(between: str, last: bool) -> str:
    """The one symbol that a voice learned for the punctuation between two words."""
    for c in between:
        if c in "?!":
            return c
    if "…" in between or ".." in between:
        return "." if last else ","
    for found, symbol in _MARKS:
        if found in between:
            return symbol
    return "," if "," in between else ""


def _written(text: str, start: int = 0, said: Sequence[Said] = ()) -> list[_Written]:
    """Words and read stretches in order; `text` begins at `start`, as the stretches count."""
    found = _found(text, start, said)
    out = []
    for i, (begin, end, reading) in enumerate(found):
        last = i + 1 == len(found)
        next_begin, next_end, _ = (len(text), len(text), None) if last else found[i + 1]
        word, after, between = text[begin:end], text[next_begin:next_end], text[end:next_begin]
        if reading:
            between = "." + between if last and word.endswith(".") else between
        elif between[:1] == "." and between[:2] != ".." and is_short_form(word + ".", after):
            end += 1
            between = between if last else between[1:]
        out.append(_Written(text[begin:end], begin, end, _mark(between, last), reading))
    return out


def _found(text: str, start: int, said: Sequence[Said]) -> list[tuple[int, int, Said | None]]:
    """(begin, end, how it is read) of every word, offsets in `text`."""
    stretches = [(max(s.start - start, 0), min(s.end - start, len(text)), s) for s in said]
    for begin, end, _ in stretches:
        text = f"{text[:begin]}{' ' * (end - begin)}{text[end:]}"
    words = [(m.start(), m.end(), None) for m in written_words(text)]
    return sorted([*words, *stretches], key=lambda found: found[0])


def _clauses(words: Sequence[_Written]) -> Iterator[Sequence[_Written]]:
    start = 0
    for i, word in enumerate(words, 1):
        if word.mark or i == len(words):
            yield words[start:i]
            start = i


def _instead(word: _Written, language: str) -> str:
    """What is said for the word, its figures written out where they stand for something else."""
    if not word.said or word.said.text is None:
        return word.text.replace("\u2060", "")
    text = word.said.text
    if not any(c.isdigit() for c in text):
        return text
    out, at = "", 0
    for s in readings(text, 0, (), language):
        out += text[at : s.start] + (s.text or "")
        at = s.end
    return out + text[at:]


def _to_say(words: Sequence[_Written], language: str) -> list[str]:
    """What a phoneme program is given for each word."""
    english = language.startswith("en")
    plain = [_instead(w, language) for w in words]
    after = [*plain[1:], ""]
    out = []
    for i, (w, text) in enumerate(zip(words, plain, strict=True)):
        if w.said:
            out.append(" ".join(_to_say(_written(text), language)))
        else:
            out.append(spoken(text, after[i]) if english else text.rstrip("."))
    return out


def _joined(written: Sequence[_Written], shares: Sequence[str], start: int) -> tuple[Word, ...]:
    """Words from what is said for each: a share that ends in a space has one before the next."""
    out: list[Word] = []
    symbols = [w.said.phones if w.said else None for w in written]
    for i, (w, share) in enumerate(zip(written, shares, strict=True)):
        given = symbols[i]
        more = i + 1 < len(written)
        apart = w.mark or share.endswith(" ") or symbols[i : i + 2] != [None] * 2
        space = (" ",) if more and apart else ()
        after = (w.mark, *space) if w.mark else space
        phones = tuple(share.strip(" ")) if given is None else given
        if phones:
            out.append(Word(w.text, start + w.start, start + w.end, phones, after))
        elif out and w.mark:  # a word that is not heard leaves its punctuation to the one before
            b = out.pop()
            out.append(Word(b.text, b.start, b.end, b.phones, after))
    return tuple(out)


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
        return self._words(_written(text, start, said), start, self.language)

    def foreign(self, text: str, start: int, language: str) -> tuple[Word, ...]:
        """The same as another language says them; see Phonemizer."""
        return self._words(_written(text, start, ()), start, language)

    def _words(self, written: Sequence[_Written], start: int, language: str) -> tuple[Word, ...]:
        if not written:
            return ()
        to_say = iter(_to_say(written, language))
        answers = self._ask(
            [
                {"words": [next(to_say) for _ in clause], "end": clause[-1].mark}
                for clause in _clauses(written)
            ],
            language,
        )
        shares = [share for clause in answers for share in clause]
        if len(shares) != len(written):
            raise errors.EngineFailed("the phoneme program answered for another number of words")
        return _joined(written, shares, start)

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


_GRUUT_SPEAKS = {"&": " and ", "%": " percent", "°": " degrees", "@": " at ", "+": " plus "}


class Gruut:
    """gruut's pronunciations (MIT, in this process), in the symbols that espeak's voices learned.

    Each word is said alone and remembered: gruut tells no word borders either, and is 100 times
    slower than espeak. Raises errors.PackRefused where gruut or its language is not installed.
    """

    def __init__(self, language: str) -> None:
        try:
            import gruut
        except ImportError as error:
            raise errors.PackRefused(
                "the phonemizer 'gruut' is not installed", where="phonemizer"
            ) from error
        self.language = language
        self._gruut = gruut
        if not gruut.is_language_supported(language):
            raise errors.PackRefused(
                f"gruut has no language {language!r}",
                where="language",
                valid=sorted(gruut.get_supported_languages()),
            )
        self._lock = threading.Lock()
        self._alone = lru_cache(maxsize=16384)(self._say_alone)

    def words(self, text: str, start: int, said: Sequence[Said] = ()) -> tuple[Word, ...]:
        """The words of one sentence; see Phonemizer."""
        written = _written(text, start, said)
        to_say = _to_say(written, self.language)
        with self._lock:
            return _joined(written, [self._alone(one) for one in to_say], start)

    def foreign(self, text: str, start: int, language: str) -> tuple[Word, ...]:
        """Only its own language is spoken here. Raises errors.PackRefused."""
        raise errors.PackRefused(
            f"this voice cannot say {language!r}", where="language", valid=[self.language]
        )

    def close(self) -> None:
        """Nothing was started."""

    def _say_alone(self, word: str) -> str:
        for sign, said in _GRUUT_SPEAKS.items():
            word = word.replace(sign, said)
        found = self._gruut.sentences(word, lang=self.language, espeak=True)
        heard = ["".join(w.phonemes) for s in found for w in s if w.is_spoken and w.phonemes]
        return unicodedata.normalize("NFD", " ".join(heard)) + " "


class Graphemes:
    """For models that read characters: each word's phones are its own, in lower case if asked."""

    def __init__(self, language: str = "", *, lowercase: bool = False) -> None:
        self.language = language
        self._lowercase = lowercase

    def words(self, text: str, start: int, said: Sequence[Said] = ()) -> tuple[Word, ...]:
        """The words of one sentence; one symbol a character. Raises nothing."""
        written = _written(text, start, said)
        plain = [_instead(w, self.language) for w in written]
        shares = [f"{p.lower() if self._lowercase else p} " for p in plain]
        return _joined(written, shares, start)

    def foreign(self, text: str, start: int, language: str) -> tuple[Word, ...]:
        """Only its own language is spoken here. Raises errors.PackRefused."""
        raise errors.PackRefused(
            f"this voice cannot say {language!r}", where="language", valid=[self.language]
        )

    def close(self) -> None:
        """Nothing was started."""


PHONEMIZERS: dict[str, Callable[[str], Phonemizer]] = {
    "espeak": Espeak,
    "graphemes": Graphemes,
    "gruut": Gruut,
}


def phonemizer(name: str, language: str, lowercase: bool = False) -> Phonemizer:
    """The phonemizer of this name; `lowercase` is for graphemes.

    Raises errors.PackRefused for an unknown name or language.
    """
    if name not in PHONEMIZERS:
        raise errors.PackRefused(
            f"no phonemizer is called {name!r}", where="phonemizer", valid=sorted(PHONEMIZERS)
        )
    if name == "graphemes":
        return Graphemes(language, lowercase=lowercase)
    return PHONEMIZERS[name](language)
