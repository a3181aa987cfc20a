"""Which of many takes a recording is of: both halves of its words vote, then bits are compared.

A word of a copy rarely comes through whole, half of one often does. Each half that is the same
says "this take, shifted by so much"; what has most votes is compared bit by bit. How many are
compared is bounded, however many takes there are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicesvc.fingerprint.bits import FINER, WORDS_PER_S, Query, Words

SURE_BER = 0.27  # bits that differ, over 2 s: see benchmarks/fingerprints.py
BRIEF_BER = 0.20  # over less
# How often a take is named that it is not, at most, at 95 %: it was never, for 106 stretches of 2 s
# of other takes of the same words by the same voice. The same benchmark.
WRONG_BELOW = 0.028
_LEAST = 32  # words that are not silent, in what is compared
_RUN = round(2 * WORDS_PER_S)  # words: what a bit error rate is taken over
_BLOCK, _STEP = 4 * _RUN * 2, 4 * _RUN  # words of a query: whatever lasts 2 s is whole in one
_CANDIDATES = 24  # of a block that are compared
_EDGE, _EDGE_BER = 16, 0.33  # words, over which it is seen where a take begins and ends
_NEAR = (-3, 0, 3)  # shifts that are compared first
_WORTH_BER = 0.4  # the others are, too
_COMMON = 16  # times the mean: a half that more words have tells nothing
_MERGED = 8  # parts of an index at most
_HALVES = 1 << 16
_DRIFT_S = 0.15  # by which stretches of one take may be shifted next to each other

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Match:
    """A stretch of a recording that is of a take; seconds in each one's own time."""

    take: str
    begin_s: float
    end_s: float
    take_begin_s: float
    take_end_s: float
    bit_error_rate: float
    speed: float  # 1.04: played 4 % too fast


