"""A directed text while it is being written. Knows nothing of how markup looks.

The text keeps the source's length: what is not written stays spaces. Punctuation that markup
stands for (a comma at a pause, a full stop or an empty line at an end) goes into the markup's own
room. Every step looks at a bounded number of characters, so the whole takes linear time.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from voicesvc.directions import Breath, Directed, Event, Ignored, Pause, Said, Style, Styled
from voicesvc.errors import BadMarkup
from voicesvc.script import clean, speakable

DEEPEST = 32  # elements or spans in one another
JOINER = "\u2060"  # invisible inside a word: words go on over it, and no one says it
_PLACEHOLDER = "x"  # written where a reading has no letter of its own to stand for it
_LOOK_BACK = 16  # characters before a place that decide whether it is punctuated
_CLOSERS = "\"')\\]}”’»›"
_PUNCTUATED = re.compile(rf"[.,;:!?…—–。、،؛؟-][{_CLOSERS}]*\Z")
_FINAL = re.compile(rf"[.!?…。؟‼⁇⁈⁉][{_CLOSERS}]*\Z")
_NEXT_PUNCTUATED = re.compile(r"[\s\"'(\[{“‘«‹]*[.,;:!?…—–。、،؛؟]")
_GOES_ON = re.compile(r"[^\W_]|['’/-][^\W_]")
_SENTENCE_END = re.compile(rf"(?<=[.!?…])([{_CLOSERS}]*)\s+")


@dataclass(slots=True)
class Stretch:
    """A style whose end is not known yet."""

    start: int
    style: Style
    end: int = -1


class Draft:
    """What is written so far. Offsets are the source's; calls come in the source's order."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.events: list[Event] = []
        self.ignored: list[Ignored] = []
        self._said: list[Said] = []
        self._stretches: list[Stretch] = []
        self._chars = [" "] * len(source)
        self._last = -1  # the last character written that is no space
        self._free = 0  # from here on nothing is written
        self._broken = False  # a line or sentence ended since `_last`
        self._comma_at: int | None = None  # a pause that may need a comma
        self._stop_at: int | None = None  # a mark that ends a sentence only if none goes on
        self._glue = (0, 0)  # markup that touches what is before it

    def bad(self, at: int, detail: str, valid: Iterable[str] | str | None = None) -> BadMarkup:
        """The error for what stands at `at`: `where` has its line, column (from 1) and offset."""
        return bad_markup(self.source, at, detail, valid)

    def write(self, start: int, text: str) -> None:
        """Text that is said, at its place."""
        lead = len(text) - len(text.lstrip())
        if lead == len(text):
            self._broken = self._broken or "\n" in text
            self._put(start, text)
            return
        if self._stop_at is not None:
            self._chars[self._stop_at] = JOINER
            self._stop_at = None
        if "\n" in text[:lead] or _NEXT_PUNCTUATED.match(text):
            self._comma_at = None
        if self._comma_at is not None:
            self._chars[self._comma_at] = ","
            self._comma_at = None
        glued, until = self._glue
        if until == start and glued < until and _GOES_ON.match(text):
            self._chars[glued:until] = JOINER * (until - glued)
        self._put(start, text)
        kept = text.rstrip()
        self._last = start + len(kept) - 1
        self._broken = "\n" in text[len(kept) :]

    def inline(self, start: int, end: int) -> None:
        """Markup that may stand within a word: [start, end) joins what it touches on both sides."""
        if self._glue[1] == start and self._glue[0] < start:
            self._glue = (self._glue[0], end)
        elif self._last == start - 1 and start > 0 and self._chars[self._last].isalnum():
            self._glue = (start, end)

    def pause(self, event: Pause | Breath) -> None:
        """A pause or breath: the model ends a phrase there by a comma, if no mark is there."""
        self.events.append(event)
        none = isinstance(event, Pause) and (event.strength == "none" or event.length_s == 0)
        if none or self._comma_at is not None:
            return
        if self._last >= 0 and not self._broken and not _PUNCTUATED.search(self._before()):
            self._comma_at = event.at

    def end_sentence(self) -> None:
        """What is written so far is a whole sentence, whatever follows the markup here."""
        self._comma_at = self._stop_at = None
        if self._last < 0 or self._broken:
            return
        at = self._last + 1
        if not _FINAL.search(self._before()):
            self._chars[at] = "."
            self._last, at = at, at + 1
        self._chars[at] = "\n"
        self._free = max(self._free, at + 1)
        self._broken = True

    def end_paragraph(self, start: int) -> None:
        """The paragraph so far ends; the markup at `start` has room for three characters."""
        self._comma_at = self._stop_at = None
        if self._last >= 0:
            at = max(self._free, start)
            self._chars[at : at + 2] = "\n\n"
            self._free = at + 2
            self._broken = True

    def open(self, start: int, style: Style) -> Stretch | None:
        """A style from `start` on, until `close`; None where it asks for nothing."""
        if style == Style():
            return None
        stretch = Stretch(start, style)
        self._stretches.append(stretch)
        return stretch

    def close(self, stretch: Stretch | None, end: int) -> None:
        """The style's stretch ends."""
        if stretch:
            stretch.end = end

    def read(self, said: Said, written: str, replaced: bool) -> None:
        """A reading of what is written (of the reading's length) in its stretch.

        No sentence ends within it, nor, where the writing is `replaced` ("Nr."), at its end if the
        sentence goes on. Where the text has nothing that can be spoken, a letter stands for it, so
        that there is a word to read.
        """
        held = _SENTENCE_END.sub(lambda m: m[1] + JOINER * (len(m[0]) - len(m[1])), written)
        if not speakable(clean(held).text):  # by whom is not known yet
            held = _PLACEHOLDER + " " * (len(written) - 1)
        self.write(said.start, held)
        self._said.append(said)
        if replaced and held[-1] in ".!?…":
            self._stop_at = self._last

    def written(self) -> str:
        """The text so far, at the source's length."""
        return "".join(self._chars)

    def finish(self) -> Directed:
        """All of it. Stretches that hold nothing are left out."""
        kept = [s for s in self._stretches if s.end > s.start]
        return Directed(
            text=self.written(),
            said=tuple(self._said),
            styled=tuple(
                Styled(s.start, s.end, s.style)
                for s in sorted(kept, key=lambda s: (s.start, -s.end))
            ),
            events=tuple(sorted(self.events, key=lambda e: e.at)),
            ignored=tuple(sorted(self.ignored, key=lambda i: i.start)),
        )

    def _put(self, start: int, text: str) -> None:
        self._chars[start : start + len(text)] = text
        self._free = max(self._free, start + len(text))

    def _before(self) -> str:
        return "".join(self._chars[max(0, self._last + 1 - _LOOK_BACK) : self._last + 1])


def bad_markup(
    source: str, at: int, detail: str, valid: Iterable[str] | str | None = None
) -> BadMarkup:
    """The error for character `at` of `source` (from 0); line and column count from 1."""
    before = source[:at].replace("\r\n", "\n").replace("\r", "\n")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    where = f"text, line {line}, column {column} (character {at})"
    return BadMarkup(detail, where=where, valid=valid)
