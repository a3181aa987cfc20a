"""The threads that compute: each takes the chunk whose turn it is, of the streams that were let in.

`schedule` says whose turn it is and who is let in; here are the lock, the clock and the threads.
Knows nothing of takes and HTTP.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeVar

from voicesvc import metrics
from voicesvc.engines import Cell
from voicesvc.errors import Overloaded
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

T = TypeVar("T")
Clock = Callable[[], float]
ENDING = "ending"  # the reason of a refusal by a service that was told to end
_WHY = {
    "first-audio": "the first audio would come too late",
    "load": "those who listen need all the compute there is",
    "share": "what is free is kept for others, who have less than their share",
    "queue": "too many wait for their first audio",
    "streams": "too many streams are open",
    ENDING: "the service is ending",
}


class Turns(Protocol):
    """Where one stream's chunks are made."""

    def submit(self, work: Callable[[], T], cell: Cell | None = None) -> "Future[T]":
        """Have the next chunk made, one at a time; `cell` is what it begins with, if that is known.

        That may be computed at once with other streams' before.
        """
        ...

    def took(self, audio_s: float, offered_s: float) -> None:
        """The listener took what was offered at `offered_s`: `audio_s` of audio in all."""
        ...

    def close(self, work: Callable[[], None], *, whole: bool) -> None:
        """Have the stream closed after the chunk that is being made; `whole` if all was made."""
        ...


@dataclass(slots=True)
class _Asked:
    """What a stream waits for."""

    work: Callable[[], Any]
    future: "Future[Any]"
    cell: Cell | None


