"""Text that arrives in pieces, as it is typed -> what of it can be spoken already.

A sentence can be spoken once it ended; a clause once it ended too, where somebody waits for more to
hear. Pure logic: knows nothing of sound, time or sockets.
"""

import re
from dataclasses import dataclass

from voicesvc import script
from voicesvc.errors import TextTooLong
from voicesvc.spoken import COUNTED, ENDINGS, INITIALS, TITLES

SHORTEST_CLAUSE = 12  # characters: shorter ones wait, since "Well," alone is said as a whole line
# Where no space follows, what comes next has to be seen: 「行く。」と is no end.
_SENTENCE = re.compile(
    r"[.!?…]++[\"'”’)\]}]*+\s++|\s*\n\s*\n\s*|[。！？｡]++[”’）」』】〉》]*+(?=[^\sとって])\s*+"
)
_CLAUSE = re.compile(r"[,;:)—…][\"'”’)\]]*\s+|\s[—-]\s+|[、，；：](?=\S)")
_LAST_WORD = re.compile(r"([^\s\"'“(]*)$")


@dataclass(frozen=True, slots=True)
class Piece:
    """What is spoken in one go."""

    text: str
    start: int  # character offset in all that was typed
    pause_s: float  # of silence before what comes after it
    flushed: bool = False  # the last of what was asked for at once


class Typed:
    """What was typed and is not spoken yet.

    Args:
        most_chars: that may wait to be spoken.
        clauses: whether a sentence may be cut at its clauses; marks in the text forbid it.
    """

    def __init__(self, most_chars: int, *, clauses: bool = True) -> None:
        self._most_chars, self._clauses = most_chars, clauses
        self._text = ""
        self._start = 0
        self._forced = 0  # characters that are spoken whatever they end in
        self._flushing = False

    def feed(self, text: str) -> None:
        """More was typed.

        Raises:
            TextTooLong: more waits than may.
        """
        if len(self._text) + len(text) > self._most_chars:
            raise TextTooLong(
                f"{len(self._text) + len(text)} characters wait to be spoken",
                where="text",
                valid=f"up to {self._most_chars}",
            )
        self._text += text

    def flush(self) -> None:
        """All that was typed so far is to be spoken now."""
        self._forced, self._flushing = len(self._text), True

    def clear(self) -> None:
        """Nothing of it is to be spoken."""
        self._start += len(self._text)
        self._text, self._forced, self._flushing = "", 0, False

    def next(self, *, hungry: bool) -> Piece | None:
        """What is to be spoken next, None as long as that is not sure.

        `hungry`: somebody waits to hear more, and a clause is better than nothing. What is flushed
        ends in a piece that says so, which is empty where nothing else was left to be said.
        """
        while True:
            end, pause_s = self._border(hungry)
            if not end and not self._forced:
                if self._flushing:
                    self._flushing = False
                    return Piece("", self._start, 0.0, flushed=True)
                return None
            piece = self._take(end or self._forced, pause_s)
            if script.speakable(script.clean(piece.text, script.ANY).text) or piece.flushed:
                return piece

    def _take(self, end: int, pause_s: float) -> Piece:
        text, start = self._text[:end], self._start
        self._text, self._start = self._text[end:], start + end
        self._forced = max(0, self._forced - end)
        flushed = self._flushing and not self._forced
        self._flushing = self._flushing and not flushed
        return Piece(text, start, pause_s, flushed)

    def _border(self, hungry: bool) -> tuple[int, float]:
        """Where the first stretch that can be spoken ends, 0 if none does, and the pause there."""
        for mark in _SENTENCE.finditer(self._text):
            if self._ends(mark):
                paragraph = mark.group().count("\n") > 1
                pause_s = script.PAUSE_PARAGRAPH_S if paragraph else script.PAUSE_SENTENCE_S
                return mark.end(), pause_s
        if hungry and self._clauses:
            for mark in _CLAUSE.finditer(self._text, SHORTEST_CLAUSE):
                return mark.end(), 0.0
        if len(self._text) > script.LONGEST:
            return self._text.rfind(" ", 0, script.LONGEST) + 1 or script.LONGEST, 0.0
        return 0, 0.0

    def _ends(self, mark: re.Match[str]) -> bool:
        """Whether it ends a sentence: the dot of "Dr." does not, nor an initial's or a number's."""
        if mark.group()[0] != ".":
            return True
        found = _LAST_WORD.search(self._text, 0, mark.start())
        short = f"{found.group(1).lower()}." if found else "."
        after = self._text[mark.end() : mark.end() + 1]
        if short in COUNTED:
            return after != "" and not after.isdigit()
        shortened = short in TITLES or short in ENDINGS or INITIALS.fullmatch(short)
        return not shortened and not short[:-1].isdigit()
