"""Light marks in plain text, as a script has them -> a directed text.

`*stress*`, `[pause 0.4s]`, `(whispered)`. A sign that makes no mark is text as in any prose; a
backslash before one makes it so.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from voicesvc.directions import Bookmark, Breath, Directed, Ignored, Pause, Style
from voicesvc.markup import values
from voicesvc.markup.draft import DEEPEST, Draft, Stretch
from voicesvc.markup.names import DELIVERIES
from voicesvc.markup.values import Invalid, Level

# Mark -> how it is written.
MARKS = {
    "pause": "[pause], [pause 0.4s], [pause 400ms], [pause strong]",
    "beat": "[beat]",
    "breath": "[breath]",
    "mark": "[mark name]",
    "rate": "[rate 0.8]...[/rate]",
    "pitch": "[pitch +2st]...[/pitch]",
    "range": "[range +20%]...[/range]",
    "volume": "[volume -6dB]...[/volume]",
}
SPANS: dict[str, Callable[[str, Level], Style]] = {
    "rate": values.rate,
    "pitch": values.pitch,
    "range": values.span,
    "volume": values.volume,
}
# What is no delivery but still a direction.
BEATS = {
    "beat": "medium",
    "a beat": "medium",
    "pause": "medium",
    "a pause": "medium",
    "long beat": "strong",
    "long pause": "strong",
    "a long pause": "strong",
}
BREATHS = ("breath", "a breath", "breathes", "takes a breath")

_TOKEN = re.compile(
    r"\\(?P<escaped>[\\*\[\]()])|(?P<stars>\*+)|\[(?P<mark>[^\[\]\n]*)\]|(?P<unclosed>\[)"
    r"|\((?P<cue>[A-Za-z][A-Za-z0-9 .,;-]{0,63})\)|(?P<blank>\n[ \t\r]*\n)"
)
_MARK = re.compile(r"\s*(/?)([A-Za-z][\w-]*)\s*(.*?)\s*", re.DOTALL)
_UNCLOSED = re.compile(rf"\[\s*/?(?:{'|'.join(MARKS)})\b")
_CUE = re.compile(r"(?P<name>[a-z][a-z -]*?)(?:\s+(?P<intensity>[\d.]+))?")


def parse_marks(source: str, lenient: bool) -> Directed:
    """Text with light marks, without them, and what they ask for. Raises errors.BadMarkup."""
    if not re.search(r"[\\*\[(]", source):
        return Directed(source)
    reader = _Marks(source, lenient)
    at = 0
    for token in _TOKEN.finditer(source):
        reader.text(at, token.start())
        reader.take(token)
        at = token.end()
    reader.text(at, len(source))
    return reader.finish()


@dataclass(slots=True)
class _Span:
    name: str
    at: int
    level: Level
    stretch: Stretch | None


class _Marks:
    """Mark by mark through a text, with the text between them."""

    def __init__(self, source: str, lenient: bool) -> None:
        self._draft = Draft(source)
        self._source = source
        self._lenient = lenient
        self._spans: list[_Span] = []
        self._delivery: Stretch | None = None
        self._stresses = dict(_stresses(source))
        self._stressed: dict[int, Stretch | None] = {}  # where it ends -> the stretch

    def text(self, start: int, end: int) -> None:
        """What stands between marks."""
        if start < end:
            self._draft.write(start, self._source[start:end])

    def take(self, token: re.Match[str]) -> None:
        """Take one mark, or text that looks like one. Raises errors.BadMarkup."""
        start, end = token.span()
        kind = token.lastgroup
        if kind == "escaped":
            self._draft.inline(start, start + 1)
            self.text(start + 1, end)
        elif kind == "stars":
            self._stars(start, end)
        elif kind == "mark":
            self._mark(token)
        elif kind == "cue" and self._cue(token):
            return
        elif kind == "blank":
            self._draft.close(self._delivery, start)
            self._delivery = None
            self.text(start, end)
        elif kind == "unclosed" and _UNCLOSED.match(self._source, start):
            raise self._draft.bad(start, "the mark is not closed", [*MARKS.values()])
        elif kind in ("unclosed", "cue"):
            self.text(start, end)

    def finish(self) -> Directed:
        """The text and what was asked for. Raises errors.BadMarkup for a span left open."""
        if self._spans:
            span = self._spans[-1]
            raise self._draft.bad(span.at, f"[{span.name}] is not closed", f"[/{span.name}]")
        self._draft.close(self._delivery, len(self._source))
        return self._draft.finish()

    def _stars(self, start: int, end: int) -> None:
        if start in self._stresses:
            stretch = self._draft.open(end, Style(emphasis="strong"))
            self._stressed[self._stresses[start]] = stretch
        elif start in self._stressed:
            self._draft.close(self._stressed[start], start)
        else:
            self.text(start, end)
            return
        self._draft.inline(start, end)

    def _mark(self, token: re.Match[str]) -> None:
        start, end = token.span()
        read = _MARK.fullmatch(token["mark"])
        slash, name, value = read.groups() if read else ("", "", "")
        name = name.lower()
        try:
            if name in SPANS:
                self._span(token, name, slash, value)
            elif slash or name not in MARKS:
                self._unknown(token)
            elif name == "pause":
                self._draft.pause(_pause(start, value))
            elif name == "mark":
                if not value:
                    raise Invalid("a mark has a name", MARKS["mark"])
                self._draft.events.append(Bookmark(start, value))
                self._draft.inline(start, end)
            else:
                self._plain(name, value, start)
        except Invalid as error:
            raise self._draft.bad(start, f"[{name}]: {error.detail}", error.valid) from error

    def _plain(self, name: str, value: str, start: int) -> None:
        if value:
            raise Invalid(f"{value[:40]!r} is too much", MARKS[name])
        beat = Pause(start, strength="medium")
        self._draft.pause(beat if name == "beat" else Breath(start))

    def _span(self, token: re.Match[str], name: str, slash: str, value: str) -> None:
        start, end = token.span()
        level = self._spans[-1].level if self._spans else values.NEUTRAL
        if not slash and len(self._spans) == DEEPEST:
            raise Invalid(f"more than {DEEPEST} spans in one another", "[/rate]")
        if not slash:
            style = SPANS[name](value, level)
            stretch = self._draft.open(end, style)
            self._spans.append(_Span(name, start, level.within(style), stretch))
        elif not self._spans or self._spans[-1].name != name or value:
            open_one = f"[/{self._spans[-1].name}]" if self._spans else "[rate 0.8] first"
            raise Invalid("it closes what is not open", open_one)
        else:
            self._draft.close(self._spans.pop().stretch, start)
        self._draft.inline(start, end)

    def _unknown(self, token: re.Match[str]) -> None:
        why = f"{token[0][:40]} is no mark"
        if not self._lenient:
            raise self._draft.bad(token.start(), why, [*MARKS.values(), "\\[ for a bracket"])
        self._draft.ignored.append(Ignored(token.start(), token.end(), why))

    def _cue(self, token: re.Match[str]) -> bool:
        """Whether a parenthesis is a direction; if so it is taken."""
        start, end = token.span()
        parts = [" ".join(p.lower().split()) for p in re.split(r"[,;]", token["cue"])]
        if not all(p in BEATS or p in BREATHS or _delivery(p) for p in parts):
            return False
        styles = [found for p in parts if (found := _delivery(p))]
        if len(styles) > 1:
            raise self._draft.bad(start, "a cue directs one delivery", "one of them")
        for part in parts:
            if part in BEATS:
                self._draft.pause(_pause(start, BEATS[part]))
            elif part in BREATHS:
                self._plain("breath", "", start)
        for name, intensity in styles:
            self._draft.close(self._delivery, start)
            try:
                of = values.plain(intensity, (0.0, 1.0)) if intensity else None
            except Invalid as error:
                raise self._draft.bad(start, f"({name}): {error.detail}", error.valid) from error
            self._delivery = self._draft.open(end, Style(emotion=name, intensity=of))
        return True


def _delivery(part: str) -> tuple[str, str] | None:
    """(emotion, intensity as written) of a cue such as "sadly 0.6"."""
    read = _CUE.fullmatch(part)
    if not read or read["name"] not in DELIVERIES:
        return None
    return DELIVERIES[read["name"]], read["intensity"] or ""


def _pause(at: int, value: str) -> Pause:
    if not value:
        return Pause(at, strength="medium")
    if value.lower() in values.STRENGTHS:
        return Pause(at, strength=values.one_of(value, values.STRENGTHS))
    try:
        return Pause(at, length_s=values.seconds(value, values.LONGEST_PAUSE_S))
    except Invalid as error:
        raise Invalid(error.detail, [str(error.valid), *values.STRENGTHS]) from error


def _stresses(source: str) -> list[tuple[int, int]]:
    """(opening, closing) of every pair of single asterisks around words.

    One opens after what is no letter or figure and before what is no space, and closes the other
    way round, within a paragraph. "3 * 4", "**", "f*ck" and a lone one are text.
    """
    pairs: list[tuple[int, int]] = []
    opening: int | None = None
    for token in _TOKEN.finditer(source):
        start, end = token.span()
        if token.lastgroup == "blank" or (token["stars"] and end - start > 1):
            opening = None
        if not token["stars"] or end - start > 1:
            continue
        before, after = source[start - 1 : start] or " ", source[end : end + 1] or " "
        if opening is not None and not before.isspace() and not after.isalnum():
            pairs.append((opening, start))
            opening = None
        elif not before.isalnum() and not after.isspace():
            opening = start
    return pairs
