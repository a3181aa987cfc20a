"""What a voice's chunks cost, learned from those that were computed.

A chunk's cost depends on its place in the stream: the first one plans the sentence and is short,
later ones grow up to a length that repeats. So costs are kept by place, and, since more text takes
longer to plan, by about how long the text is. Until a voice has spoken it
is taken to be about as fast as the demonstration voice on one core.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace

PLACES = 6  # chunks that are told apart; the last stands for all after it
_SIZE_CHARS, _SIZES = 100, 5
_FIRST_S = 0.05
_GIVES_S = 0.2
_RTF = 0.05  # seconds of compute per second of audio
_S_PER_CHAR = 0.065  # English, read at 150 words a minute
_LEARN = 0.2  # weight of the newest chunk of a place
_MEMORY_S = 60.0  # of audio, over which the cost of a second is averaged
_DOUBT_S = 2.0  # of audio: how much the guess counts for beside what was measured
_KNOWN_S = 2.0  # of audio, after which a voice is known


@dataclass
class _Voice:
    turn_s: list[float | None] = field(default_factory=lambda: [None] * PLACES)
    sized_s: dict[int, list[float | None]] = field(default_factory=dict)  # the same, by `_size`
    gives_s: list[float | None] = field(default_factory=lambda: [None] * PLACES)
    compute_s: float = _RTF * _DOUBT_S
    audio_s: float = _DOUBT_S
    heard_s: float = 0.0
    s_per_char: float = _S_PER_CHAR
    at_once: dict[int, float] = field(default_factory=dict)  # by how many: times one alone


class Costs:
    """A running model of every voice that was heard of."""

    def __init__(self) -> None:
        self._voices: dict[str, _Voice] = {}

    def _of(self, voice: str) -> _Voice:
        return self._voices.setdefault(voice, _Voice())

    def turn_s(self, voice: str, place: int, chars: int = 0) -> float:
        """Expected seconds of compute of chunk number `place`, from 0, of a text of `chars`."""
        one = self._of(voice)
        known = one.sized_s.get(_size(chars), one.turn_s)[min(place, PLACES - 1)]
        return _at(one.turn_s, place, _FIRST_S) if known is None else known

    def gives_s(self, voice: str, place: int) -> float:
        """Expected seconds of audio of that chunk."""
        return _at(self._of(voice).gives_s, place, _GIVES_S)

    def rtf(self, voice: str) -> float:
        """Expected seconds of compute per second of audio, beyond the first chunk."""
        one = self._of(voice)
        return one.compute_s / one.audio_s

    def longest_s(self, voice: str) -> float:
        """Expected seconds of compute of the voice's longest chunk."""
        return max((s for s in self._of(voice).turn_s if s is not None), default=_FIRST_S)

    def at_once(self, voice: str, n: int) -> float:
        """What n equal chunks cost that are computed at once, in times of one."""
        known = self._of(voice).at_once
        return min((cost for of, cost in known.items() if of >= n), default=float(n))

    def is_known(self, voice: str) -> bool:
        """Whether enough of the voice was made to promise or refuse anything on its costs."""
        return self._of(voice).heard_s >= _KNOWN_S

    def is_slow(self, voice: str) -> bool:
        """Whether the voice is known to be slower than speech."""
        return self.is_known(voice) and self.rtf(voice) > 1.0

    def length_s(self, voice: str, chars: int) -> float:
        """Expected seconds of audio of so many characters."""
        return chars * self._of(voice).s_per_char

    def begin(self, voice: str, pace: Sequence[tuple[float, float]]) -> None:
        """The chunks of one line cost and gave so much, in s; nothing new of a voice that is known.

        So the first who come to a service that has just been started find it no less wary.
        """
        if self.is_known(voice):
            return
        for place, (cost_s, audio_s) in enumerate(pace):
            self.computed(voice, place, cost_s)
            self.made(voice, place, cost_s, audio_s)

    def together(self, voice: str, costs: Mapping[int, float]) -> None:
        """So many equal chunks at once were measured to cost so much, in times of one."""
        self._of(voice).at_once = dict(costs)

    def shared(self, voice: str, n: int, cost: float) -> None:
        """n equal chunks at once cost so many times one, with all that was done for each."""
        known = self._of(voice).at_once
        known[n] = cost if n not in known else known[n] + _LEARN * (cost - known[n])

    def computed(self, voice: str, place: int, cost_s: float, chars: int = 0) -> None:
        """Chunk number `place` of a text of `chars` took `cost_s`."""
        one = self._of(voice)
        _learn(one.turn_s, place, cost_s)
        if chars:
            _learn(one.sized_s.setdefault(_size(chars), [None] * PLACES), place, cost_s)

    def made(self, voice: str, place: int, cost_s: float, audio_s: float) -> None:
        """Chunk number `place` gave `audio_s` of audio for `cost_s`."""
        one = self._of(voice)
        _learn(one.gives_s, place, audio_s)
        if place > 0:
            one.heard_s += audio_s
            keep = max(0.0, 1.0 - audio_s / _MEMORY_S)
            one.compute_s = keep * one.compute_s + cost_s
            one.audio_s = keep * one.audio_s + audio_s

    def said(self, voice: str, chars: int, audio_s: float) -> None:
        """A text of so many characters was `audio_s` long."""
        if chars and audio_s:
            one = self._of(voice)
            one.s_per_char += _LEARN * (audio_s / chars - one.s_per_char)


def late_s(free_s: list[float], needs: Iterable[tuple[float, float]]) -> list[float]:
    """By how much chunks come late, those that do, each made by the worker that is free first."""
    heapify(free_s)
    late_s: list[float] = []
    for needed_s, cost_s in needs:
        done_s = free_s[0] + cost_s
        heapreplace(free_s, done_s)
        if done_s > needed_s:
            late_s.append(done_s - needed_s)
    return late_s


def _size(chars: int) -> int:
    """Which texts are about as long: up to 100 characters, 200, and so on; none says nothing."""
    return min(-(-chars // _SIZE_CHARS), _SIZES)


def _at(known: list[float | None], place: int, guess: float) -> float:
    """What is known of a place, or of the last before it."""
    before = reversed(known[: min(place, PLACES - 1) + 1])
    return next((value for value in before if value is not None), guess)


def _learn(known: list[float | None], place: int, value: float) -> None:
    at = min(place, PLACES - 1)
    before = known[at]
    known[at] = value if before is None else before + _LEARN * (value - before)
