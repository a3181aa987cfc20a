"""Whether there is time for one more stream: said before any work is done for it.

Two things are foreseen from the costs that were learned: how long it would wait for its first turn,
and whether all listeners would still be served as fast as they hear. A refusal says when to ask
again. Nobody is refused who would be alone, nobody for the cost of a voice that was not measured
yet, and nobody for how long its own voice takes.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from voicesvc.schedule.tickets import Asked, Kind, Ticket
from voicesvc.schedule.turns import AHEAD_S, Schedule

Reason = Literal["first-audio", "load", "share", "queue", "streams"]
LONGEST_RETRY_S = 300
_STOPPED = 4.0  # times what it got last: who takes nothing for so long needs nothing
_SHORTEST_S = 1.0  # of audio that a line is taken to have
_PATIENCE = 4.0  # times its own first turn that a stream may wait at any rate


@dataclass(frozen=True, slots=True)
class Limits:
    """What is promised to whom is let in."""

    first_audio_s: float = 2.0  # that the newest stream is foreseen to wait for its turn, at most
    load: float = 0.6  # of the workers' time that listeners may need; the rest keeps them ahead
    waiting: int = 100  # streams that have no audio yet
    streams: int = 1000  # in all


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not, and after how many seconds it would be otherwise."""

    reason: Reason
    retry_after_s: int


