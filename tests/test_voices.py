"""Voices on the device: loaded once, held while leased, evicted in order, failures remembered."""

import random
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from conftest import eventually, metric
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from voicesvc.errors import EngineFailed, NotReady, PackRefused, Unforeseen, UnknownActor
from voicesvc.voices import LOADS_AT_ONCE, Lease, Voices

DECLARED = {"ann": 10, "bea": 10, "cid": 10, "big": 31, "fat": 10}


@dataclass
class Voice:
    actor: str
    happened: list[str]
    resident_bytes: int
    leased: int = 0

    def close(self) -> None:
        assert self.leased == 0
        self.happened.append(f"close {self.actor}")


@dataclass
class Ready:
    """A voice in host memory."""

    loader: "Loader"
    actor: str
    version: str
    host_bytes: int

    def place(self) -> Voice:
        self.loader.happened.append(f"place {self.actor}{self.version}")
        said = f"{self.actor}{self.version}"
        actual = self.loader.actual.get(self.actor, self.host_bytes)
        return Voice(said, self.loader.happened, actual)

    def close(self) -> None:
        self.loader.happened.append(f"shut {self.actor}{self.version}")


@dataclass
class Loader:
    """Loads voices and writes down in which order what happened."""

    happened: list[str] = field(default_factory=list)
    before: Callable[[str], object] = lambda _: None
    actual: dict[str, int] = field(default_factory=dict)  # bytes on the device, where not as said

    def __call__(self, actor: str, version: str) -> Ready:
        self.happened.append(f"load {actor}{version}")
        self.before(actor)
        return Ready(self, actor, version, DECLARED[actor])

    def loads(self) -> list[str]:
        """What was read and what left the device, in order."""
        return [h for h in self.happened if h.split()[0] in ("load", "close")]


