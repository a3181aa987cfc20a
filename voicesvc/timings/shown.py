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
        InvalidRequest: the text is shorter than the take's words lie in it.
    """
    words = document.words
    if not words:
        return []
    if text is None:
        return [Shown(w.text, w.start_s, w.end_s, True, False, "") for w in words]
    last = max(w.char_end for w in words)
    if last > len(text):
        raise InvalidRequest(
            f"the text has {len(text)} characters, the take's words reach to {last}",
            where="text",
            valid="the text that the take was made of",
        )
    plain = _plain(text, kind)
    gaps = [
        _Gap.between(plain[a.char_end : b.char_start] if a.char_end <= b.char_start else " ")
        for a, b in pairwise(words)
    ]
    first = _Gap.before(plain[: words[0].char_start])
    end = _Gap.between(plain[words[-1].char_end :])
    written = [_written(w, plain) for w in words]
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


def _written(word: TimedWord, plain: str) -> str:
    said = plain[word.char_start : word.char_end].replace(_JOINER, "").replace(_BLANK, "")
    return " ".join(said.split()) or word.text


def _goes_on(later: str) -> bool:
    """Whether a sentence goes on: with a small letter, after "Well..." or a quotation."""
    return later[:1].islower()


def line(words: Sequence[Shown]) -> str:
    """Words as one line of text."""
    return "".join(" " * (w.spaced and i > 0) + w.text for i, w in enumerate(words))