class Compute:
    """`workers` threads and who waits for them. Any method may be called from any thread."""

    def __init__(self, workers: int, limits: Limits, clock: Clock = time.perf_counter) -> None:
        self.clock = clock
        self._schedule = Schedule(workers, Costs())
        self._admission = Admission(self._schedule, limits)
        self._work: dict[Ticket, _Asked] = {}
        self._changed = threading.Condition()
        self._over = False
        self._ending_s: float | None = None  # until when, once no one is let in any more
        self._threads = [
            threading.Thread(target=self._run, name=f"compute-{n}", daemon=True)
            for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def enter(self, asked: Asked) -> "Seat":
        """Let a stream in, before any work is done for it.

        Raises:
            Overloaded: there is no time for it now; says when there will be.
        """
        with self._changed:
            now_s = self.clock()
            if self._ending_s is not None:
                self._refuse(ENDING, max(1, round(self._ending_s - now_s)))
            entered = self._admission.enter(asked, now_s)
            if isinstance(entered, Refusal):
                self._refuse(entered.reason, entered.retry_after_s)
            self._count()
        return Seat(self, entered)

    def paced(self, voice: str, pace: Sequence[tuple[float, float]]) -> None:
        """What chunks of a voice cost and give, in s, by one line that nobody waited for."""
        with self._changed:
            self._schedule.costs.begin(voice, pace)

    def batched(self, voice: str, factors: Mapping[int, float]) -> None:
        """What so many equal cells of a voice cost at once, in times of one."""
        with self._changed:
            self._schedule.costs.together(voice, factors)

    @staticmethod
    def _refuse(reason: str, retry_after_s: int) -> NoReturn:
        metrics.NOT_ADMITTED.labels(reason).inc()
        refused = Overloaded(_WHY[reason])
        refused.retry_after_s = retry_after_s
        raise refused

    def _count(self) -> None:
        waiting = Counter(t.asked.kind for t in self._schedule.tickets if t.turns == 0)
        for kind in Kind:
            metrics.QUEUE.labels(kind.name.lower()).set(waiting[kind])

    def end_within(self, seconds: float) -> None:
        """Let nobody in from now on; the process is over in about so many seconds."""
        with self._changed:
            self._ending_s = self.clock() + seconds

    @property
    def ending(self) -> bool:
        """Whether nobody is let in any more."""
        return self._ending_s is not None

    @property
    def open(self) -> int:
        """How many streams have not ended."""
        with self._changed:
            return len(self._schedule.tickets)

    @property
    def pressed(self) -> bool:
        """Whether somebody waits for sound now, or did a moment ago."""
        with self._changed:
            return self._schedule.is_pressed(self.clock())

    def join(self, asked: Asked) -> "Seat":
        """Let a stream in though there may be no time for it: it can wait."""
        with self._changed:
            seat = Seat(self, self._schedule.add(asked, self.clock()))
            self._count()
        return seat

    def submit(
        self,
        ticket: Ticket,
        work: Callable[[], T],
        cell: Cell | None = None,
        *,
        closing: bool = False,
    ) -> "Future[T]":
        """Have a turn of the stream's done by a thread when it is due; see `Turns.submit`."""
        asked = _Asked(work, Future[Any](), cell)
        kind, most = (None, 1) if cell is None else (cell.kind, cell.most)
        with self._changed:
            if self._over:
                raise RuntimeError("the threads have ended")
            dropped = self._work.pop(ticket, None)
            self._work[ticket] = asked
            self._schedule.ask(ticket, self.clock(), closing=closing, cell=kind, at_once=most)
            self._changed.notify()
        if dropped is not None:
            dropped.future.cancel()
        return asked.future

    def took(self, ticket: Ticket, audio_s: float, offered_s: float) -> None:
        """See `Turns.took`."""
        with self._changed:
            dry_s = self._schedule.took(ticket, audio_s, offered_s, self.clock())
        if dry_s > 0:
            kind = ticket.asked.kind.name.lower()
            metrics.UNDERRUNS.labels(kind).inc()
            metrics.UNDERRUN_S.labels(kind).inc(dry_s)

    def more(self, ticket: Ticket, audio_s: float) -> bool:
        """See `Seat.more`."""
        with self._changed:
            return self._schedule.more(ticket, audio_s)

    def end(self, ticket: Ticket, *, whole: bool) -> None:
        """The stream is over; what it still waits for is dropped."""
        with self._changed:
            self._schedule.end(ticket, whole=whole)
            dropped = self._work.pop(ticket, None)
            self._count()
        if dropped is not None:
            dropped.future.cancel()

    def shutdown(self) -> None:
        """Do what is asked for already, then end the threads."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while turn := self._next():
            shared_s: float | None = None
            for n, (ticket, asked) in enumerate(turn.items()):
                began_s = self.clock()
                try:
                    if n == 0 and len(turn) > 1:
                        shared_s = self._at_once([a.cell for a in turn.values() if a.cell])
                        began_s = self.clock()
                    result = asked.work()
                except BaseException as e:  # for whoever waits for it, as an executor does
                    self._done(ticket, shared_s, began_s, failed=True)
                    asked.future.set_exception(e)
                else:
                    self._done(ticket, shared_s, began_s)
                    asked.future.set_result(result)
                    del result
            del turn, ticket, asked  # or an idle thread would keep what they hold

    def _at_once(self, cells: Sequence[Cell]) -> float:
        """Compute the next cells of those who share a turn; each one's part of the time, in s."""
        began_s = self.clock()
        cells[0].together(cells)
        part_s = (self.clock() - began_s) / len(cells)
        for cell in cells:
            cell.took(part_s)
        metrics.CELLS_AT_ONCE.inc(len(cells))
        return part_s

    def _next(self) -> dict[Ticket, _Asked]:
        """Who has a turn now, first whose it is; nobody once all is over."""
        with self._changed:
            while True:
                now_s = self.clock()
                first = self._schedule.take(now_s)
                if first is None:
                    if self._over:
                        return {}
                    self._changed.wait(RETURN_S if self._schedule.awaits else None)
                    continue
                tickets = [first, *self._schedule.along(first, now_s)]
                turn = {t: asked for t in tickets if (asked := self._begun(t)) is not None}
                if turn:
                    return turn

    def _begun(self, ticket: Ticket) -> _Asked | None:
        """What is to be done in a turn; nothing for who is gone."""
        asked = self._work.pop(ticket)
        if not asked.future.set_running_or_notify_cancel():
            self._schedule.skipped(ticket)
            return None
        if ticket.turns == 1 and ticket.running_s is not None:
            waited_s = ticket.running_s - ticket.came_s
            metrics.QUEUE_WAIT.labels(ticket.asked.kind.name.lower()).observe(waited_s)
            self._count()
        return asked

    def _done(
        self, ticket: Ticket, shared_s: float | None, began_s: float, *, failed: bool = False
    ) -> None:
        with self._changed:
            now_s = self.clock()
            cost_s = None if shared_s is None else shared_s + now_s - began_s
            self._schedule.done(ticket, now_s, failed=failed, cost_s=cost_s)
            if ticket in self._work:  # its close waited for this turn
                self._changed.notify()


class Seat:
    """The place of one stream that was let in."""

    def __init__(self, compute: Compute, ticket: Ticket) -> None:
        self._compute, self._ticket = compute, ticket

    def submit(self, work: Callable[[], T], cell: Cell | None = None) -> "Future[T]":
        """See `Turns`."""
        return self._compute.submit(self._ticket, work, cell)

    def more(self, audio_s: float) -> bool:
        """Whether the stream's first turn is to make a second chunk, `audio_s` being the first.

        Else its listener would run dry, since others have the workers next.
        """
        return self._compute.more(self._ticket, audio_s)

    def took(self, audio_s: float, offered_s: float) -> None:
        """See `Turns`."""
        self._compute.took(self._ticket, audio_s, offered_s)

    def close(self, work: Callable[[], None], *, whole: bool) -> None:
        """See `Turns`."""
        future = self._compute.submit(self._ticket, work, closing=True)
        future.add_done_callback(lambda _: self.end(whole=whole))

    def end(self, *, whole: bool = False) -> None:
        """Nothing is left to be closed."""
        self._compute.end(self._ticket, whole=whole)