class Inline(Executor):
    """Loads at once, on the thread that asks."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except (PackRefused, EngineFailed) as e:
            future.set_exception(e)
        return future


def held(load: Loader, budget_bytes: int | None = 20, **options: Any) -> Voices[Voice]:
    voices: Voices[Voice] = Voices(load, budget_bytes, **options)
    for actor, needs_bytes in DECLARED.items():
        voices.declare(actor, needs_bytes)
    return voices


def names(voices: Voices[Voice]) -> dict[str, str]:
    return {actor: state.name for actor, state in voices.states().items()}


def test_a_voice_is_loaded_once_however_many_ask_at_once() -> None:
    go = threading.Event()
    load = Loader(before=lambda _: go.wait(5))
    voices = held(load)
    leases = []
    asking = [threading.Thread(target=lambda: leases.append(voices.lease("ann"))) for _ in range(8)]
    for thread in asking:
        thread.start()
    assert eventually(lambda: names(voices)["ann"] == "loading")
    go.set()
    for thread in asking:
        thread.join(5)
    assert load.loads() == ["load ann"]
    assert len({id(lease.engine) for lease in leases}) == 1
    assert voices.leases() == {"ann": 8}
    assert names(voices) == {
        "ann": "ready",
        "bea": "idle",
        "cid": "idle",
        "big": "idle",
        "fat": "idle",
    }


def test_the_least_recently_used_leaves_before_the_next_is_loaded() -> None:
    load = Loader()
    voices = held(load)
    for actor in ("ann", "bea", "ann", "cid"):
        voices.lease(actor).release()
    assert load.loads() == ["load ann", "load bea", "close bea", "load cid"]
    assert (
        metric("voicesvc_voices_loaded", device=""),
        metric("voicesvc_voice_bytes", device=""),
    ) == (2, 20)


def test_a_leased_voice_is_never_evicted() -> None:
    load = Loader()
    voices = held(load)
    ann, bea = voices.lease("ann"), voices.lease("bea")
    with pytest.raises(NotReady, match="every loaded voice is in use"):
        voices.lease("cid", wait_s=0.01)
    assert names(voices)["cid"] == "idle"
    ann.release()
    voices.lease("cid").release()
    assert load.loads() == ["load ann", "load bea", "close ann", "load cid"]
    bea.release()


def test_a_voice_that_can_never_fit_is_not_loaded() -> None:
    load = Loader()
    voices = held(load)
    voices.lease("ann").release()
    with pytest.raises(NotReady, match="big needs 31 bytes, the budget is 20"):
        voices.lease("big")
    assert load.loads() == ["load ann"]


def test_without_a_budget_every_voice_stays() -> None:
    load = Loader()
    voices = held(load, None)
    for actor in DECLARED:
        voices.lease(actor).release()
    assert load.loads() == [f"load {actor}" for actor in DECLARED]


def test_releasing_twice_counts_once() -> None:
    voices = held(Loader())
    one, two = voices.lease("ann"), voices.lease("ann")
    one.release()
    one.release()
    assert voices.leases() == {"ann": 1}
    two.release()
    assert voices.leases() == {}


@pytest.mark.parametrize("failure", [PackRefused, EngineFailed])
def test_a_failure_is_remembered_and_raised_anew(
    failure: type[PackRefused | EngineFailed],
) -> None:
    def fail(_: str) -> None:
        raise failure("tensor x is missing", where="x", valid=["y"])

    load = Loader(before=fail)
    voices = held(load)
    raised = []
    for _ in range(2):
        with pytest.raises(failure, match="tensor x is missing") as caught:
            voices.lease("ann")
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    assert (raised[1].where, raised[1].valid) == ("x", ["y"])
    assert load.loads() == ["load ann"]
    assert voices.states()["ann"].name == "failed"
    assert "tensor x is missing" in (voices.states()["ann"].reason or "")
    assert voices.leases() == {}


def test_a_failed_load_keeps_no_room() -> None:
    def fail(actor: str) -> None:
        if actor == "ann":
            raise PackRefused("no")

    voices = held(Loader(before=fail))
    with pytest.raises(PackRefused):
        voices.lease("ann")
    bea, cid = voices.lease("bea"), voices.lease("cid")
    assert {bea.engine.actor, cid.engine.actor} == {"bea", "cid"}


def test_who_waits_too_long_for_a_load_is_told_so() -> None:
    go = threading.Event()
    voices = held(Loader(before=lambda _: go.wait(5)))
    loading = threading.Thread(target=voices.lease, args=("ann",))
    loading.start()
    assert eventually(lambda: voices.states()["ann"].name == "loading")
    with pytest.raises(NotReady, match=r"ann is still loading after 0\.05 s"):
        voices.lease("ann", wait_s=0.05)
    go.set()
    loading.join(5)
    voices.lease("ann").release()


def test_an_unknown_actor_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownActor) as caught:
        held(Loader()).lease("zoe")
    assert caught.value.valid == sorted(DECLARED)


def test_close_drops_what_no_one_holds_and_the_rest_when_it_is_released() -> None:
    load = Loader()
    voices = held(load)
    voices.lease("ann").release()
    kept = voices.lease("bea")
    voices.close()
    assert load.loads() == ["load ann", "load bea", "close ann"]
    kept.release()
    assert load.loads()[-1] == "close bea"


def test_room_is_waited_for_until_the_deadline() -> None:
    voices = held(Loader(), 10)
    ann = voices.lease("ann")
    got: list[Lease[Voice]] = []
    asking = threading.Thread(target=lambda: got.append(voices.lease("bea", wait_s=20)))
    asking.start()
    assert not eventually(lambda: bool(got), 0.05)
    ann.release()
    asking.join(20)
    assert [lease.engine.actor for lease in got] == ["bea"]


def test_a_load_goes_on_when_who_asked_for_it_has_given_up() -> None:
    go = threading.Event()
    load = Loader(before=lambda _: go.wait(20))
    voices = held(load)
    with pytest.raises(NotReady, match="still loading"):
        voices.lease("ann", wait_s=0.01)
    assert voices.load("ann").stage == "reading"
    go.set()
    voices.lease("ann").release()
    assert load.loads() == ["load ann"]


def test_few_are_loaded_at_once_and_the_others_wait_their_turn() -> None:
    go = threading.Event()
    at_once = 0
    most = 0
    counting = threading.Lock()

    def before(_: str) -> None:
        nonlocal at_once, most
        with counting:
            at_once += 1
            most = max(most, at_once)
        go.wait(20)
        with counting:
            at_once -= 1

    voices = held(Loader(before=before), None)
    asking = [threading.Thread(target=voices.lease, args=(a,)) for a in DECLARED]
    for thread in asking:
        thread.start()
    assert eventually(lambda: at_once == LOADS_AT_ONCE)
    go.set()
    for thread in asking:
        thread.join(20)
    assert most == LOADS_AT_ONCE
    assert set(names(voices).values()) == {"ready"}


def test_host_memory_keeps_what_left_the_device_within_its_own_budget() -> None:
    load = Loader()
    voices = held(load, 10, host_bytes=20)
    for actor in ("ann", "bea", "ann", "cid", "bea"):
        voices.lease(actor).release()
    assert load.happened == [
        *("load ann", "place ann", "close ann"),
        *("load bea", "place bea", "close bea"),
        *("place ann", "close ann"),
        *("shut bea", "load cid", "place cid", "close cid"),
        *("shut ann", "load bea", "place bea"),
    ]
    assert metric("voicesvc_voice_host_bytes") == 20
    assert [voices.states()[a].tier for a in ("ann", "bea", "cid")] == ["disk", "device", "host"]
    voices.close()
    assert metric("voicesvc_voice_host_bytes") == 0


def test_without_a_host_budget_nothing_stays_in_host_memory() -> None:
    load = Loader()
    voices = held(load)
    voices.lease("ann").release()
    assert load.happened == ["load ann", "place ann", "shut ann"]


def test_what_turns_out_larger_than_it_said_is_given_that_room() -> None:
    load = Loader(actual={"ann": 15})
    voices = held(load)
    voices.lease("bea").release()
    voices.lease("ann").release()
    assert load.loads() == ["load bea", "load ann", "close bea"]
    assert voices.held_bytes == 15
    bea = voices.lease("bea")
    with pytest.raises(NotReady, match="no room for ann"):
        voices.lease("ann", wait_s=0.01)
    assert load.loads()[3:] == ["close ann", "load bea"]
    bea.release()
    voices.close()


def test_a_changed_pack_is_loaded_beside_the_streams_that_hold_the_old_one() -> None:
    load = Loader()
    voices = held(load)
    old = voices.lease("ann")
    voices.declare("ann", 10, "2")
    new = voices.lease("ann")
    assert (old.engine.actor, new.engine.actor) == ("ann", "ann2")
    assert voices.leases() == {"ann": 2}
    again = voices.lease("ann", version="")
    assert again.engine is old.engine
    again.release()
    assert load.loads() == ["load ann", "load ann2"]
    old.release()
    assert load.loads() == ["load ann", "load ann2", "close ann"]
    with pytest.raises(NotReady, match="was changed just now"):
        voices.lease("ann", version="")
    new.release()
    assert names(voices)["ann"] == "ready"


def test_a_failed_voice_is_loaded_anew_when_its_pack_changed_or_it_is_asked_for() -> None:
    broken = True

    def before(_: str) -> None:
        if broken:
            raise PackRefused("no")

    voices = held(Loader(before=before))
    with pytest.raises(PackRefused):
        voices.lease("ann")
    broken = False
    with pytest.raises(PackRefused):
        voices.lease("ann")
    assert voices.load("ann", wait_s=20).name == "ready"
    broken = True
    with pytest.raises(PackRefused):
        voices.lease("bea")
    broken = False
    voices.declare("bea", 10, "2")
    assert voices.lease("bea").engine.actor == "bea2"


def test_a_mistake_in_a_loader_is_told_as_one_and_keeps_no_one_waiting() -> None:
    def before(_: str) -> None:
        raise ZeroDivisionError("oh")

    voices = held(Loader(before=before))
    for _ in range(2):
        with pytest.raises(Unforeseen, match="ZeroDivisionError") as caught:
            voices.lease("ann")
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_unloading_waits_for_the_streams() -> None:
    load = Loader()
    voices = held(load, host_bytes=20)
    ann = voices.lease("ann")
    assert voices.unload("ann").name == "ready"
    assert load.happened == ["load ann", "place ann", "shut ann"]
    ann.release()
    assert load.happened[3:] == ["close ann"]
    assert names(voices)["ann"] == "idle"
    ann = voices.lease("ann")
    voices.unload("ann")
    voices.lease("ann").release()
    ann.release()
    assert names(voices)["ann"] == "ready"  # it was wanted again


def test_what_changes_is_told_until_it_is_not_wanted() -> None:
    heard: list[str] = []
    voices = held(Loader())
    end = voices.on_change(lambda: heard.append(voices.states()["ann"].name))
    voices.lease("ann").release()
    assert list(dict.fromkeys(heard)) == ["loading", "ready"]
    end()
    heard.clear()
    voices.unload("ann")
    assert heard == []


def test_memory_is_flat_over_many_loads_and_evictions() -> None:
    load = Loader()
    voices = held(load, 20, host_bytes=20, loaders=Inline())
    rounds = 1000

    def churn() -> None:
        for i in range(rounds):
            voices.lease(("ann", "bea", "cid")[i % 3]).release()
        load.happened.clear()

    churn()
    tracemalloc.start()
    held_bytes: list[int] = []
    for _ in range(6):
        churn()
        held_bytes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert metric("voicesvc_voice_evictions_total", tier="device") >= 7 * (rounds - 2)
    # What other threads of the process allocate comes once; what each load leaves, every time.
    assert min(after - before for before, after in pairwise(held_bytes)) < 100 * rounds


ACTORS = st.sampled_from(["ann", "bea", "cid", "big", "fat"])


class Machine(RuleBasedStateMachine):
    """Any order of asking, releasing, changing, unloading; loads are done when they are begun."""

    def __init__(self) -> None:
        super().__init__()
        self.load = Loader(actual={"fat": 14})
        self.voices: Voices[Voice] = Voices(self.load, 20, 15, loaders=Inline())
        for actor, needs_bytes in DECLARED.items():
            self.voices.declare(actor, needs_bytes, "-0")
        self.leases: list[Lease[Voice]] = []
        self.changes = 0

    @rule(actor=ACTORS)
    def ask(self, actor: str) -> None:
        with suppress(NotReady):
            lease = self.voices.lease(actor, wait_s=0)
            assert lease.engine.actor.partition("-")[0] == actor
            lease.engine.leased += 1
            self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        lease = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        lease.engine.leased -= 1
        lease.release()

    @rule(actor=ACTORS)
    def change(self, actor: str) -> None:
        self.changes += 1
        self.voices.declare(actor, DECLARED[actor], f"-{self.changes}")

    @rule(actor=ACTORS)
    def unload(self, actor: str) -> None:
        self.voices.unload(actor)

    @rule(actor=ACTORS)
    def preload(self, actor: str) -> None:
        with suppress(NotReady):
            self.voices.load(actor)

    @invariant()
    def within_budgets(self) -> None:
        assert self.voices.held_bytes <= 20
        assert metric("voicesvc_voice_host_bytes") <= 15

    @invariant()
    def what_is_leased_is_loaded(self) -> None:
        assert sum(self.voices.leases().values()) == len(self.leases)

    @invariant()
    def placed_once_and_closed_once(self) -> None:
        placed = [h.split()[1] for h in self.load.happened if h.startswith("place")]
        closed = [h.split()[1] for h in self.load.happened if h.startswith("close")]
        there = len(placed) - len(closed)
        ready = {a for a, s in self.voices.states().items() if s.name == "ready"}
        old = {lease.engine.actor for lease in self.leases}
        assert len(ready) <= there <= len(ready) + len(old)

    def teardown(self) -> None:
        for lease in self.leases:
            lease.engine.leased -= 1
            lease.release()
        self.voices.close()
        assert self.voices.held_bytes == 0


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=30)


def test_under_load_no_leased_voice_is_closed_and_the_budget_holds() -> None:
    load = Loader()
    voices = held(load)
    counting = threading.Lock()
    wrong: list[str] = []

    def use(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(200):
            try:
                lease = voices.lease(dice.choice(("ann", "bea", "cid")), wait_s=0.001)
            except NotReady:
                continue
            with counting:
                lease.engine.leased += 1
            if metric("voicesvc_voice_bytes", device="") > 20:
                wrong.append("over the budget")
            with counting:
                lease.engine.leased -= 1
            lease.release()

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert voices.leases() == {}
    assert eventually(lambda: "loading" not in names(voices).values())
    loads = [h.split()[1] for h in load.happened if h.startswith("load")]
    closes = [h.split()[1] for h in load.happened if h.startswith("close")]
    ready = [actor for actor, state in voices.states().items() if state.name == "ready"]
    assert sorted(loads) == sorted(closes + ready)
