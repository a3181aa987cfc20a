"""Which part of a clause's phonemes belongs to which written word.

espeak says a clause in one go and tells no word borders: "of the" comes out as one word, "3.50" as
four. Each word said alone shows what to look for. The shares, joined, are exactly the clause.

SPDX-License-Identifier: GPL-3.0-or-later
"""

import re
from collections.abc import Sequence
from functools import lru_cache

_BORDER = "|"  # between two words said alone; no IPA symbol
_BEFORE = "ˈˌ"  # belong to the sound after them
_AFTER = "ːˑ̯̩̃"  # belong to the sound before them
_MARKS = frozenset(_BEFORE + _AFTER)
_VOWELS = frozenset("aeiouyæœøɐɑɒɔəɘɚɛɜɞɪɨɯɤɵʉʊʌʏᵻ")
_TO_SHAPE = str.maketrans(
    # Sounds that change into each other in running speech: "it is" has a ɾ, "it" alone has a t.
    dict.fromkeys(_MARKS)
    | dict.fromkeys(_VOWELS, "V")
    | {"ɾ": "t", "d": "t", "ʔ": "t", "z": "s", "ŋ": "n"}
)
_VOWEL_RUN = re.compile(r"VV+(?:ɹ\b)?|Vɹ\b")  # "over" ends in ɚ, before "ever" in ɚɹ
_LONGEST_MERGE = 5  # words; the longest phrase of espeak's English list has four

_COST_MARK = 0.1
_COST_NEAR = 0.4  # vowel for vowel, t for ɾ
_COST_OTHER = 1.0
_COST_NO_SPACE = 0.6  # a word border where espeak wrote no space
_COST_LONE_SPACE = 1.5  # a space that is no word border


def shares(clause: str, alone: Sequence[str]) -> list[str]:
    """Cut `clause` into one string a word; `alone` is each word said by itself.

    A share keeps the space after it, so that the shares joined are `clause`.
    """
    tokens = clause.split(" ") if clause else []
    out: list[str] = []
    at = 0
    while len(out) < len(alone):
        one = alone[len(out)]
        n = one.count(" ") + 1 if one else 0
        here = " ".join(tokens[at : at + n])
        if _shape(here) == _shape(one) and (at + n <= len(tokens)):
            out.append(here + " " if n else "")
            at += n
        elif many := _merged(tokens[at : at + 1], alone[len(out) :]):
            out += _cut(tokens[at], alone[len(out) : len(out) + many])
            out[-1] += " "
            at += 1
        elif 0 < n <= len(tokens) - at and _goes_on(tokens[at + n :], alone[len(out) + 1 :]):
            out.append(here + " ")  # "record" said as a verb here, as a noun alone
            at += n
        else:
            break
    if at < len(tokens) or len(out) < len(alone):
        if len(out) == len(alone) or at == len(tokens):
            out, at = [], 0  # too little is left on one side: a border before went wrong
        out += _cut(" ".join(tokens[at:]), alone[len(out) :])
    elif out:
        last = max(i for i, share in enumerate(out) if share or i == 0)
        out[last] = out[last].rstrip(" ")
    return out


@lru_cache(maxsize=16384)
def _shape(phonemes: str) -> str:
    return _VOWEL_RUN.sub("V", phonemes.translate(_TO_SHAPE))


def _merged(token: Sequence[str], alone: Sequence[str]) -> int:
    """How many words the token says in one breath, 0 if that is not plain to see."""
    if not token:
        return 0
    wanted = _shape(token[0])
    said = ""
    for n, one in enumerate(alone[:_LONGEST_MERGE], 1):
        said += one.replace(" ", "")
        if n > 1 and _shape(said) == wanted:
            return n
    return 0


def _goes_on(tokens: Sequence[str], alone: Sequence[str]) -> bool:
    """Whether the next word is said next, or neither has more."""
    if not tokens or not alone:
        return not tokens and not alone
    n = alone[0].count(" ") + 1
    same = _shape(" ".join(tokens[:n])) == _shape(alone[0])
    return same or _merged(tokens[:1], alone) > 0


def _cut(said: str, alone: Sequence[str]) -> list[str]:
    """Cut where the alignment of least cost puts the words' borders."""
    if len(alone) < 2:
        return [said] * len(alone)
    wanted = _BORDER.join(alone)
    out = []
    start = 0
    for end in (*_borders(said, wanted), len(said)):
        cut = max(end, start)
        while cut > start and said[cut - 1] in _BEFORE:
            cut -= 1
        while cut < len(said) and said[cut] in _AFTER:
            cut += 1
        if end == len(said):
            cut = end
        out.append(said[start:cut])
        start = cut
    return out


def _borders(said: str, wanted: str) -> list[int]:
    """Where in `said` each border of `wanted` falls: a Needleman-Wunsch alignment."""
    gap_said = [_gap(c) for c in said]
    rows = [[0.0]]
    for cost in gap_said:
        rows[0].append(rows[0][-1] + cost)
    for w in wanted:
        above = rows[-1]
        gap = _gap(w)
        left = above[0] + gap
        row = [left]
        for j, c in enumerate(said):
            left = min(above[j] + _swap(w, c), above[j + 1] + gap, left + gap_said[j])
            row.append(left)
        rows.append(row)
    found = []
    j = len(said)
    for i in range(len(wanted), 0, -1):
        w, above = wanted[i - 1], rows[i - 1]
        while j and rows[i][j] == rows[i][j - 1] + gap_said[j - 1]:
            j -= 1
        if w == _BORDER:
            found.append(j)
        if rows[i][j] != above[j] + _gap(w):
            j -= 1
    return found[::-1]


@lru_cache(maxsize=1024)
def _gap(symbol: str) -> float:
    if symbol in _MARKS:
        return _COST_MARK
    return {_BORDER: _COST_NO_SPACE, " ": _COST_LONE_SPACE}.get(symbol, _COST_OTHER)


@lru_cache(maxsize=16384)
def _swap(wanted: str, said: str) -> float:
    if wanted == said or (wanted == _BORDER and said == " "):
        return 0.0
    if _BORDER in (wanted, said) or " " in (wanted, said):
        return 2 * _COST_LONE_SPACE
    marks, vowels = {wanted, said} & _MARKS, {wanted, said} & _VOWELS
    if len(marks) == 2:
        return _COST_MARK
    if len(vowels) == 2 or (_shape(wanted) == _shape(said) and not marks):
        return _COST_NEAR
    return 2 * _COST_OTHER if marks or len(vowels) == 1 else _COST_OTHER