class Admission:
    """Who is let in to a schedule. Not for several threads at once."""

    def __init__(self, schedule: Schedule, limits: Limits) -> None:
        self.schedule, self.limits = schedule, limits
        self._wanting_until_s: dict[str, float] = {}  # keys that were refused a short while ago

    def enter(self, asked: Asked, now_s: float) -> Ticket | Refusal:
        """Its ticket, if there is time for it."""
        refused = self._refusal(asked, now_s)
        if refused is not None:
            # As long again as it is told to stay away: whoever comes back on time finds its room.
            self._wanting_until_s[asked.key] = now_s + 2.0 * refused.retry_after_s
            return refused
        self._wanting_until_s.pop(asked.key, None)
        return self.schedule.add(asked, now_s)

    def wait_s(self, asked: Asked, now_s: float) -> float:
        """Seconds from now until a stream that came now would have its first turn."""
        workers = self.schedule.workers
        known = [t for t in self.schedule.tickets if self.schedule.costs.is_known(t.asked.voice)]
        order = (asked.kind, self.schedule.used_s(asked.account))
        before = [t for t in known if _is_fresh(t) and self.schedule.order(t) <= order]
        turns = {t.turn: None for t in known if t.turn is not None}
        left_s = [max(0.0, turn.began_s + turn.lasts_s - now_s) for turn in turns]
        if not before and len(left_s) < workers:
            return 0.0
        return (sum(left_s) + sum(map(self.schedule.turn_s, before))) / workers

    def demand(self, ticket: Ticket, now_s: float) -> float:
        """How much of a worker a stream needs so that its listener does not run dry.

        A listener who lets a chunk wait for longer than it lasts needs less by as much, and nothing
        once it is `_STOPPED` times as long. Nor is anything kept for a voice that is slower than
        speech, or not known yet.
        """
        if not ticket.is_listened_to:
            return 0.0
        rtf = self._rtf(ticket.asked)
        if not ticket.is_paused:
            return rtf
        lasts_s = self.schedule.costs.gives_s(ticket.asked.voice, ticket.turns - 1)
        waits = (now_s - (ticket.idle_s or now_s)) / max(lasts_s, AHEAD_S)
        return 0.0 if waits > _STOPPED else rtf / max(1.0, waits)

    def _rtf(self, asked: Asked) -> float:
        """Seconds of compute per second of its audio, its first chunk counted in."""
        costs, voice = self.schedule.costs, asked.voice
        if not costs.is_known(voice) or costs.is_slow(voice):
            return 0.0
        length_s = max(_SHORTEST_S, costs.length_s(voice, asked.chars))
        return costs.rtf(voice) + costs.turn_s(voice, 0, asked.chars) / length_s

    def _refusal(self, asked: Asked, now_s: float) -> Refusal | None:
        tickets, limits = self.schedule.tickets, self.limits
        fresh = sum(map(_is_fresh, tickets))
        if len(tickets) >= limits.streams:
            return Refusal("streams", _whole(min(self._ends_s(tickets))))
        if fresh >= limits.waiting:
            return Refusal("queue", _whole(self.wait_s(asked, now_s) / fresh))
        alone = not any(t.is_listened_to for t in tickets)
        if alone or asked.kind is Kind.BATCH or not asked.speaks:
            return None
        over = self._overload(asked, now_s)
        late_s = self.wait_s(asked, now_s) - self._patience_s(asked)
        if late_s <= 0:
            return over
        return Refusal("first-audio", max(_whole(late_s), over.retry_after_s if over else 1))

    def _patience_s(self, asked: Asked) -> float:
        """How long it may wait for its first turn: longer where that takes long anyhow."""
        own_s = self.schedule.costs.turn_s(asked.voice, 0, asked.chars)
        return max(self.limits.first_audio_s, _PATIENCE * own_s)

    def _overload(self, asked: Asked, now_s: float) -> Refusal | None:
        """All listeners together need too much, or this key does beside what others wait for."""
        needs = {t: self.demand(t, now_s) for t in self.schedule.tickets}
        needs = {t: need for t, need in needs.items() if need > 0}
        if len(needs) < self.schedule.workers or not self.schedule.costs.is_known(asked.voice):
            return None  # each has a worker of its own, or nothing is known
        rtf, limit = self._rtf(asked), self.limits.load * self.schedule.workers
        over = sum(needs.values()) + rtf - limit
        owed = self._owed(asked, needs, now_s)
        if over + owed <= 0:
            return None
        ends = sorted(zip(self._ends_s(needs), needs.values(), strict=True))
        freed = accumulate(need for _, need in ends)
        enough_s = (
            end_s for (end_s, _), sum_ in zip(ends, freed, strict=True) if sum_ >= over + owed
        )
        return Refusal("load" if over > 0 else "share", _whole(next(enough_s, ends[-1][0])))

    def _owed(self, asked: Asked, needs: Mapping[Ticket, float], now_s: float) -> float:
        """What is kept for keys that were refused and have less than their share."""
        waiting = {k: s for k, s in self._wanting_until_s.items() if s > now_s}
        self._wanting_until_s = waiting
        by_key = dict.fromkeys([asked.key, *waiting], 0.0)
        for ticket, need in needs.items():
            by_key[ticket.asked.key] = by_key.get(ticket.asked.key, 0.0) + need
        rtf = self._rtf(asked)
        share = self.limits.load * self.schedule.workers / len(by_key)
        if by_key[asked.key] + rtf <= share:
            return 0.0
        return rtf * sum(by_key[k] + rtf <= share for k in waiting if k != asked.key)

    def _ends_s(self, tickets: Iterable[Ticket]) -> list[float]:
        """For each, in how many seconds it is expected to end.

        All get equal parts of the workers; who holds its listener's pace ends when all is heard.
        """
        costs = self.schedule.costs
        left: list[tuple[float, int, float]] = []  # seconds of compute, place, of audio if paused
        for place, ticket in enumerate(tickets):
            asked = ticket.asked
            audio_s = max(0.0, costs.length_s(asked.voice, asked.chars) - ticket.audio_s)
            work_s = audio_s * costs.rtf(asked.voice)
            left.append((work_s, place, audio_s if ticket.is_paused else 0.0))
        ends_s = [0.0] * len(left)
        done_s = before_s = 0.0
        for n, (work_s, place, heard_s) in enumerate(sorted(left)):
            done_s += (work_s - before_s) * (len(left) - n)
            before_s = work_s
            ends_s[place] = max(heard_s, done_s / self.schedule.workers)
        return ends_s


def _is_fresh(ticket: Ticket) -> bool:
    return ticket.turns == 0


def _whole(seconds: float) -> int:
    return min(LONGEST_RETRY_S, max(1, math.ceil(seconds)))
