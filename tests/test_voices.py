"""Voices on the device: loaded once, held while leased, evicted in order, failures remembered."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from conftest import eventually, metric

from voicesvc.errors import EngineFailed, NotReady, PackRefused, UnknownActor
from voicesvc.voices import Voices, VoiceState

DECLARED = {"ann": 10, "bea": 10, "cid": 10, "big": 31}


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
class Loader:
    """Loads voices and writes down in which order what happened."""

    happened: list[str] = field(default_factory=list)
    before: Callable[[str], object] = lambda _: None

    def __call__(self, actor: str) -> Voice:
        self.happened.append(f"load {actor}")
        self.before(actor)
        return Voice(actor, self.happened, DECLARED[actor])


def held(load: Loader, budget_bytes: int | None = 20) -> Voices[Voice]:
    return Voices(load, DECLARED, budget_bytes)


def test_a_voice_is_loaded_once_however_many_ask_at_once() -> None:
    go = threading.Event()
    load = Loader(before=lambda _: go.wait(5))
    voices = held(load)
    leases = []
    asking = [threading.Thread(target=lambda: leases.append(voices.lease("ann"))) for _ in range(8)]
    for thread in asking:
        thread.start()
    assert eventually(lambda: voices.states()["ann"] == VoiceState("loading"))
    go.set()
    for thread in asking:
        thread.join(5)
    assert load.happened == ["load ann"]
    assert len({id(lease.engine) for lease in leases}) == 1
    assert voices.leases() == {"ann": 8}
    assert voices.states() == {"ann": VoiceState("ready")} | dict.fromkeys(
        ("bea", "cid", "big"), VoiceState("idle")
    )


def test_the_least_recently_used_leaves_before_the_next_is_loaded() -> None:
    load = Loader()
    voices = held(load)
    for actor in ("ann", "bea", "ann", "cid"):
        voices.lease(actor).release()
    assert load.happened == ["load ann", "load bea", "close bea", "load cid"]
    assert (metric("voicesvc_voices_loaded"), metric("voicesvc_voice_bytes")) == (2, 20)


def test_a_leased_voice_is_never_evicted() -> None:
    load = Loader()
    voices = held(load)
    ann, bea = voices.lease("ann"), voices.lease("bea")
    with pytest.raises(NotReady, match="every loaded voice is in use"):
        voices.lease("cid")
    assert voices.states()["cid"] == VoiceState("idle")
    ann.release()
    voices.lease("cid").release()
    assert load.happened == ["load ann", "load bea", "close ann", "load cid"]
    bea.release()


def test_a_voice_that_can_never_fit_is_not_loaded() -> None:
    load = Loader()
    voices = held(load)
    voices.lease("ann").release()
    with pytest.raises(NotReady, match="big needs 31 bytes, the budget is 20"):
        voices.lease("big")
    assert load.happened == ["load ann"]


def test_without_a_budget_every_voice_stays() -> None:
    load = Loader()
    voices = held(load, None)
    for actor in DECLARED:
        voices.lease(actor).release()
    assert load.happened == [f"load {actor}" for actor in DECLARED]


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
    assert load.happened == ["load ann"]
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


def test_close_drops_what_no_one_holds() -> None:
    load = Loader()
    voices = held(load)
    voices.lease("ann").release()
    kept = voices.lease("bea")
    voices.close()
    assert load.happened == ["load ann", "load bea", "close ann"]
    kept.release()


def test_under_load_no_leased_voice_is_closed_and_the_budget_holds() -> None:
    load = Loader()
    voices = held(load)
    counting = threading.Lock()
    wrong: list[str] = []

    def use(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(200):
            try:
                lease = voices.lease(dice.choice(("ann", "bea", "cid")))
            except NotReady:
                continue
            with counting:
                lease.engine.leased += 1
            if metric("voicesvc_voice_bytes") > 20:
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
    loads = [h.split()[1] for h in load.happened if h.startswith("load")]
    closes = [h.split()[1] for h in load.happened if h.startswith("close")]
    ready = [actor for actor, state in voices.states().items() if state.name == "ready"]
    assert sorted(loads) == sorted(closes + ready)
