"""A device and its listeners, in simulated time: what `Schedule` decides, event by event."""

import heapq
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from voicesvc.schedule import (
    RETURN_S,
    Admission,
    Asked,
    Costs,
    Kind,
    Limits,
    Refusal,
    Schedule,
    Ticket,
)

JOE = ((0.060, 0.07), (0.022, 0.19), (0.040, 0.74), (0.065, 1.49))  # compute, audio, in s
JOE_LATER = (0.110, 2.97)
ROUND_S = 0.003  # from when a chunk is made until its listener asks for the next: a worker is free
CHARS_PER_S = 15.4


def chunks_of(audio_s: float, slower: float = 1.0) -> tuple[tuple[float, float], ...]:
    """A line of about so many seconds as the demonstration voice makes it on one core."""
    chunks: list[tuple[float, float]] = []
    left_s = audio_s
    while left_s > 0:
        cost_s, length_s = JOE[len(chunks)] if len(chunks) < len(JOE) else JOE_LATER
        chunks.append((cost_s * slower, length_s))
        left_s -= length_s
    return tuple(chunks)


@dataclass
class Stream:
    """One that comes, and what became of it."""

    comes_s: float
    chunks: tuple[tuple[float, float], ...]
    key: str = "ann"
    kind: Kind = Kind.AUDITION
    voice: str = "joe"
    leaves_s: float | None = None
    holds_s: float = 0.0  # how long the listener lets each offer wait
    holds_from: int = 0  # from which chunk on
    refused: Refusal | None = None
    ticket: Ticket | None = None
    made: int = 0
    gone: bool = False
    first_s: float | None = None
    ended_s: float | None = None
    dry_s: list[float] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)

    @property
    def cell(self) -> Hashable:
        """What its next chunk can be computed at once with: neither a first nor a last one can."""
        if not 0 < self.made < len(self.chunks) - 1:
            return None
        return self.voice, self.chunks[self.made]

    @property
    def asked(self) -> Asked:
        """As the service is asked."""
        chars = round(sum(a for _, a in self.chunks) * CHARS_PER_S)
        return Asked(self.key, self.kind, self.voice, chars)


