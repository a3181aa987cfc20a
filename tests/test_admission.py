"""Who is let in, who is not, and whether what they are told is true."""

import random

import pytest
from simulated import JOE, ROUND_S, Device, Stream, chunks_of

from voicesvc.schedule import Asked, Kind, Limits, Refusal

LENGTHS_S = (2, 6, 10, 17)
NOTICED_S = 0.01  # a gap that is heard


def warmed(workers: int = 1, limits: Limits | None = None) -> Device:
    """A device that knows its voice: two long lines were spoken a while ago."""
    device = Device(workers, limits or Limits())
    device.run([Stream(-60.0, chunks_of(17)), Stream(-30.0, chunks_of(17))])
    return device


def arriving(times_capacity: float, n: int, workers: int, seed: int) -> list[Stream]:
    """Lines that come at random, so many times what the device can speak."""
    dice = random.Random(seed)
    lines_s = [dice.choice(LENGTHS_S) for _ in range(n)]
    work_s = sum(c for length_s in lines_s for c, _ in chunks_of(length_s)) / n
    comes_s, crowd = 0.0, []
    for length_s in lines_s:
        comes_s += dice.expovariate(times_capacity * workers / work_s)
        crowd.append(Stream(comes_s, chunks_of(length_s)))
    return crowd


