"""Whose chunk is computed next: the earliest playback deadline first (Liu and Layland 1973).

A stream's deadline is when its listener runs dry: from its first audio on, plus the seconds that
the listener took. A stream without audio goes before all who hear something, unless one of them
would run dry for it: the next moments are played out with its chunk and without it, each chunk to
the worker that is free first (Graham 1969). It waits for them no longer than `PATIENCE_S`, or
`HURRY_S` where all of them together need more than there is, unless they used less: who was let in
is to hear all of it, so fairness between keys decides who is let in and who of those that hear
nothing comes first, and makes nobody run dry before that. Of those who hear nothing, whoever has
heard nothing for longest goes first.

What has `AHEAD_S` in hand, all batch, and listeners to a voice that is slower than speech share
what is left by use.

A turn may be shared (`along`): streams that want the same kind of cell of the same voice, and are
next anyhow, have theirs computed at once with the first one's, where no more chunks come late for
it than otherwise.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from heapq import heapify, heapreplace
from itertools import takewhile

from voicesvc.schedule.costs import Costs

AHEAD_S = 2.0  # of audio in the listener's hands: nothing is urgent then
PATIENCE_S = 1.0  # after which who has no audio waits only for who used less
HURRY_S = 0.15  # the same where listeners need more than there is, and run dry however it is done
HORIZON_S = 0.5  # how far the needs of those who listen are foreseen
SHARED_S = 0.05  # that a shared turn may last, or as long as the voice's longest chunk
_JUST_NOW_S = 0.1  # in which a listener who keeps up has taken a chunk and asks for the next
_LEAST_S = 0.05  # of audio that a chunk is taken to give
BATCH_WEIGHT = 4.0  # beside listeners who are well ahead batch gets a quarter of the time


class Kind(IntEnum):
    """Who waits; the lower comes first."""

    LIVE = 0  # somebody speaks with it
    AUDITION = 1  # somebody listens
    BATCH = 2  # nobody does yet


@dataclass(frozen=True, slots=True)
class Asked:
    """One stream of chunks, as it is asked for."""

    key: str  # whose it is: time is shared between keys
    kind: Kind
    voice: str
    chars: int = 0  # of its text
    speaks: bool = True  # False: a document or a stored file, with no deadline after its first part

    @property
    def account(self) -> tuple[str, bool]:
        """What its time is charged to: batch does not use up what its key may listen to."""
        return self.key, self.kind is Kind.BATCH


@dataclass(eq=False, slots=True)
class Turn:
    """What a worker computes now: a chunk, or one of each of several streams."""

    began_s: float
    alone_s: float  # that it is expected to take with one stream
    lasts_s: float  # that it is expected to take
    members: int = 1
    left: int = 1  # of them that are not done
    cost_s: float = 0.0  # of those that are done


@dataclass(eq=False, slots=True)
class Ticket:
    """A stream from when it is let in until it ends. Only `Schedule` writes it."""

    asked: Asked
    came_s: float
    turns: int = 0  # begun
    audio_s: float = 0.0  # taken by the listener
    cost_s: float = 0.0  # of the turns since audio was taken last
    began_s: float | None = None  # when the listener got the first audio
    dry_s: float | None = None  # when the listener has heard all that was taken
    asked_s: float | None = None  # wants a turn since
    running_s: float | None = None  # has a turn since
    turn: Turn | None = None  # that it has
    idle_s: float | None = None  # had its last turn until
    closing: bool = False  # what it wants is its end
    cell: Hashable = None  # what kind it wants, if that can be computed at once with others
    at_once: int = 1  # of such cells, at most

    @property
    def is_paused(self) -> bool:
        """Whether its listener has yet to take what was offered."""
        return self.turns > 0 and self.asked_s is None and self.running_s is None

    @property
    def is_listened_to(self) -> bool:
        """Whether somebody plays it while it is made."""
        return self.asked.speaks and self.asked.kind is not Kind.BATCH


class Schedule:
    """Which of the streams that want a turn gets it. Not for several threads at once.

    Args:
        workers: turns that run side by side.
        costs: what turns are expected to take; learns from those that are done.
    """

    def __init__(self, workers: int, costs: Costs) -> None:
        self.workers, self.costs = workers, costs
        self.tickets: dict[Ticket, None] = {}  # in the order they came
        self._used_s: dict[tuple[str, bool], float] = {}
        self._members: dict[tuple[str, bool], int] = {}

    def add(self, asked: Asked, now_s: float) -> Ticket:
        """A stream comes."""
        ticket = Ticket(asked, now_s)
        self.tickets[ticket] = None
        account = asked.account
        self._used_s[account] = self.used_s(account)
        self._members[account] = self._members.get(account, 0) + 1
        return ticket

    def ask(
        self,
        ticket: Ticket,
        now_s: float,
        *,
        closing: bool = False,
        cell: Hashable = None,
        at_once: int = 1,
    ) -> None:
        """It wants a turn; `closing` is its last and short. Up to `at_once` of a `cell` are one."""
        ticket.asked_s, ticket.closing = now_s, closing
        ticket.cell, ticket.at_once = cell, at_once

    def withdraw(self, ticket: Ticket) -> None:
        """It no longer wants one."""
        ticket.asked_s = None

    def take(self, now_s: float) -> Ticket | None:
        """The stream whose turn begins now, or None where none wants one."""
        waiting = self._waiting()
        chosen = next((t for t in waiting if t.closing), None)
        chosen = chosen or self._due(waiting, now_s) or self._spare(waiting, now_s)
        if chosen is not None:
            lasts_s = self.turn_s(chosen)
            self._begin(chosen, Turn(now_s, lasts_s, lasts_s))
        return chosen

    def along(self, first: Ticket, now_s: float) -> list[Ticket]:
        """Who has a turn together with `first`, whose turn begins now."""
        if first.turn is None or first.cell is None or first.closing:
            return []
        turn, costs, voice = first.turn, self.costs, first.asked.voice
        others = self._next_to(first, now_s)[: first.at_once - 1]
        longest_s = max(SHARED_S, costs.longest_s(voice))
        while others:
            lasts_s = turn.alone_s * costs.at_once(voice, 1 + len(others))
            if lasts_s <= longest_s and not self._worse(first, others, lasts_s, now_s):
                turn.lasts_s, turn.members, turn.left = lasts_s, 1 + len(others), 1 + len(others)
                for ticket in others:
                    self._begin(ticket, turn)
                return others
            others = others[: (1 + len(others)) // 2 - 1]  # as many rows as pay best are even
        return []

    def _waiting(self) -> list[Ticket]:
        return [t for t in self.tickets if t.asked_s is not None and t.running_s is None]

    @staticmethod
    def _begin(ticket: Ticket, turn: Turn) -> None:
        ticket.asked_s, ticket.running_s, ticket.turn = None, turn.began_s, turn
        ticket.turns += 1

    def _next_to(self, first: Ticket, now_s: float) -> list[Ticket]:
        """Who wants such a cell and comes next: nobody who could wait before all who cannot."""
        waiting = self._waiting()
        if any(t.closing for t in waiting):
            return []
        due = [t for t in waiting if not self.is_spare(t, now_s)]
        silent = [t for t in due if t.dry_s is None or t.dry_s < now_s]
        if first.dry_s is not None and first.dry_s < now_s and not self.is_spare(first, now_s):
            found = sorted(silent, key=lambda t: (*self.order(t), _silent_s(t)))
            return list(takewhile(lambda t: t.cell == first.cell, found))
        if silent:
            return []
        found = [t for t in sorted(due, key=_silent_s) if t.cell == first.cell]
        if len(found) == len(due):
            spare = sorted((t for t in waiting if t not in due), key=self._spare_order)
            found += [t for t in spare if t.cell == first.cell]
        return found

    def _worse(self, first: Ticket, others: Sequence[Ticket], lasts_s: float, now_s: float) -> bool:
        """Whether more chunks come late if the turn of `first` is shared with others."""
        assert first.turn is not None, "it has one"
        free_s = [max(now_s, t.began_s + t.lasts_s) for t in self.running() if t is not first.turn]
        free_s += [now_s] * (self.workers - 1 - len(free_s))
        late: list[int] = []
        for members, done_s in (
            ([first], now_s + first.turn.alone_s),
            ([first, *others], now_s + lasts_s),
        ):
            needs = sorted(
                need for t in self.tickets for need in self._needs(t, now_s, has_turn=t in members)
            )
            dry = sum(t.dry_s is not None and now_s <= t.dry_s < done_s for t in members)
            late.append(dry + _missed([*free_s, done_s], needs))
        return late[1] > late[0]

    def running(self) -> Iterable[Turn]:
        """The turns that workers are at."""
        return {t.turn: None for t in self.tickets if t.turn is not None}

    def skipped(self, ticket: Ticket) -> None:
        """There was nothing left to do in its turn."""
        if ticket.turn is not None:
            ticket.turn.left -= 1
            ticket.turn.members -= 1
        ticket.running_s = ticket.turn = None
        ticket.turns -= 1

    def done(
        self,
        ticket: Ticket,
        now_s: float,
        *,
        failed: bool = False,
        cost_s: float | None = None,
    ) -> None:
        """Its turn is over; what `failed` says nothing about costs.

        `cost_s` is its part of a turn that it shared.
        """
        assert ticket.running_s is not None, "it had none"
        assert ticket.turn is not None, "it had none"
        turn, voice = ticket.turn, ticket.asked.voice
        cost_s = now_s - ticket.running_s if cost_s is None else cost_s
        ticket.running_s, ticket.turn, ticket.idle_s = None, None, now_s
        turn.left -= 1
        turn.cost_s += cost_s
        if not ticket.closing and not failed:
            ticket.cost_s += cost_s
            if turn.members == 1:
                self.costs.computed(voice, ticket.turns - 1, cost_s)
            elif not turn.left:
                self.costs.shared(voice, turn.members, turn.cost_s / turn.alone_s)
        if ticket.asked.account in self._used_s:
            weight = BATCH_WEIGHT if ticket.asked.kind is Kind.BATCH else 1.0
            self._used_s[ticket.asked.account] += weight * cost_s

    def took(self, ticket: Ticket, audio_s: float, offered_s: float, now_s: float) -> float:
        """The listener took what was offered at `offered_s`: `audio_s` of audio in all by now.

        Returns for how many seconds the listener had run dry before; one that let the offer wait
        had not.
        """
        more_s = audio_s - ticket.audio_s
        self.costs.made(ticket.asked.voice, ticket.turns - 1, ticket.cost_s, more_s)
        ticket.audio_s, ticket.cost_s = audio_s, 0.0
        if not ticket.asked.speaks or ticket.asked.kind is Kind.BATCH:
            return 0.0
        if ticket.dry_s is None or ticket.began_s is None:
            ticket.began_s, ticket.dry_s = now_s, now_s + audio_s
            return 0.0
        dry_for_s = max(0.0, offered_s - ticket.dry_s)
        ticket.dry_s = max(ticket.dry_s, now_s) + more_s
        return dry_for_s

    def end(self, ticket: Ticket, *, whole: bool = False) -> None:
        """It is over; `whole` if all of it was made."""
        if ticket not in self.tickets:
            return
        del self.tickets[ticket]
        if whole:
            self.costs.said(ticket.asked.voice, ticket.asked.chars, ticket.audio_s)
        self._members[ticket.asked.account] -= 1
        if not self._members[ticket.asked.account]:
            del self._members[ticket.asked.account], self._used_s[ticket.asked.account]

    def is_spare(self, ticket: Ticket, now_s: float) -> bool:
        """Whether it is not urgent, or cannot be served in time anyhow."""
        if not ticket.is_listened_to:
            return ticket.asked.kind is Kind.BATCH or ticket.turns > 0
        if ticket.dry_s is None:
            return False
        return ticket.dry_s - now_s >= AHEAD_S or self.costs.is_slow(ticket.asked.voice)

    def is_pressed(self, now_s: float) -> bool:
        """Whether a chunk is made that somebody waits for, or was just now: one may follow."""
        waited_for = (t for t in self.tickets if t.asked.kind is not Kind.BATCH)
        return any(
            t.idle_s is None or now_s - t.idle_s < _JUST_NOW_S or not t.is_paused
            for t in waited_for
        )

    def _due(self, waiting: Iterable[Ticket], now_s: float) -> Ticket | None:
        due = [t for t in waiting if not self.is_spare(t, now_s)]
        silent = [t for t in due if t.dry_s is None or t.dry_s < now_s]
        heard = [t for t in due if t.dry_s is not None and t.dry_s >= now_s]
        if not silent:
            return min(heard, default=None, key=_silent_s)
        first = min(silent, key=lambda t: (*self.order(t), _silent_s(t)))
        patience_s = PATIENCE_S if self._keeps_up() else HURRY_S
        waited = first.dry_s is not None or now_s - first.came_s >= patience_s

        def is_before(ticket: Ticket) -> bool:
            used, own = self.order(ticket), self.order(first)
            return not waited or used < own

        soonest = min(filter(is_before, heard), default=None, key=_silent_s)
        if soonest is None or not self._would_dry(filter(is_before, self.tickets), first, now_s):
            return first
        return soonest

    def _keeps_up(self) -> bool:
        """Whether all who listen can be served as they hear."""
        voices = (t.asked.voice for t in self.tickets if t.is_listened_to)
        needed = sum(self.costs.rtf(v) for v in voices if not self.costs.is_slow(v))
        return needed <= self.workers

    def _spare(self, waiting: Iterable[Ticket], now_s: float) -> Ticket | None:
        spare = (t for t in waiting if self.is_spare(t, now_s))
        return min(spare, default=None, key=self._spare_order)

    def _spare_order(self, ticket: Ticket) -> tuple[float, int, float]:
        assert ticket.asked_s is not None, "it waits"
        kind, used_s = self.order(ticket)
        return used_s, kind, ticket.asked_s

    def _would_dry(self, listeners: Iterable[Ticket], silent: Ticket, now_s: float) -> bool:
        """Whether one of them runs dry if the turn of `silent` begins now, but not otherwise."""
        free_s = [max(now_s, t.began_s + t.lasts_s) for t in self.running()]
        free_s += [now_s] * (self.workers - 1 - len(free_s))
        needs = sorted(need for t in listeners for need in self._needs(t, now_s))
        with_it = _missed([*free_s, now_s + self.turn_s(silent)], needs)
        return with_it > _missed([*free_s, now_s], needs)

    def _needs(
        self, ticket: Ticket, now_s: float, *, has_turn: bool = False
    ) -> Iterator[tuple[float, float]]:
        """When the next chunks of a listener are needed who is not dry yet, and what they cost.

        With `has_turn` those after the one that it gets now.
        """
        voice, place, dry_s = ticket.asked.voice, ticket.turns, ticket.dry_s
        if dry_s is None or dry_s < now_s or not ticket.is_listened_to or self.costs.is_slow(voice):
            return
        if ticket.running_s is not None:
            dry_s += self.costs.gives_s(voice, place - 1)
        elif has_turn:
            dry_s, place = dry_s + self.costs.gives_s(voice, place), place + 1
        while dry_s < now_s + HORIZON_S:
            yield dry_s, self.costs.turn_s(voice, place)
            dry_s += max(_LEAST_S, self.costs.gives_s(voice, place))
            place += 1

    def turn_s(self, ticket: Ticket) -> float:
        """What its next turn is expected to take."""
        return self.costs.turn_s(ticket.asked.voice, ticket.turns)

    def used_s(self, account: tuple[str, bool]) -> float:
        """What it has had; who comes late is not owed the time before."""
        if account in self._used_s:
            return self._used_s[account]
        return min(self._used_s.values(), default=0.0)

    def order(self, ticket: Ticket) -> tuple[Kind, float]:
        """Among those who are as urgent: the kind, then who used less."""
        return ticket.asked.kind, self._used_s[ticket.asked.account]


def _silent_s(ticket: Ticket) -> float:
    """From when on its listener hears nothing."""
    return ticket.came_s if ticket.dry_s is None else ticket.dry_s


def _missed(free_s: list[float], needs: Iterable[tuple[float, float]]) -> int:
    """How many chunks come late, each made by the worker that is free first."""
    heapify(free_s)
    late = 0
    for needed_s, cost_s in needs:
        done_s = free_s[0] + cost_s
        heapreplace(free_s, done_s)
        late += done_s > needed_s
    return late
