"""The words of a take as they are read on a screen: with the punctuation of the text.

Knows nothing of how subtitles are broken or written.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from voicesvc import markup
from voicesvc.errors import InvalidRequest
from voicesvc.timings.document import TimedWord, Timings

_JOINER = "\u2060"  # where markup stood within a word
_BLANK = "\0"  # where markup stood elsewhere
_ALONE = frozenset("-–—…/")  # what may stand between two spaces; it is shown with the word before
_FINAL = frozenset(".!?…。؟")


@dataclass(frozen=True, slots=True)
class Shown:
    """A word as it is shown, with what touches it."""

    text: str
    start_s: float
    end_s: float
    spaced: bool  # whether a space is before it
    final: bool  # whether a sentence ends with it
    after: str  # punctuation that belongs to it and follows it


def shown(document: Timings, text: str | None, kind: markup.Kind) -> list[Shown]:
    """The words in order; without a text as the take has them, with spaces between.

    Raises:
        InvalidRequest: most of the words are not where the take says they are in the text, and
            the text is no other writing of them.
    """
    words = document.words
    if not words:
        return []
    if text is None:
        return [Shown(w.text, w.start_s, w.end_s, True, False, "") for w in words]
    plain = _plain(text, kind)
    places = _places(words, plain)
    gaps = [_Gap.between(plain[a:b] if a <= b else " ") for (_, a), (b, _) in pairwise(places)]
    first = _Gap.before(plain[: places[0][0]])
    end = _Gap.between(plain[places[-1][1] :])
    written = [_written(w, plain[a:b]) for w, (a, b) in zip(words, places, strict=True)]
    return [
        Shown(
            text=before.opens + said + after.closes,
            start_s=word.start_s,
            end_s=word.end_s,
            spaced=before.spaced,
            final=after.ends and not _goes_on(later),
            after=after.closes,
        )
        for word, said, later, before, after in zip(
            words, written, [*written[1:], ""], [first, *gaps], [*gaps, end], strict=True
        )
    ]


@dataclass(frozen=True, slots=True)
class _Gap:
    """What lies between two words: punctuation and spaces; nothing else of it is shown."""

    closes: str  # belongs to the word before
    opens: str  # belongs to the word after
    spaced: bool
    ends: bool  # has the sign or the line break of a sentence's end

    @staticmethod
    def before(plain: str) -> "_Gap":
        """What lies before the first word."""
        solid = _solid(plain)
        *alone, last = [*solid.split(), ""] if solid[-1:].isspace() else solid.split() or [""]
        opens = "".join(f"{p} " for p in alone if set(p) <= _ALONE) + last
        return _Gap("", opens, spaced=False, ends=False)

    @staticmethod
    def between(plain: str) -> "_Gap":
        """What lies after a word. A sign that touches neither word is the first one's."""
        solid = _solid(plain)
        pieces = solid.split()
        broken = _BLANK in plain and _JOINER not in plain and not solid
        if not pieces or solid == pieces[0]:
            closes, opens = solid.strip(), ""
        else:
            opens = "" if solid[-1:].isspace() or set(pieces[-1]) <= _ALONE else pieces.pop()
            touching = bool(pieces) and not solid[:1].isspace()
            closes = pieces.pop(0) if touching else ""
            closes += "".join(f" {p}" for p in pieces if set(p) <= _ALONE)
        return _Gap(
            closes,
            opens,
            spaced=broken or any(c.isspace() for c in solid),
            ends="\n" in solid or not _FINAL.isdisjoint(closes),
        )


def _solid(plain: str) -> str:
    return "".join(c for c in plain if c.isspace() or unicodedata.category(c)[0] == "P")


def _plain(text: str, kind: markup.Kind) -> str:
    """The text at its own length, with _BLANK for markup and for what markup put in."""
    without = markup.parse(text, kind, lenient=True).text
    return "".join(
        c if c in (own, "\n", _JOINER) or own in "&;" else _BLANK  # "&quot;" is a sign at an end
        for c, own in zip(without, text, strict=True)
    )


def _places(words: Sequence[TimedWord], plain: str) -> list[tuple[int, int]]:
    """Where each word is written: where it says, or, for a text of these words alone, in turn.

    A take of a plan may have words that are not in its text, so half of them are enough.
    """
    given = [(w.char_start, w.char_end) for w in words]
    right = sum(_is(w, plain[a:b]) for w, (a, b) in zip(words, given, strict=True))
    if 2 * right >= len(words) and max(end for _, end in given) <= len(plain):
        return given
    found, at = [], 0
    for word in words:
        begin = plain.find(word.text, at)
        if begin < 0 or _bare(plain[at:begin]):
            raise InvalidRequest(
                f"the text does not have {word.text!r} where the take says it",
                where="text",
                valid="the text that the take was made of",
            )
        at = begin + len(word.text)
        found.append((begin, at))
    return found


def _bare(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def _is(word: TimedWord, written: str) -> bool:
    return _bare(written) == _bare(word.text)


def _written(word: TimedWord, written: str) -> str:
    """A word as the text has it, or as it is said where that is another word."""
    said = " ".join(written.replace(_JOINER, "").replace(_BLANK, "").split())
    return said if _is(word, said) else word.text


def _goes_on(later: str) -> bool:
    """Whether a sentence goes on: with a small letter, after "Well..." or a quotation."""
    return later[:1].islower()


def line(words: Sequence[Shown]) -> str:
    """Words as one line of text."""
    return "".join(" " * (w.spaced and i > 0) + w.text for i, w in enumerate(words))
