"""A sentence -> the stretches that are said otherwise than they are written."""

import re
from collections.abc import Sequence

from voicesvc.directions import Said, within
from voicesvc.spoken import amounts, codes, dates, dialogue
from voicesvc.spoken.acronyms import capitals
from voicesvc.spoken.rules import Rule

# The first rule that takes a character keeps it.
_RULES: tuple[Rule, ...] = (
    *codes.ADDRESSES,
    *codes.SHORT_FORMS,
    *dates.RULES,
    *codes.ROMANS,
    *amounts.VULGAR,
    *amounts.RULES,
    *codes.CODES,
    *amounts.PLAIN,
    *codes.SIGNS,
    *dialogue.STUTTERS,
    *dialogue.NOISES,
)
_BRITISH = ("en-gb", "en-au", "en-ie", "en-in", "en-nz", "en-za", "en-029")
_FIGURE = re.compile(r"\d")
_DASHES = ("-", "—")


def readings(text: str, start: int, taken: Sequence[Said], language: str) -> tuple[Said, ...]:
    """What of one sentence is said otherwise, in order; `text` begins at `start` of the request.

    Nothing of what is `taken` (offsets of the request, in order) is read here. English only: for
    any other `language` ("de") there are none. Takes any text and raises nothing.
    """
    language = language.lower().replace("_", "-")
    if language.partition("-")[0] != "en":
        return ()
    british = language.startswith(_BRITISH)
    used = bytearray(len(text))
    for s in taken:
        begin, end = max(s.start - start, 0), min(s.end - start, len(text))
        used[begin:end] = b"x" * (end - begin)
    signs = {*text, "0"} if _FIGURE.search(text) else set(text)
    found: list[tuple[int, int, str]] = []
    quantities: set[int] = set()
    for one in _RULES:
        if signs.isdisjoint(one.needs):
            continue
        for m in one.pattern.finditer(text):
            said = None if _any(used, *m.span()) else one.say(m, british)
            if said is not None:
                _take(used, *m.span())
                found.append((*m.span(), said))
                if one.quantity:
                    quantities.add(m.start())
    for begin, end, said in capitals(text):
        if not _any(used, begin, end):
            found.append((begin, end, said))
    return tuple(
        Said(start + begin, start + end, text=said)
        for begin, end, said in _ranges(sorted(found), text, quantities)
    )


def with_readings(text: str, start: int, said: Sequence[Said], language: str) -> tuple[Said, ...]:
    """What of one sentence is said otherwise: those of `said` that are in it, and its readings.

    `said` (of the whole request, in order) wins.
    """
    here = within(said, start, start + len(text))
    found = readings(text, start, here, language)
    return tuple(sorted((*here, *found), key=lambda s: s.start)) if here else found


def _any(used: bytearray, begin: int, end: int) -> bool:
    return used.find(b"x", begin, end) >= 0


def _take(used: bytearray, begin: int, end: int) -> None:
    used[begin:end] = b"x" * (end - begin)


def _ranges(
    found: list[tuple[int, int, str]], text: str, quantities: set[int]
) -> list[tuple[int, int, str]]:
    """With the ends of a range joined: "9am-5pm"."""
    out: list[tuple[int, int, str]] = []
    last = -1  # where the reading before begins, for the ranges among quantities
    for begin, end, said in found:
        ends = {last, begin} <= quantities
        last = begin
        if ends and text[out[-1][1] : begin] in _DASHES:
            first, _, low = out.pop()
            out.append((first, end, f"{low} to {said}"))
        else:
            out.append((begin, end, said))
    return out
