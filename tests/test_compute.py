"""The threads that compute: one turn at a time for each stream, and nothing for who is gone."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager

import pytest

from voicesvc.compute import Compute
from voicesvc.engines import Cell
from voicesvc.errors import EngineFailed, Overloaded
from voicesvc.schedule import Asked, Kind, Limits

LINE = Asked("ann", Kind.AUDITION, "joe", 40)


@contextmanager
def running(workers: int = 1, limits: Limits | None = None) -> Iterator[Compute]:
    compute = Compute(workers, limits or Limits())
    try:
        yield compute
    finally:
        compute.shutdown()


class Held:
    """Work that lasts until it is let go."""

    def __init__(self) -> None:
        self.begun, self.let = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.let.wait(20)
        return "done"


def test_the_first_who_come_find_it_knowing_what_a_voice_costs_that_was_warmed() -> None:
    limits = Limits(first_audio_s=0.5)
    for paced, refused in ((False, False), (True, True)):
        with running(limits=limits) as compute:
            if paced:
                compute.paced("joe", [(0.4, 0.5), (1.2, 2.5)])
            held, first = Held(), compute.enter(LINE)
            working = first.submit(held)
            assert held.begun.wait(20)
            try:
                compute.enter(LINE)
                assert not refused
            except Overloaded:
                assert refused
            held.let.set()
            working.result(20)


def test_it_is_pressed_while_somebody_waits_for_sound_and_not_for_a_queue() -> None:
    now_s = 0.0
    compute = Compute(2, Limits(), clock=lambda: now_s)
    try:
        queued = compute.join(Asked("ann", Kind.BATCH, "joe", 40))
        held = Held()
        making = queued.submit(held)
        assert held.begun.wait(20)
        assert not compute.pressed
        seat = compute.enter(LINE)
        assert compute.pressed, "whoever was let in waits for the first chunk"
        assert seat.submit(lambda: "a chunk").result(20) == "a chunk"
        assert compute.pressed, "the listener may have taken it and be about to ask for the next"
        now_s = 1.0
        assert not compute.pressed, "the listener has enough, and is slow to take more"
        seat.took(0.5, 1.0)
        held.let.set()
        making.result(20)
        again = Held()
        chunk = seat.submit(again)
        assert again.begun.wait(20)
        now_s = 9.0
        assert compute.pressed, "it is still being made"
        again.let.set()
        chunk.result(20)
        seat.end()
        assert not compute.pressed
    finally:
        compute.shutdown()


def test_what_is_cancelled_before_its_turn_is_never_done() -> None:
    done: list[int] = []
    with running() as compute:
        held, first, second = Held(), compute.enter(LINE), compute.enter(LINE)
        working = first.submit(held)
        assert held.begun.wait(20)
        waiting = second.submit(lambda: done.append(1))
        assert waiting.cancel()
        held.let.set()
        assert working.result(20) == "done"
        assert second.submit(lambda: "next").result(20) == "next"
    assert done == []


def test_a_failure_is_given_to_who_waits_for_it_and_the_thread_goes_on() -> None:
    def fail() -> None:
        raise EngineFailed("it broke")

    with running() as compute:
        seat = compute.enter(LINE)
        with pytest.raises(EngineFailed, match="it broke"):
            seat.submit(fail).result(20)
        assert seat.submit(lambda: 1).result(20) == 1


def test_a_stream_is_closed_after_its_chunk_and_before_others() -> None:
    order: list[str] = []
    with running() as compute:
        held, leaving, other = Held(), compute.enter(LINE), compute.enter(LINE)
        leaving.submit(held)
        assert held.begun.wait(20)
        waits = other.submit(lambda: order.append("other"))
        leaving.close(lambda: order.append("close"), whole=False)
        assert order == []
        held.let.set()
        waits.result(20)
        assert order == ["close", "other"]
        assert compute.open == 1
        other.end()
        assert compute.open == 0


def test_one_stream_is_never_on_two_threads() -> None:
    with running(workers=2) as compute:
        held, seat = Held(), compute.enter(LINE)
        working = seat.submit(held)
        assert held.begun.wait(20)
        closed = threading.Event()
        seat.close(closed.set, whole=False)
        assert not closed.wait(0.1)  # though a thread is free
        held.let.set()
        assert working.result(20) == "done"
        assert closed.wait(20)


def test_who_ends_gives_up_what_it_waits_for() -> None:
    with running() as compute:
        held, first, second = Held(), compute.enter(LINE), compute.enter(LINE)
        first.submit(held)
        assert held.begun.wait(20)
        waiting = second.submit(lambda: 1)
        second.end()
        held.let.set()
        with pytest.raises(CancelledError):
            waiting.result(20)
        first.end()
        assert compute.open == 0


def test_an_ending_service_lets_nobody_in_and_serves_who_is_in() -> None:
    with running() as compute:
        seat = compute.enter(LINE)
        compute.end_within(7.0)
        with pytest.raises(Overloaded, match="ending") as refused:
            compute.enter(LINE)
        assert refused.value.retry_after_s == 7
        assert seat.submit(lambda: 1).result(20) == 1


def test_what_is_queued_needs_no_leave() -> None:
    with running(limits=Limits(streams=1)) as compute:
        compute.enter(LINE)
        with pytest.raises(Overloaded):
            compute.enter(LINE)
        batch = compute.join(Asked("ann", Kind.BATCH, "joe", 40))
        assert batch.submit(lambda: 1).result(20) == 1


def test_shutdown_does_what_was_asked_for() -> None:
    done: list[int] = []
    with running() as compute:
        held = Held()
        seats = [compute.enter(LINE) for _ in range(3)]
        seats[0].submit(held)
        assert held.begun.wait(20)
        seats[1].submit(lambda: done.append(1))
        seats[2].close(lambda: done.append(2), whole=False)
        threading.Timer(0.05, held.let.set).start()
    assert sorted(done) == [1, 2]
    with pytest.raises(RuntimeError, match="ended"):
        seats[0].submit(lambda: 1)


def shared(compute: Compute, together: Callable[[Sequence[Cell]], None]) -> list[list[object]]:
    """Three streams that want such a cell while a fourth is computed: what was done in order."""
    compute.batched("joe", {1: 1.0, 4: 1.0})
    done: list[list[object]] = []
    seats = [compute.join(Asked("ann", Kind.BATCH, "joe", 40)) for _ in range(4)]
    held = Held()
    waiting = [seats[0].submit(held)]
    assert held.begun.wait(20)
    for n, seat in enumerate(seats[1:]):
        took: list[object] = []
        cell = Cell("a cell", 4, together, n, lambda _, took=took: took.append("part"))
        done.append(took)
        waiting.append(seat.submit(lambda took=took: took.append("work"), cell))
    held.let.set()
    for future in waiting:
        if future.exception(20) is not None:
            done[waiting.index(future) - 1].append("failed")
    return done


def test_who_wants_the_same_kind_of_cell_shares_a_turn() -> None:
    computed: list[list[object]] = []
    with running() as compute:
        done = shared(compute, lambda cells: computed.append(sorted(c.stream for c in cells)))
    assert computed == [[0, 1, 2]]
    assert done == [["part", "work"]] * 3


def test_where_sharing_fails_one_is_told_and_the_others_go_on() -> None:
    def fail(_: Sequence[Cell]) -> None:
        raise EngineFailed("not together")

    with running() as compute:
        assert sorted(shared(compute, fail)) == [["failed"], ["work"], ["work"]]
