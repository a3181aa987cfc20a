"""`mstts:silence`: silences of a whole text by where they belong, as Azure's users write them."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import pairwise

from voicesvc.directions import Event, Pause
from voicesvc.script import ANY, clean, sentences

# As Azure writes them -> as they are kept. "Trailing" is what many write for "Tailing".
TYPES = {
    "Leading": "leading",
    "Leading-exact": "leading-exact",
    "Tailing": "tailing",
    "Tailing-exact": "tailing-exact",
    "Sentenceboundary": "sentenceboundary",
    "Sentenceboundary-exact": "sentenceboundary-exact",
    "Comma-exact": "comma-exact",
    "Semicolon-exact": "semicolon-exact",
    "Enumerationcomma-exact": "enumerationcomma-exact",
}
KINDS = {kind: kind for kind in TYPES.values()} | {
    "trailing": "tailing",
    "trailing-exact": "tailing-exact",
}
_MARKS = {
    "comma-exact": re.compile(r"[,，](?!\d)\s*"),
    "semicolon-exact": re.compile(r"[;；]\s*"),
    "enumerationcomma-exact": re.compile(r"、\s*"),
}


def silences(text: str, asked: Mapping[str, float], events: Iterable[Event]) -> list[Pause]:
    """Pauses of `asked` (kind -> seconds) in a text without its markup.

    A pause is the whole silence at its place, so what Azure adds to the natural silence between
    sentences is added here. An exact kind wins over its other; a pause among `events` wins over
    both.
    """
    taken = sorted(e.at for e in events if isinstance(e, Pause))
    out: list[Pause] = []

    def add(start: int, end: int, length_s: float) -> None:
        i = bisect_left(taken, start)
        if i == len(taken) or taken[i] > end:
            out.append(Pause(start, length_s=length_s))

    first, last = len(text) - len(text.lstrip()), len(text.rstrip())
    if first >= last:
        return []
    ends = (("leading", 0, first), ("tailing", last, len(text)))
    for kind, start, end in ends:
        if (length_s := asked.get(f"{kind}-exact", asked.get(kind))) is not None:
            add(start, end, length_s)
    exact_s, more_s = asked.get("sentenceboundary-exact"), asked.get("sentenceboundary")
    if exact_s is not None or more_s is not None:
        spans = list(sentences(clean(text, ANY).text))
        for one, following in pairwise(spans):
            natural_s = one.pause_s + (more_s or 0.0)
            if one.pause_s > 0.0:  # none: a long sentence was cut, which is no end
                add(one.end, following.start, natural_s if exact_s is None else exact_s)
    for kind, mark in _MARKS.items():
        if kind in asked:
            for found in mark.finditer(text, first, last):
                add(found.start(), found.end(), asked[kind])
    return out
