"""Whose chunk comes next, played out in simulated time with thousands of crowds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import JOE, JOE_LATER, ROUND_S, Device, Stream, chunks_of

from voicesvc.schedule import RETURN_S, Kind, Limits
from voicesvc.schedule.turns import HELD, SHARED_S, SLACK_S

LONGEST_S = JOE_LATER[0]
NOTICED_S = 0.01  # a gap that is heard
KINDS = st.sampled_from(list(Kind))
WORKERS = st.integers(1, 4)


@st.composite
def crowds(draw: st.DrawFn) -> list[Stream]:
    """Streams of all kinds and keys; some leave, some let what is offered wait."""
    n = draw(st.integers(1, 40))
    return [
        Stream(
            comes_s := draw(st.floats(0, 10)),
            chunks_of(draw(st.sampled_from((0.5, 2, 6, 17)))),
            key=draw(st.sampled_from("abc")),
            kind=draw(KINDS),
            leaves_s=draw(st.none() | st.floats(comes_s, 20)),
            holds_s=draw(st.sampled_from((0.0, 0.0, 0.01, 1.0))),
        )
        for _ in range(n)
    ]


@settings(max_examples=50)
@given(crowds(), WORKERS)
def test_nobody_starves_and_nothing_is_left_whoever_leaves_when(
    crowd: list[Stream], workers: int
) -> None:
    device = Device(workers)
    device.run(crowd)
    for stream in crowd:
        assert stream.gone or stream.made == len(stream.chunks)
    assert not device.schedule.tickets
    assert device.busy == 0


@settings(max_examples=50)
@given(crowds(), WORKERS)
def test_no_worker_idles_while_somebody_waits(crowd: list[Stream], workers: int) -> None:
    """But for the moment in which a listener who would run dry else is about to ask again."""

    def look(device: Device) -> None:
        tickets, now_s = device.schedule.tickets, device.now_s
        kept = workers - device.busy <= sum(t.was_served(now_s, RETURN_S) for t in tickets)
        assert device.busy == workers or not device.waiting() or kept

    device = Device(workers)
    device.after = look
    device.run(crowd)


def nobody_runs_dry(device: Device, lines: list[tuple[float, float]], slower: float) -> None:
    known = [Stream(-40.0 - i, chunks_of(17, slower)) for i in range(2)]
    crowd = [Stream(comes_s, chunks_of(audio_s, slower)) for comes_s, audio_s in lines]
    device.run(known + crowd)
    assert [s.dry_s for s in crowd if s.dry_s] == []
    assert all(s.refused or s.ended_s for s in crowd)


@settings(max_examples=50, derandomize=True)
@given(
    st.lists(
        st.tuples(st.floats(0, 20), st.sampled_from((2, 6, 10, 17))), min_size=1, max_size=120
    ),
    st.integers(1, 4),
    st.sampled_from((0.3, 1.0, 2.0)),
)
def test_who_is_let_in_never_runs_dry(
    lines: list[tuple[float, float]], workers: int, slower: float
) -> None:
    nobody_runs_dry(Device(workers, Limits()), lines, slower)


@settings(max_examples=50)
@given(crowds(), st.integers(1, 4))
def test_batch_delays_nobody_by_more_than_one_chunk(crowd: list[Stream], workers: int) -> None:
    def look(device: Device, stream: Stream) -> None:
        if stream.kind is Kind.BATCH:
            assert all(device.schedule.is_spare(t, device.now_s) for t in device.waiting())

    device = Device(workers)
    device.before_turn = look
    device.run(crowd)


def test_an_audition_among_batch_waits_for_one_chunk() -> None:
    crowd = [Stream(0.0, chunks_of(60), kind=Kind.BATCH) for _ in range(20)]
    lines = [Stream(3.0 + 2 * n, chunks_of(10)) for n in range(5)]
    Device(1).run(crowd + lines)
    assert max(w for s in lines for w in s.waits_s[:3]) <= LONGEST_S
    assert not any(s.dry_s for s in lines)


@pytest.mark.parametrize("workers", [1, 2])
def test_batch_goes_on_beside_files_that_are_fetched(workers: int) -> None:
    device = Device(workers)
    files = [Stream(0.0, chunks_of(600), key="ann") for _ in range(4)]
    batch = [Stream(0.0, chunks_of(600), key="ann", kind=Kind.BATCH)]
    device.run(files + batch, until_s=20.0)
    assert device.used_s(kind=Kind.BATCH) / 20.0 / workers == pytest.approx(0.2, abs=0.05)


def test_who_has_no_audio_comes_before_who_has_two_seconds() -> None:
    device = Device(1)
    ahead, fresh = Stream(0.0, chunks_of(60)), Stream(2.0, chunks_of(2))
    order: list[Stream] = []
    device.before_turn = lambda _, stream: order.append(stream)
    device.run([ahead, fresh])
    at = order.index(fresh)
    assert fresh.waits_s[0] <= LONGEST_S
    assert [s is fresh for s in order[at : at + 5]].count(True) == 3  # until it is as far ahead
    assert not fresh.dry_s
    assert 3 < at < len(order) - 3


def test_who_runs_dry_soon_comes_before_who_has_no_audio() -> None:
    device = Device(1)
    device.run([Stream(-20.0, chunks_of(17))])
    first = [Stream(device.now_s, chunks_of(10)) for _ in range(4)]
    order: list[Stream] = []
    device.before_turn = lambda _, stream: order.append(stream)
    device.run([*first, *(Stream(device.now_s + 0.15, chunks_of(10)) for _ in range(3))])
    assert order.index(first[0], 1) < 7  # its second chunk, before all have their first
    assert not any(s.dry_s for s in order)


def first_turn_s(slower: float) -> float:
    """Until there is as much audio as a listener may have to wait for the next chunk."""
    cost_s = audio_s = 0.0
    for chunk_s, gives_s in JOE[: 1 + HELD]:
        if cost_s and audio_s >= slower * (LONGEST_S + chunk_s) + SLACK_S:
            break
        cost_s, audio_s = cost_s + slower * chunk_s, audio_s + gives_s
    return cost_s


def test_a_first_chunk_that_is_shorter_than_the_wait_for_the_next_is_not_heard_alone() -> None:
    assert first_turn_s(1.0) == JOE[0][0] + JOE[1][0]
    alone, crowd = Device(1), Device(1)
    for device, n in ((alone, 1), (crowd, 4)):
        device.schedule.costs.begin("joe", chunks_of(17))
        lines = [Stream(0.0, chunks_of(6)) for _ in range(n)]
        device.run(lines)
        assert not any(s.dry_s for s in lines)
        held = 0.0 if n == 1 else JOE[1][0]
        assert lines[0].first_s == pytest.approx(JOE[0][0] + held + ROUND_S)


def test_a_free_worker_waits_for_who_is_about_to_ask_and_would_run_dry() -> None:
    device = Device(1)
    device.schedule.costs.begin("joe", chunks_of(17))
    heard = Stream(0.0, chunks_of(6))  # alone, so that its first chunk is heard at once
    comes_s = JOE[0][0] + ROUND_S / 2  # while that is on its way
    later = Stream(comes_s, chunks_of(6))
    device.run([heard, later])
    assert heard.first_s == pytest.approx(JOE[0][0] + ROUND_S)
    assert not heard.dry_s
    assert not later.dry_s


@pytest.mark.parametrize("slower", [1.0, 2.0, 3.0])  # 3: a machine that others use too
@pytest.mark.parametrize(
    ("n", "all_", "last"), [(4, 1.05, 1.05), (8, 1.15, 1.45), (16, 1.3, 1.45), (32, 1.65, 1.95)]
)
def test_first_audio_of_a_burst_comes_as_soon_as_first_come_first_served_gives_it(
    n: int, all_: float, last: float, slower: float
) -> None:
    device = Device(2, Limits())
    device.schedule.costs.begin("joe", chunks_of(17, slower))
    crowd = [Stream(0.001 * i, chunks_of(10, slower)) for i in range(n)]
    device.run(crowd)
    waits_s = sorted(s.first_s for s in crowd if s.first_s is not None)
    assert len(waits_s) + sum(s.refused is not None for s in crowd) == n
    assert len(waits_s) >= min(n, 20 / slower)
    in_turn_s = [first_turn_s(slower) * (1 + i // 2) for i in range(len(waits_s))]
    assert sum(waits_s) < all_ * sum(in_turn_s)
    assert waits_s[-1] < last * in_turn_s[-1]  # it waits while others would run dry
    assert not any(sum(s.dry_s) > NOTICED_S for s in crowd)


@pytest.mark.parametrize("n", [24, 32])
def test_where_all_need_more_than_there_is_first_audio_waits_for_nobody(n: int) -> None:
    device = Device(2)  # lets everybody in
    device.schedule.costs.begin("joe", chunks_of(17, 3.0))
    crowd = [Stream(0.001 * i, chunks_of(10, 3.0)) for i in range(n)]
    device.run(crowd)
    assert all(s.dry_s for s in crowd)  # however it is done
    in_turn_s = [3.0 * JOE[0][0] * (1 + i // 2) for i in range(n)]
    assert sum(s.first_s or 99.0 for s in crowd) < 1.05 * sum(in_turn_s)


def test_who_speaks_live_comes_first() -> None:
    crowd = [Stream(0.0, chunks_of(6)) for _ in range(8)]
    live = Stream(0.0, chunks_of(6), kind=Kind.LIVE)
    Device(1).run([*crowd, live])
    assert live.first_s is not None
    assert live.first_s == min(s.first_s or 0.0 for s in [*crowd, live])


@settings(max_examples=50)
@given(st.integers(0, 20), st.integers(0, 20), WORKERS)
def test_keys_get_equal_parts_however_much_they_ask_for(ann: int, bob: int, workers: int) -> None:
    device = Device(workers)
    more = {"ann": ann, "bob": bob}  # than workers, so that each could keep all of them busy
    crowd = [
        Stream(0.0, chunks_of(600), key=key, kind=Kind.BATCH)
        for key, n in more.items()
        for _ in range(workers + n)
    ]
    device.run(crowd, until_s=8.0)
    parts = [device.used_s(key=key) for key in more]
    assert parts[0] == pytest.approx(parts[1], abs=2 * workers * LONGEST_S)
    assert sum(parts) == pytest.approx(8.0 * workers, abs=workers * LONGEST_S)


def test_where_not_all_can_be_served_who_asks_for_little_is() -> None:
    greedy = [Stream(0.0, chunks_of(60), key="ann") for _ in range(60)]
    modest = [Stream(5.0 + n, chunks_of(10), key="bob") for n in range(3)]
    Device(1).run(greedy + modest)
    assert not any(s.dry_s for s in modest)
    waits_s = sorted(s.first_s or 0.0 for s in greedy)
    assert max(s.first_s or 99.0 for s in modest) < 0.5 * waits_s[len(waits_s) // 2]


AT_ONCE = {1: 1.0, 2: 1.2, 4: 1.5, 8: 2.0}  # a device that is not full with one cell
FULL = {1: 1.0, 2: 1.6, 4: 3.2, 8: 6.4}  # one that gains just enough


@settings(max_examples=50)
@given(crowds(), WORKERS, st.sampled_from((AT_ONCE, FULL)), st.sampled_from((0.02, 0.3, 1.0)))
def test_with_shared_turns_nobody_starves_and_everybody_gets_the_cells_it_gets_alone(
    crowd: list[Stream], workers: int, at_once: dict[int, float], slower: float
) -> None:
    taken: dict[int, list[object]] = {}

    def look(device: Device, stream: Stream) -> None:
        taken.setdefault(id(stream), []).append(stream.made)

    for stream in crowd:
        stream.chunks = tuple((cost_s * slower, audio_s) for cost_s, audio_s in stream.chunks)
    device = Device(workers, at_once=at_once)
    device.before_turn = look
    device.run(crowd)
    for stream in crowd:
        held = 0 if stream.ticket is None else stream.ticket.held
        begun = [0, *range(1 + held, len(stream.chunks))]
        assert stream.gone or taken[id(stream)] == begun
    assert not device.schedule.tickets
    assert device.busy == 0


@settings(max_examples=50, derandomize=True)
@given(
    st.lists(
        st.tuples(st.floats(0, 20), st.sampled_from((2, 6, 10, 17))), min_size=1, max_size=120
    ),
    st.integers(1, 4),
    st.sampled_from((0.1, 0.3, 1.0)),
    st.sampled_from((AT_ONCE, FULL)),
)
def test_who_is_let_in_never_runs_dry_for_turns_that_are_shared(
    lines: list[tuple[float, float]], workers: int, slower: float, at_once: dict[int, float]
) -> None:
    nobody_runs_dry(Device(workers, Limits(), at_once), lines, slower)


@settings(max_examples=50)
@given(crowds(), WORKERS, st.sampled_from((0.02, 0.3, 1.0)))
def test_a_shared_turn_is_as_long_as_one_chunk_and_who_hears_nothing_has_the_next(
    crowd: list[Stream], workers: int, slower: float
) -> None:
    def look(device: Device, stream: Stream) -> None:
        ticket, now_s = stream.ticket, device.now_s
        assert ticket is not None
        assert ticket.turn is not None
        if ticket.turn.members == 1:
            return
        assert ticket.turn.lasts_s <= max(SHARED_S, 1.01 * slower * LONGEST_S)
        dry = [t for t in (ticket, *device.waiting()) if t.dry_s is None or t.dry_s < now_s]
        due = [t for t in dry if not device.schedule.is_spare(t, now_s)]
        assert not due or due[0] is ticket  # shared by those who have all run dry

    for stream in crowd:
        stream.chunks = tuple((cost_s * slower, audio_s) for cost_s, audio_s in stream.chunks)
    device = Device(workers, at_once=AT_ONCE)
    device.before_turn = look
    device.run(crowd)


@pytest.mark.parametrize("kind", [Kind.AUDITION, Kind.BATCH])
def test_what_is_shared_is_made_sooner(kind: Kind) -> None:
    ended_s: list[float] = []
    for at_once in (None, AT_ONCE):
        device = Device(1, at_once=at_once)
        device.schedule.costs.begin("joe", chunks_of(17, 0.1))
        crowd = [Stream(0.0, chunks_of(60, 0.1), kind=kind) for _ in range(8)]
        device.run(crowd)
        ended_s.append(device.now_s)
        assert (max(device.shared) == 1) if at_once is None else (max(device.shared) >= 7)
        assert not any(s.dry_s for s in crowd)
    assert ended_s[1] < 0.45 * ended_s[0]


def test_a_turn_that_would_last_too_long_is_not_shared() -> None:
    device = Device(1, at_once={1: 1.0, 8: 8.5})
    device.run([Stream(0.0, chunks_of(60)) for _ in range(8)])
    assert set(device.shared) == {1}


def test_batch_rides_on_no_turn_while_a_listener_waits_for_another() -> None:
    device = Device(1, at_once=AT_ONCE)
    device.schedule.costs.begin("joe", chunks_of(17, 0.1))
    batch = [Stream(0.0, chunks_of(60, 0.1), kind=Kind.BATCH) for _ in range(4)]
    lines = [Stream(0.3 + 0.1 * n, chunks_of(6, 0.1)) for n in range(20)]

    def look(device: Device, stream: Stream) -> None:
        if stream.kind is Kind.BATCH:
            assert all(device.schedule.is_spare(t, device.now_s) for t in device.waiting())

    device.before_turn = look
    device.run(batch + lines)
    assert max(device.shared) > 1
    assert max(s.first_s or 99.0 for s in lines) < 0.1 * JOE[0][0] + SHARED_S
