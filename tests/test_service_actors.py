"""Voices loaded, unloaded and watched over HTTP."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Service, eventually, served, tone_of, write_pack

from voicesvc.config import Settings
from voicesvc.engines.tone import Tone
from voicesvc.packs import Pack
from voicesvc.studio import Studio


class Gate:
    """Loads tones when it is let; fails `eve` until that is mended."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.mended = False

    def __call__(self, pack: Pack, _: Settings, __: Any) -> Tone:
        if pack.actor_id == "ann":
            return tone_of(pack)
        assert self.let.wait(20)
        if pack.actor_id == "eve" and not self.mended:
            raise RuntimeError("out of memory")
        return tone_of(pack)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def service(tmp_path: Path, gate: Gate) -> Iterator[Service]:
    for actor in ("ann", "bea", "eve"):
        write_pack(tmp_path / "models", actor)
    given = {"models_dir": tmp_path / "models", "data_dir": tmp_path / "data", "actors": "ann"}
    settings = Settings.read({}, check_words="off", load_wait_s=0.2, **given)
    with served(Studio(settings, load=gate)) as running:
        yield running
        gate.let.set()


def states(service: Service) -> dict[str, str]:
    listed = service.http.get("/v1/actors").json()["actors"]
    return {a["actor_id"]: a["state"] for a in listed}


def test_a_voice_is_loaded_ahead_and_unloaded(service: Service, gate: Gate) -> None:
    begun = service.http.post("/v1/actors/bea/load")
    assert (begun.status_code, begun.json()["state"]) == (202, "loading")
    assert begun.json()["stage"] in ("reading", "placing")
    assert states(service) == {"ann": "ready", "bea": "loading", "eve": "idle"}
    gate.let.set()
    done = service.http.post("/v1/actors/bea/load?wait_s=20")
    assert (done.status_code, done.json()["state"]) == (200, "ready")
    assert done.json()["resident_bytes"] == 1_000_000
    gone = service.http.post("/v1/actors/bea/unload")
    assert (gone.status_code, gone.json()["state"]) == (200, "idle")
    assert service.http.get("/readyz").status_code == 200
    assert service.speak(actor="bea").status_code == 200


def test_queued_takes_wait_for_their_voice_and_let_others_go_first(
    service: Service, gate: Gate
) -> None:
    http = service.http
    assert http.post("/v1/productions", json={"title": "P", "slug": "p"}).status_code == 201

    def queued(actor: str) -> str:
        asked = {"production": "p", "actor": actor, "text": "Hold fast."}
        line = http.post("/v1/lines", json=asked).json()["id"]
        made: str = http.post(f"/v1/lines/{line}/takes", json={}).json()["takes"][0]["id"]
        return made

    def state(take: str) -> str:
        found: str = http.get(f"/v1/takes/{take}").json()["state"]
        return found

    waiting, other = queued("bea"), queued("ann")
    assert eventually(lambda: state(other) == "complete", 20)
    assert state(waiting) == "queued"
    gate.let.set()
    assert eventually(lambda: state(waiting) == "complete", 30)


def test_who_waits_past_the_deadline_is_told_when_to_ask_again(
    service: Service, gate: Gate
) -> None:
    answer = service.speak(actor="bea")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "still loading after 0.2 s" in answer.json()["detail"]
    gate.let.set()
    assert eventually(lambda: states(service)["bea"] == "ready")
    assert service.speak(actor="bea").status_code == 200


def test_a_failed_voice_is_loaded_again_when_it_is_asked_for(service: Service, gate: Gate) -> None:
    gate.let.set()
    for _ in range(2):
        assert service.speak(actor="eve").status_code == 500
    gate.mended = True
    assert service.speak(actor="eve").status_code == 500
    assert service.http.post("/v1/actors/eve/load?wait_s=20").json()["state"] == "ready"
    assert service.speak(actor="eve").status_code == 200


def test_loads_are_heard_as_they_happen(service: Service, gate: Gate) -> None:
    heard: list[tuple[str, str]] = []
    ready = threading.Event()

    def listen() -> None:
        with service.http.stream("GET", "/v1/actors/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for said in answer.iter_lines():
                if said.startswith("data: "):
                    facts = json.loads(said.removeprefix("data: "))
                    heard.append((facts["actor_id"], facts["state"]))
                    if ("bea", "ready") in heard:
                        ready.set()
                        return

    listener = threading.Thread(target=listen)
    listener.start()
    assert eventually(lambda: len(heard) == 3)
    assert heard == [("ann", "ready"), ("bea", "idle"), ("eve", "idle")]
    service.http.post("/v1/actors/bea/load")
    assert eventually(lambda: ("bea", "loading") in heard)
    gate.let.set()
    assert ready.wait(20)
    listener.join(20)


@pytest.mark.parametrize("path", ["load", "unload"])
def test_an_unknown_actor_is_refused_with_the_known_ones(service: Service, path: str) -> None:
    answer = service.http.post(f"/v1/actors/zoe/{path}")
    assert (answer.status_code, answer.json()["valid"]) == (404, ["ann", "bea", "eve"])


def test_a_wait_out_of_range_is_refused(service: Service) -> None:
    answer = service.http.post("/v1/actors/bea/load?wait_s=-1")
    assert (answer.status_code, answer.json()["where"]) == (422, "wait_s")


def test_metrics_tell_of_loads(service: Service, gate: Gate) -> None:
    gate.let.set()
    service.speak(actor="bea")
    lines = service.http.get("/metrics").text.splitlines()
    for name in (
        'voicesvc_voice_leases_total{found="disk"}',
        'voicesvc_voice_loads_total{source="disk"}',
        'voicesvc_voice_load_seconds_count{actor="bea"}',
    ):
        assert any(said.startswith(name) and float(said.split()[-1]) > 0 for said in lines), name
