"""Whose chunk is computed next: the earliest playback deadline first (Liu and Layland 1973).

A stream's deadline is when its listener runs dry: from its first audio on, plus the seconds that
the listener took. A stream without audio goes before all who hear something, unless one of them
would run dry for it: the next moments are played out with its chunk and without it, each chunk to
the worker that is free first (Graham 1969). It waits for them no longer than `PATIENCE_S`, or
`HURRY_S` where all of them together need more than there is, unless they used less: who was let in
is to hear all of it, so fairness between keys decides who is let in and who of those that hear
nothing comes first, and makes nobody run dry before that. Of those who hear nothing, whoever has
heard nothing for longest goes first.

A first chunk is short, so that it is heard soon, and the worker that made it has another stream's
turn before the listener asks for the next: where there are more streams than workers the first turn
goes on until what it has made is as long as the listener may have to wait (`more`).

What has `AHEAD_S` in hand, all batch, and listeners to a voice that is slower than speech share
what is left by use.

A turn may be shared (`along`): streams that want the same kind of cell of the same voice, and are
next anyhow, have theirs computed at once with the first one's, where no more chunks come late for
it than otherwise.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice, takewhile

from voicesvc.schedule.costs import Costs, late_s
from voicesvc.schedule.tickets import Asked, Kind, Ticket, Turn

AHEAD_S = 2.0  # of audio in the listener's hands: nothing is urgent then
PATIENCE_S = 2.0  # after which who has no audio waits only for who used less
HURRY_S = 0.15  # the same where listeners need more than there is, and run dry however it is done
HORIZON_S = 0.5  # how far the needs of those who listen are foreseen
SHARED_S = 0.05  # that a shared turn may last, or as long as the voice's longest chunk
HELD = 2  # chunks after the first that are made in the first turn, at most
SLACK_S = 0.05  # by which a chunk is to be there before its listener runs dry: costs are averages
RETURN_S = 0.01  # in which a listener who keeps up has taken a chunk and asks for the next
_JUST_NOW_S = 0.1  # after which nobody expects that it does
_NOTHING_S = 1e-9
_LEAST_S = 0.05  # of audio that a chunk is taken to give
BATCH_WEIGHT = 4.0  # beside listeners who are well ahead batch gets a quarter of the time


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
        self._crowded = False
        self.awaits = False  # whether `take` gave nobody the turn, for who is about to ask

    def add(self, asked: Asked, now_s: float) -> Ticket:
        """A stream comes."""
        ticket = Ticket(asked, now_s)
        self.tickets[ticket] = None
        account = asked.account
        self._used_s[account] = self.used_s(account)
        self._members[account] = self._members.get(account, 0) + 1
        self._count()
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
        """The stream whose turn begins now, or None where none wants one.

        Or where one that was just made a chunk would run dry for it: to be asked again once that
        one wants its next, or after `RETURN_S`.
        """
        waiting = self._waiting()
        chosen = next((t for t in waiting if t.closing), None)
        chosen = chosen or self._due(waiting, now_s) or self._spare(waiting, now_s)
        self.awaits = chosen is not None and self._awaits(chosen, now_s)
        if chosen is None or self.awaits:
            return None
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
            keeps_up = self._keeps_up()
            found = sorted(silent, key=lambda t: self._silent_order(t, keeps_up))
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
            late.append(dry + len(late_s([*free_s, done_s], needs)))
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
        if ticket.held and ticket.turns == 1:
            self._held(ticket, 0.0 if failed else cost_s)
        elif not ticket.closing and not failed:
            ticket.cost_s += cost_s
            if turn.members == 1:
                self.costs.computed(voice, ticket.turns - 1, cost_s, ticket.asked.chars)
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
        if not ticket.held or ticket.audio_s:
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
        self._count()
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

    def more(self, ticket: Ticket, audio_s: float) -> bool:
        """Whether what its first turn has made, `audio_s`, is to be heard with one more chunk only.

        To be asked in its first turn, which then makes that chunk.
        """
        if ticket.turns != 1 or not self._is_short(ticket, audio_s, 1 + ticket.held):
            return False
        ticket.held += 1
        return True

    def _is_short(self, ticket: Ticket, audio_s: float, place: int) -> bool:
        """Whether a listener who has so much may run dry before chunk number `place` is made."""
        voice, costs = ticket.asked.voice, self.costs
        if not self._crowded or place > HELD or not ticket.is_listened_to or costs.is_slow(voice):
            return False
        cost_s = costs.turn_s(voice, place, ticket.asked.chars)
        return audio_s < costs.longest_s(voice) + cost_s + SLACK_S

    def _held(self, ticket: Ticket, cost_s: float) -> None:
        """A first turn that made several chunks is over: each has its part of what it cost."""
        voice, chars = ticket.asked.voice, ticket.asked.chars
        expected_s = [self.costs.turn_s(voice, n, chars) for n in range(1 + ticket.held)]
        for place, part_s in enumerate(expected_s if cost_s else ()):
            self.costs.computed(voice, place, cost_s * part_s / sum(expected_s), chars)
        ticket.turns += ticket.held

    def is_pressed(self, now_s: float) -> bool:
        """Whether a chunk is made that somebody waits for, or was just now: one may follow."""
        waited_for = (t for t in self.tickets if t.asked.kind is not Kind.BATCH)
        return any(not t.is_paused or t.was_served(now_s, _JUST_NOW_S) for t in waited_for)

    def _due(self, waiting: Iterable[Ticket], now_s: float) -> Ticket | None:
        due = [t for t in waiting if not self.is_spare(t, now_s)]
        silent = [t for t in due if t.dry_s is None or t.dry_s < now_s]
        heard = [t for t in due if t.dry_s is not None and t.dry_s >= now_s]
        if not silent:
            return min(heard, default=None, key=_silent_s)
        keeps_up = self._keeps_up()
        first = min(silent, key=lambda t: self._silent_order(t, keeps_up))
        patience_s = PATIENCE_S if keeps_up else HURRY_S
        waited = first.dry_s is not None or now_s - first.came_s >= patience_s

        def is_before(ticket: Ticket) -> bool:
            used, own = self.order(ticket), self.order(first)
            return not waited or used < own

        soonest = min(filter(is_before, heard), default=None, key=_silent_s)
        if soonest is None:
            return first
        needs = (n for t in filter(is_before, self.tickets) for n in self._needs(t, now_s))
        return soonest if self._would_dry(needs, first, now_s) else first

    def _silent_order(self, ticket: Ticket, keeps_up: bool) -> tuple[Kind, bool, float, float]:
        kind, used_s = self.order(ticket)
        return kind, keeps_up and ticket.dry_s is None, used_s, _silent_s(ticket)

    def _count(self) -> None:
        """Whether a stream may find all workers at others' turns, which they have in time."""
        self._crowded = len(self.tickets) > self.workers and self._keeps_up()

    def _keeps_up(self) -> bool:
        """Whether all who listen can be served as they hear."""
        voices = (t.asked.voice for t in self.tickets if t.is_listened_to)
        needed = sum(self.costs.rtf(v) for v in voices if not self.costs.is_slow(v))
        return needed <= self.workers

    def _awaits(self, chosen: Ticket, now_s: float) -> bool:
        """Whether a free worker is kept for who took a chunk and is about to ask again."""
        if chosen.closing:
            return False
        returning = [
            t
            for t in self.tickets
            if t is not chosen and t.was_served(now_s, RETURN_S) and not self.is_spare(t, now_s)
        ]
        needs = (n for t in returning for n in islice(self._needs(t, now_s), 1))
        return bool(returning) and self._would_dry(needs, chosen, now_s)

    def _spare(self, waiting: Iterable[Ticket], now_s: float) -> Ticket | None:
        spare = (t for t in waiting if self.is_spare(t, now_s))
        return min(spare, default=None, key=self._spare_order)

    def _spare_order(self, ticket: Ticket) -> tuple[float, int, float]:
        assert ticket.asked_s is not None, "it waits"
        kind, used_s = self.order(ticket)
        return used_s, kind, ticket.asked_s

    def _would_dry(
        self, unsorted: Iterable[tuple[float, float]], silent: Ticket, now_s: float
    ) -> bool:
        """Whether who needs these runs dry, or for longer, if the turn of `silent` begins now."""
        free_s = [max(now_s, t.began_s + t.lasts_s) for t in self.running()]
        free_s += [now_s] * (self.workers - 1 - len(free_s))
        needs = sorted(unsorted)
        with_it = late_s([*free_s, now_s + self.turn_s(silent)], needs)
        return sum(with_it) > sum(late_s([*free_s, now_s], needs)) + _NOTHING_S

    def _needs(
        self, ticket: Ticket, now_s: float, *, has_turn: bool = False
    ) -> Iterator[tuple[float, float]]:
        """When the next chunks of a listener are needed who is not dry yet, and what they cost.

        With `has_turn` those after the one that it gets now.
        """
        voice, place, dry_s = ticket.asked.voice, ticket.turns, ticket.dry_s
        if ticket.is_paused and ticket.idle_s is not None:  # what was made last is on its way
            if dry_s is None:
                dry_s = ticket.idle_s + sum(self.costs.gives_s(voice, n) for n in range(place))
            else:
                dry_s = max(dry_s, ticket.idle_s) + self.costs.gives_s(voice, place - 1)
        if dry_s is None or dry_s < now_s or not ticket.is_listened_to or self.costs.is_slow(voice):
            return
        if ticket.running_s is not None:
            dry_s += self.costs.gives_s(voice, place - 1)
        elif has_turn:
            dry_s, place = dry_s + self.costs.gives_s(voice, place), place + 1
        while dry_s < now_s + HORIZON_S:
            yield dry_s - SLACK_S, self.costs.turn_s(voice, place, ticket.asked.chars)
            dry_s += max(_LEAST_S, self.costs.gives_s(voice, place))
            place += 1

    def turn_s(self, ticket: Ticket) -> float:
        """What its next turn is expected to take."""
        voice, chars, costs = ticket.asked.voice, ticket.asked.chars, self.costs
        cost_s = costs.turn_s(voice, ticket.turns, chars)
        if ticket.turns == 0:
            audio_s, place = costs.gives_s(voice, 0), 1
            while self._is_short(ticket, audio_s, place):
                cost_s += costs.turn_s(voice, place, chars)
                audio_s, place = audio_s + costs.gives_s(voice, place), place + 1
        return cost_s

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
