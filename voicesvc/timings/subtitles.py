"""Subtitles: SubRip and WebVTT, broken as subtitlers break them.

Limits and preferences are those of Netflix's "English Timed Text Style Guide" (42 characters, 2
lines, 5/6 to 7 seconds, lines broken after punctuation and before conjunctions and prepositions),
with one difference: a cue ends with its last word and is not held longer to be read, so that every
time in the file is one of the take's. Knows nothing of phonemes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from voicesvc.timings.document import whole
from voicesvc.timings.shown import Shown, line

LINE_CHARS = 42
SHORTEST_S = 5 / 6
LONGEST_S = 7.0
PAUSE_S = 0.5  # nobody speaks for so long: a new cue
_BREATH_S = 0.15  # a shorter pause that is heard

_NEW_CUE = 3.0
_SHORT_CUE = 2.0  # beside that, for one that is gone before it is read
_SECOND_LINE = 1.0
_CHARS_OFF = 0.05  # for each character by which two lines differ
_GLUED = 8.0  # between words without a space
_LINKS = re.compile(
    "and|but|or|nor|so|yet|because|although|though|while|when|where|which|who|whom|whose|that|than"
    "|if|unless|until|till|since|as|for|to|of|in|on|at|by|with|from|into|onto|over|under|about"
    "|after|before|between|through|during|against|without|within|towards?|around|across"
)
_LEADS_ON = re.compile(  # a break after one of these parts it from what it goes with
    "an?|the|this|these|those|my|your|his|her|its|our|their|i|you|s?he|it|we|they|is|are|was|were"
    "|be|been|am|do|does|did|has|have|had|will|would|shall|should|can|could|may|might|must|not|no"
    "|mrs?|ms|dr|st|sir"
)


@dataclass(frozen=True, slots=True)
class Cue:
    """One or two lines, and the words in them."""

    lines: tuple[tuple[Shown, ...], ...]

    @property
    def start_s(self) -> float:
        """Where its first word begins."""
        return self.lines[0][0].start_s

    @property
    def end_s(self) -> float:
        """Where its last word ends."""
        return self.lines[-1][-1].end_s


def cues(words: Sequence[Shown]) -> list[Cue]:
    """Words in cues of at most 2 lines of LINE_CHARS and LONGEST_S.

    A cue ends with a sentence or at a pause of PAUSE_S, and a long sentence where it costs least
    (dynamic programming). A sentence shorter than SHORTEST_S joins a neighbour that has room. A
    word that is longer than a line is left whole.
    """
    found: list[Cue] = []
    for group in _joined(_sentences(words)):
        found += _broken(group)
    return found


def srt(found: Sequence[Cue]) -> bytes:
    """SubRip, in UTF-8; times to the millisecond."""
    out: list[str] = []
    for cue in _lasting(found):
        text = "\n".join(line(words) for words in cue.lines)
        begin, end = (_clock(whole(t, 1000), ",") for t in (cue.start_s, cue.end_s))
        out.append(f"{len(out) + 1}\n{begin} --> {end}\n{text}\n")
    return "\n".join(out).encode()


def vtt(found: Sequence[Cue]) -> bytes:
    """WebVTT (W3C), in UTF-8: a timestamp before every word of a cue but the first.

    A timestamp has to lie within its cue and after the one before it (section 4.2.2); a word
    that begins in the same millisecond as the one before has none.
    """
    out = ["WEBVTT\n"]
    for number, cue in enumerate(_lasting(found), 1):
        begin, end = whole(cue.start_s, 1000), whole(cue.end_s, 1000)
        last, lines = begin, []
        for words in cue.lines:
            text = ""
            for i, word in enumerate(words):
                at = whole(word.start_s, 1000)
                stamp = f"<{_clock(at, '.')}>" if last < at < end else ""
                last = max(last, at)
                text += " " * (word.spaced and i > 0) + stamp + _escaped(word.text)
            lines.append(text)
        head = f"{number}\n{_clock(begin, '.')} --> {_clock(end, '.')}"
        out.append("\n".join([head, *lines, ""]))
    return "\n".join(out).encode()


def _lasting(found: Sequence[Cue]) -> list[Cue]:
    """Those that are seen at all."""
    return [c for c in found if whole(c.end_s, 1000) > whole(c.start_s, 1000)]


def _clock(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# -- where cues and lines end --------------------------------------------------------------------


def _sentences(words: Sequence[Shown]) -> list[list[Shown]]:
    groups: list[list[Shown]] = []
    for word in words:
        last = groups[-1][-1] if groups else None
        if last is None or last.final or _gap_s(last, word) >= PAUSE_S:
            groups.append([])
        groups[-1].append(word)
    return groups


def _joined(groups: Sequence[list[Shown]]) -> list[list[Shown]]:
    """Groups where one that is too short to be read joins the one before it, if both fit."""
    joined: list[list[Shown]] = []
    for group in groups:
        before = joined[-1] if joined else []
        both = [*before, *group]
        near = bool(before) and _gap_s(before[-1], group[0]) < PAUSE_S
        if near and min(_length_s(before), _length_s(group)) < SHORTEST_S and _fits(both):
            joined[-1] = both
        else:
            joined.append(group)
    return joined


def _gap_s(word: Shown, later: Shown) -> float:
    return round(later.start_s - word.end_s, 6)


def _length_s(words: Sequence[Shown]) -> float:
    return words[-1].end_s - words[0].start_s


def _fits(words: Sequence[Shown]) -> bool:
    text = _Text(words)
    return text.layout(0, len(words)) is not None


def _broken(words: Sequence[Shown]) -> list[Cue]:
    """The cheapest way to show the words: best[j] is that of the first j."""
    text = _Text(words)
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(words) + 1):
        ways = []
        for begin in range(end - 1, -1, -1):
            laid = text.layout(begin, end)
            if laid is None:
                break
            cut = text.cut(begin) if begin else 0.0
            short = _SHORT_CUE * (_length_s(words[begin:end]) < SHORTEST_S)
            ways.append((best[begin][0] + 1.5 * cut + _NEW_CUE + short + laid[0], begin))
        best.append(min(ways))
    found, end = [], len(words)
    while end:
        begin = best[end][1]
        laid = text.layout(begin, end)
        second = laid[1] if laid else end
        parts = (words[begin:second], words[second:end])
        found.append(Cue(tuple(tuple(p) for p in parts if p)))
        end = begin
    return found[::-1]


class _Text:
    """Words to be broken, measured once."""

    def __init__(self, words: Sequence[Shown]) -> None:
        self._words = words
        lengths = (len(w.text) + w.spaced for w in words)
        self._at = [0, *accumulate(lengths)]
        self._cuts = [0.0, *(_cut(a, b) for a, b in pairwise(words))]

    def cut(self, i: int) -> float:
        """What it costs to break before word `i`."""
        return self._cuts[i]

    def layout(self, begin: int, end: int) -> tuple[float, int] | None:
        """(cost, first word of the second line or `end`) of [begin, end) as a cue; None: too long.

        One word always fits.
        """
        if end - begin == 1:
            return 0.0, end
        if _length_s(self._words[begin:end]) > LONGEST_S:
            return None
        if self._chars(begin, end) <= LINE_CHARS:
            return 0.0, end
        ways = [
            (_SECOND_LINE + self._cuts[i] + _CHARS_OFF * abs(above - below), i)
            for i in range(begin + 1, end)
            if (above := self._chars(begin, i)) <= LINE_CHARS
            and (below := self._chars(i, end)) <= LINE_CHARS
        ]
        return min(ways) if ways else None

    def _chars(self, begin: int, end: int) -> int:
        return self._at[end] - self._at[begin] - self._words[begin].spaced


def _cut(word: Shown, later: Shown) -> float:
    """What a break between two words costs: nothing after punctuation, most within a phrase."""
    if not later.spaced:
        return _GLUED
    if word.final:
        return -1.0
    if word.after.strip("\"'”’)]"):
        return 0.0
    if _gap_s(word, later) >= _BREATH_S:
        return 0.5
    said, next_said = (w.text.casefold().strip("\"'“”‘’(.") for w in (word, later))
    if _LEADS_ON.fullmatch(said) or _LINKS.fullmatch(said):
        return 4.0
    return 1.0 if _LINKS.fullmatch(next_said) else 2.0