class Device:
    """`workers` that compute one chunk at a time each, or several equal ones at once.

    `at_once` is what so many cost, in times of one; without it there is nothing like it.
    """

    def __init__(
        self,
        workers: int,
        limits: Limits | None = None,
        at_once: Mapping[int, float] | None = None,
    ) -> None:
        self.at_once = at_once or {1: 1.0}
        self.shared: list[int] = []  # how many had each turn together
        self.schedule = Schedule(workers, Costs())
        self.admission = Admission(self.schedule, limits) if limits else None
        self.now_s = 0.0
        self.busy = 0
        self.busy_s = 0.0
        self.before_turn: Callable[[Device, Stream], None] = lambda *_: None
        self.after: Callable[[Device], None] = lambda _: None  # each event
        self._streams: dict[Ticket, Stream] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._n = count()

    def used_s(self, **asked: object) -> float:
        """Seconds of compute that went to the streams of a key or kind so far."""
        of = [s for s in self._streams.values() if asked.items() <= vars(s).items()]
        return sum(c for s in of for c, _ in s.chunks[: s.made])

    def at(self, when_s: float, happens: Callable[[], None]) -> None:
        """It will happen then."""
        heapq.heappush(self._events, (when_s, next(self._n), happens))

    def run(self, streams: Iterable[Stream], until_s: float = float("inf")) -> None:
        """Until nothing is left to happen, or the time is over."""
        for stream in streams:
            self.comes(stream)
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, happens = heapq.heappop(self._events)
            happens()
            if self._events and self._events[0][0] == self.now_s:
                continue
            while self._begins():
                pass
            self.after(self)

    def comes(self, stream: Stream) -> None:
        """It will come, and leave, when it says."""
        self.at(stream.comes_s, partial(self._comes, stream))
        if stream.leaves_s is not None:
            self.at(stream.leaves_s, partial(self._leaves, stream))

    def waiting(self) -> list[Ticket]:
        """Those who want a turn and have none."""
        return [t for t in self.schedule.tickets if t.asked_s is not None and t.running_s is None]

    def _comes(self, stream: Stream) -> None:
        if stream.gone:
            return
        if self.admission is not None:
            entered = self.admission.enter(stream.asked, self.now_s)
            if isinstance(entered, Refusal):
                stream.refused = entered
                return
            stream.ticket = entered
        else:
            stream.ticket = self.schedule.add(stream.asked, self.now_s)
        self.schedule.costs.together(stream.voice, self.at_once)
        self._streams[stream.ticket] = stream
        self._asks(stream, stream.ticket)

    def _asks(self, stream: Stream, ticket: Ticket) -> None:
        cell = stream.cell if len(self.at_once) > 1 else None
        self.schedule.ask(ticket, self.now_s, cell=cell, at_once=max(self.at_once))

    def _leaves(self, stream: Stream) -> None:
        stream.gone = True
        ticket = stream.ticket
        if ticket is None or ticket not in self.schedule.tickets:
            return
        self.schedule.withdraw(ticket)
        if ticket.running_s is None:
            self.schedule.end(ticket)

    def _begins(self) -> bool:
        if self.busy == self.schedule.workers:
            return False
        asking = {t: t.asked_s for t in self.schedule.tickets}
        ticket = self.schedule.take(self.now_s)
        if ticket is None:
            if self.schedule.awaits:
                self.at(self.now_s + RETURN_S, lambda: None)
            return False
        tickets = [ticket, *self.schedule.along(ticket, self.now_s)]
        turn = {t: self._streams[t] for t in tickets}
        for member, stream in turn.items():
            asked_s = asking[member]
            assert asked_s is not None
            stream.waits_s.append(self.now_s - asked_s)
            self.before_turn(self, stream)
        self.busy += 1
        self.shared.append(len(turn))
        stream = turn[ticket]
        assert len({s.cell for s in turn.values()}) == 1
        cost_s = stream.chunks[stream.made][0]
        cost_s *= min(cost for n, cost in self.at_once.items() if n >= len(turn))
        self.busy_s += cost_s
        self.at(self.now_s + cost_s, lambda: self._made(turn, cost_s / len(turn)))
        return True

    def _made(self, turn: Mapping[Ticket, Stream], cost_s: float) -> None:
        for ticket, stream in turn.items():
            left = stream.chunks[stream.made + 1 :]
            made_s = sum(audio_s for _, audio_s in stream.chunks[: stream.made + 1])
            if left and self.schedule.more(ticket, made_s):
                assert len(turn) == 1, "nobody shares a first chunk"
                stream.made += 1
                more_s = left[0][0]
                self.busy_s += more_s
                self.at(self.now_s + more_s, partial(self._made, turn, cost_s + more_s))
                return
        self.busy -= 1
        for ticket, stream in turn.items():
            self.schedule.done(ticket, self.now_s, cost_s=cost_s)
            if stream.gone:
                self.schedule.end(ticket)
                continue
            stream.made += 1
            holds_s = stream.holds_s if stream.made > stream.holds_from else 0.0
            taken = partial(self._taken, stream, ticket, self.now_s)
            self.at(self.now_s + max(ROUND_S, holds_s), taken)

    def _taken(self, stream: Stream, ticket: Ticket, offered_s: float) -> None:
        if stream.gone:
            return
        audio_s = sum(a for _, a in stream.chunks[: stream.made])
        dry_for_s = self.schedule.took(ticket, audio_s, offered_s, self.now_s)
        if stream.first_s is None:
            stream.first_s = self.now_s - stream.comes_s
        elif dry_for_s > 0:
            stream.dry_s.append(dry_for_s)
        if stream.made == len(stream.chunks):
            stream.ended_s = self.now_s
            self.schedule.end(ticket, whole=True)
        else:
            self._asks(stream, ticket)