@pytest.mark.parametrize("workers", [1, 2])
def test_a_crowd_at_a_service_that_was_just_started_makes_nobody_run_dry(workers: int) -> None:
    def dry(*, paced: bool) -> int:
        device = Device(workers, Limits())
        if paced:
            device.schedule.costs.begin("joe", chunks_of(4))
        crowd = [Stream(0.01 * n, chunks_of(10)) for n in range(100 * workers)]
        device.run(crowd)
        assert any(s.ended_s for s in crowd)
        return sum(sum(s.dry_s) > NOTICED_S for s in crowd)

    assert dry(paced=True) == 0
    assert dry(paced=False) > 0  # nobody is refused by a guess, so all of them came in


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_at_three_times_the_load_it_speaks_all_it_can_and_nobody_runs_dry(workers: int) -> None:
    device = warmed(workers)
    device.busy_s = 0.0
    crowd = arriving(3.0, 600, workers, seed=workers)
    device.run(crowd)
    spoken = [s for s in crowd if s.ended_s is not None]
    assert device.busy_s / (device.now_s * workers) > 0.95
    assert [s.dry_s for s in spoken if sum(s.dry_s) > NOTICED_S] == []
    first_s = sorted(s.first_s or 0.0 for s in spoken)
    assert first_s[len(first_s) // 2] < 0.15
    assert first_s[round(0.95 * len(first_s))] < 0.3
    assert 100 < len(spoken) < 300


def test_below_capacity_hardly_anybody_is_refused() -> None:
    device = warmed(2)
    crowd = arriving(0.6, 400, 2, seed=5)
    device.run(crowd)
    assert sum(s.refused is not None for s in crowd) == 0
    assert sorted(s.first_s or 9.0 for s in crowd)[round(0.95 * len(crowd))] < 0.25


def test_a_lone_stream_is_let_in_however_slow_its_voice_and_whatever_else_is_made() -> None:
    device = Device(1, Limits(first_audio_s=0.01, load=0.01))
    slow = [Stream(t, chunks_of(6, slower=40.0), voice="slow") for t in (0.0, 60.0, 120.0)]
    slow += [Stream(50.0, chunks_of(60, slower=40.0), voice="slow", kind=Kind.BATCH)]
    device.run(slow)
    assert not any(s.refused for s in slow)


def test_nobody_is_refused_for_a_cost_that_was_not_measured() -> None:
    device = Device(1, Limits(first_audio_s=0.1, load=0.1))
    unknown = [Stream(0.01 * n, chunks_of(6)) for n in range(20)]
    known = [Stream(60.0 + 0.01 * n, chunks_of(6)) for n in range(20)]
    device.run(unknown + known)
    assert not any(s.refused for s in unknown)
    assert any(s.refused for s in known)


def test_a_voice_that_is_slower_than_speech_takes_no_place_from_others() -> None:
    device = warmed(2, Limits(first_audio_s=6.0))
    slow = [Stream(0.1 * n, chunks_of(17, slower=40.0), voice="slow") for n in range(4)]
    lines = [Stream(20.0 + 3.0 * n, chunks_of(10)) for n in range(10)]
    device.run(slow + lines)
    assert not any(s.refused for s in slow + lines)
    assert all(s.ended_s for s in slow)


def comes_back(workers: int, seed: int) -> tuple[Refusal, Refusal | None]:
    """What the first who is refused is told, and is told when it comes back on time, alone."""
    device = warmed(workers)
    crowd = arriving(3.0, 100 * workers, workers, seed)
    told: list[Refusal] = []
    again: list[Stream] = []

    def look(device: Device) -> None:
        refused = next((s for s in crowd if s.refused is not None), None)
        if refused is None or refused.refused is None or told:
            return
        told.append(refused.refused)
        for other in crowd:
            other.gone |= other.ticket is None
        again.append(Stream(device.now_s + refused.refused.retry_after_s, refused.chunks))
        device.comes(again[0])

    device.after = look
    device.run(crowd)
    return told[0], again[0].refused


def test_who_comes_back_when_told_is_let_in() -> None:
    met = [comes_back(workers, seed) for workers in (1, 2, 4) for seed in range(10)]
    assert sum(then is None for _, then in met) >= 0.9 * len(met), met
    assert all(told.retry_after_s < 30 for told, _ in met)


def test_a_key_that_asks_for_all_leaves_room_for_who_was_refused() -> None:
    device = warmed(1)
    greedy = [Stream(0.05 * n, chunks_of(10), key="ann") for n in range(2000)]
    modest = [Stream(5.0 + 0.5 * n, chunks_of(10), key="bob") for n in range(190)]
    device.run(greedy + modest, until_s=100.0)
    used = {key: device.used_s(key=key) for key in ("ann", "bob")}
    assert used["bob"] > 0.25 * sum(used.values())
    assert "share" in {s.refused.reason for s in greedy if s.refused}
    assert sum(sum(s.dry_s) for s in [*greedy, *modest]) < 0.1


def test_who_would_wait_long_for_a_turn_is_told_when_to_come() -> None:
    device = warmed(1, Limits(first_audio_s=0.3, load=1e6))
    crowd = [Stream(0.0, chunks_of(6)) for _ in range(20)]
    device.run(crowd)
    told = [s.refused for s in crowd if s.refused]
    assert 12 <= len(told) <= 17
    assert {t.reason for t in told} == {"first-audio"}
    assert max(s.first_s or 0.0 for s in crowd) < 1.0


def test_two_who_hear_their_first_short_chunk_leave_room_for_a_third() -> None:
    slower = 3.0
    device = Device(2, Limits())
    device.schedule.costs.begin("joe", chunks_of(17, slower))
    begun = slower * JOE[0][0] + 2 * ROUND_S
    crowd = [Stream(comes_s, chunks_of(10, slower)) for comes_s in (0.0, 0.0, begun)]
    device.run(crowd)
    assert not any(s.refused for s in crowd)
    assert not any(s.dry_s for s in crowd)


def test_what_waits_is_bounded() -> None:
    limits = Limits(first_audio_s=1e6, load=1e6, waiting=3, streams=5)
    device = warmed(1, limits)
    crowd = [Stream(0.0, chunks_of(60)) for _ in range(6)]
    crowd += [Stream(5.0, chunks_of(60), kind=Kind.BATCH) for _ in range(9)]
    device.run(crowd)
    reasons = [s.refused.reason if s.refused else None for s in crowd]
    assert reasons == [None] * 3 + ["queue"] * 3 + [None] * 2 + ["streams"] * 7


@pytest.mark.parametrize("holds_from", [0, 1, 5])
def test_listeners_who_take_nothing_cost_nobody_a_place(holds_from: int) -> None:
    device = warmed(1)
    crowd = [
        Stream(1.0 * n, chunks_of(600), holds_s=3600.0, holds_from=holds_from) for n in range(300)
    ]
    device.run(crowd, until_s=400.0)
    assert not any(s.refused for s in crowd)
    late = Stream(401.0, chunks_of(10))
    device.run([late], until_s=500.0)
    assert late.first_s == pytest.approx(JOE[0][0] + ROUND_S)
    assert not late.dry_s


def test_who_leaves_makes_room_at_once() -> None:
    device = warmed(1)
    crowd = [Stream(0.2 * n, chunks_of(600), leaves_s=20.0) for n in range(60)]
    late = Stream(20.2, chunks_of(10))
    device.run([*crowd, late], until_s=30.0)
    assert any(s.refused for s in crowd)
    assert late.refused is None
    assert late.first_s == pytest.approx(JOE[0][0] + ROUND_S)


def test_a_document_needs_no_place_among_listeners() -> None:
    device = warmed(1)
    crowd = [Stream(0.2 * n, chunks_of(600)) for n in range(60)]
    device.run(crowd, until_s=15.0)
    asked = Asked("bob", Kind.AUDITION, "joe")
    assert device.admission is not None
    assert isinstance(device.admission.enter(asked, 15.0), Refusal)
    plan = Asked("bob", Kind.AUDITION, "joe's plans", speaks=False)
    assert not isinstance(device.admission.enter(plan, 15.0), Refusal)


def test_who_was_let_in_hears_all_of_it_where_short_chunks_cost_as_much_as_long_ones() -> None:
    # A device that spends its time on launching kernels; every listener has a key of its own.
    line = ((0.056, 0.14), (0.026, 0.56), (0.026, 0.74), (0.027, 1.49), (0.026, 3.49))
    dice = random.Random(3)
    device = Device(1, Limits())
    device.run([Stream(-20.0, line, key="first")])
    comes_s, crowd = 0.0, []
    for n in range(400):  # 2.5 times what the load allows
        comes_s += dice.expovariate(10.0)
        crowd.append(Stream(comes_s, line, key=f"listener {n}"))
    device.run(crowd)
    spoken = [s for s in crowd if s.refused is None]
    assert len(spoken) > 200
    assert sum(sum(s.dry_s) for s in spoken) < 0.05