class _Part:
    """Takes one after another, and where each half of a word is."""

    def __init__(self, takes: Sequence[tuple[str, Words]]) -> None:
        self.takes = list(takes)
        self.begins = np.cumsum([0, *(len(w) for _, w in takes)])
        self.words: Words = np.concatenate([np.zeros(0, np.uint32), *(w for _, w in takes)])
        told = np.flatnonzero(self.words).astype(np.uint32)
        low, high = self.words[told] & 0xFFFF, self.words[told] >> 16
        self._tables = [_table(half.astype(np.uint16), told) for half in (high, low)]
        self._most = max(_COMMON * len(told) // _HALVES, _COMMON)

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        tables = sum(a.nbytes for table in self._tables for a in table)
        return self.words.nbytes + self.begins.nbytes + tables

    def candidates(self, query: Words) -> list[int]:
        """Shifts that most halves vote for.

        A word at `p` here is then the query's at `FINER * p - shift`.
        """
        shifts = []
        for half, (starts, places) in zip((query >> 16, query & 0xFFFF), self._tables, strict=True):
            begin = starts[half].astype(np.int64)
            count = starts[half + 1] - begin
            count[count > self._most] = 0
            first = np.repeat(begin - np.cumsum(count) + count, count)
            here = places[first + np.arange(len(first))].astype(np.int64)
            shifts.append(here * FINER - np.repeat(np.arange(len(query)), count))
        coarse, votes = np.unique(np.concatenate(shifts) // FINER, return_counts=True)
        beside = np.append(np.where(np.diff(coarse) == 1, votes[1:], 0), 0)[: len(votes)]
        best = np.argsort(-(votes + beside), kind="stable")[:_CANDIDATES]
        return [(int(coarse[i]) + 1) * FINER for i in best]

    def meant(self, shift: int, n: int) -> list[tuple[int, int]]:
        """The takes, by number, that lie under `n` words of a query, each with its own shift."""
        first, last = -(-shift // FINER), (shift + n - 1) // FINER
        low = int(np.searchsorted(self.begins, max(first, 0), "right")) - 1
        high = int(np.searchsorted(self.begins, min(last, len(self.words) - 1), "right")) - 1
        return [(i, shift - FINER * int(self.begins[i])) for i in range(low, high + 1)]


def _table(halves: NDArray[np.uint16], places: Words) -> tuple[Words, Words]:
    """Where the places of each half begin, and the places."""
    starts = np.zeros(_HALVES + 1, np.uint32)
    np.cumsum(np.bincount(halves, minlength=_HALVES), out=starts[1:])
    return starts, places[np.argsort(halves, kind="stable")]


class Index:
    """The fingerprints of takes. One thread at a time."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    def __len__(self) -> int:
        """How many takes there are."""
        return sum(len(part.takes) for part in self._parts)

    @property
    def n_bytes(self) -> int:
        """Memory that it takes, about."""
        return sum(part.n_bytes for part in self._parts)

    def add(self, takes: Iterable[tuple[str, Words]]) -> None:
        """Put in takes, each with its words."""
        new = list(takes)
        if not new:
            return
        self._parts.append(_Part(new))
        if len(self._parts) > _MERGED:
            self._parts = [_Part([take for part in self._parts for take in part.takes])]

    def find(self, queries: Sequence[Query]) -> list[Match]:
        """What the recording is of, the surest first.

        Where nothing is by the first query, what is by the surest of the others.
        """
        for some in (queries[:1], queries[1:]):
            found = [m for query in some if (m := self._find(query))]
            if found:
                return min(found, key=lambda m: m[0].bit_error_rate)
        return []

    def _find(self, query: Query) -> list[Match]:
        meant: set[tuple[int, int, int]] = set()
        for at in range(0, max(len(query.words) - _STEP, 1), _STEP):
            block = query.words[at : at + _BLOCK]
            for p, part in enumerate(self._parts):
                for shift in part.candidates(block):
                    meant |= {(p, i, s - at) for i, s in part.meant(shift, len(block))}
        found: dict[str, list[Match]] = {}
        for p, i, shift in sorted(meant):
            match = _best(*self._parts[p].takes[i], shift, query)
            if match is not None:
                found.setdefault(match.take, []).append(match)
        merged = [one for matches in found.values() for one in _merged(matches)]
        return sorted(merged, key=lambda m: (m.bit_error_rate, m.take))


def _best(take: str, own: Words, shift: int, query: Query) -> Match | None:
    """A take at the shift, around the one that was voted for, that fits best."""
    near = [f for d in _NEAR if (f := _fit(own, shift + d, query.words)) is not None]
    if not near or min(f.rate for f in near) > _WORTH_BER:
        return None
    rest = (d for d in range(-FINER, FINER + 1) if d not in _NEAR)
    best = min(near + [f for d in rest if (f := _fit(own, shift + d, query.words)) is not None])
    if best.unsure:
        return None
    return Match(
        take,
        begin_s=round((FINER * best.begin - best.shift) * query.step_s, 3),
        end_s=round((FINER * best.end - best.shift) * query.step_s, 3),
        take_begin_s=round(best.begin / WORDS_PER_S, 3),
        take_end_s=round(best.end / WORDS_PER_S, 3),
        bit_error_rate=round(best.rate, 4),
        speed=query.speed,
    )


class _Fit(NamedTuple):
    """How a take fits at a shift: from which of its words to which, and how many bits differ."""

    unsure: bool
    rate: float  # of bits that differ
    shift: int
    begin: int
    end: int


def _fit(own: Words, shift: int, query: Words) -> _Fit | None:
    """How a take fits at a shift; None where too little of it is there."""
    a = max(-(-shift // FINER), 0)
    b = min((shift + len(query) - 1) // FINER + 1, len(own))
    if b - a < _LEAST:
        return None
    mine = own[a:b]
    told = mine != 0
    differ = np.bitwise_count(mine ^ query[FINER * a - shift : FINER * b - shift : FINER])
    run = min(_RUN, b - a)
    wrong, known = _over(np.where(told, differ, 0), run), _over(told, run)
    rates = np.where(known >= _LEAST, wrong / np.maximum(32 * known, 1), 1.0)
    low = high = int(np.argmin(rates))
    good = np.flatnonzero(rates <= (SURE_BER if run == _RUN else BRIEF_BER))
    if not len(good):
        return _Fit(True, float(rates[low]), shift, a + low, a + high + run)
    low, high = _trimmed(differ, told, int(good[0]), int(good[-1]) + run)
    rate = float(differ[low:high][told[low:high]].mean() / 32)
    return _Fit(False, rate, shift, a + low, a + high)


def _trimmed(differ: NDArray[np.uint8], told: NDArray[np.bool_], a: int, b: int) -> tuple[int, int]:
    """From `a` to `b` without what is before and after the take: a run is long and reaches over."""
    wrong, known = _over(np.where(told, differ, 0)[a:b], _EDGE), _over(told[a:b], _EDGE)
    good = np.flatnonzero((known >= _EDGE // 2) & (wrong <= _EDGE_BER * 32 * known))
    return (a + int(good[0]), a + int(good[-1]) + _EDGE) if len(good) else (a, b)


def _over(values: NDArray[np.generic], run: int) -> Ints:
    """Sums over `run` values in a row."""
    sums = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    made: Ints = sums[run:] - sums[:-run]
    return made


def _merged(matches: Sequence[Match]) -> list[Match]:
    """The surest for each stretch; those of one take that go on in each other are one."""
    surest: list[Match] = []
    for new in sorted(matches, key=lambda m: m.bit_error_rate):
        if all(_shared_s(new, m) <= (new.end_s - new.begin_s) / 2 for m in surest):
            surest.append(new)
    made: list[Match] = []
    for new in sorted(surest, key=lambda m: m.begin_s):
        old = made[-1] if made else None
        if old is None or new.begin_s > old.end_s or abs(_lag_s(new) - _lag_s(old)) > _DRIFT_S:
            made.append(new)
            continue
        a, b = (m.end_s - m.begin_s for m in (old, new))
        rate = (a * old.bit_error_rate + b * new.bit_error_rate) / (a + b)
        end_s, take_end_s = max(old.end_s, new.end_s), max(old.take_end_s, new.take_end_s)
        wider = replace(old, end_s=end_s, take_end_s=take_end_s)
        made[-1] = replace(wider, bit_error_rate=round(rate, 4))
    return made


def _shared_s(a: Match, b: Match) -> float:
    return min(a.end_s, b.end_s) - max(a.begin_s, b.begin_s)


def _lag_s(match: Match) -> float:
    return match.take_begin_s - match.begin_s * match.speed
