"""What the people who run the service look at: alive, ready, metrics, actors."""

import threading
from pathlib import Path
from typing import Any

from conftest import LINE, Service, eventually, served, tone_of, tone_studio, write_pack

from voicesvc.config import Settings
from voicesvc.engines.tone import Tone
from voicesvc.packs import Pack
from voicesvc.studio import Studio


class Slow:
    """Loads each tone when it is let."""

    def __init__(self) -> None:
        self.let = {"ann": threading.Event(), "eve": threading.Event()}

    def __call__(self, pack: Pack, _: Settings, __: Any) -> Tone:
        assert self.let[pack.actor_id].wait(20)
        return tone_of(pack)


def test_alive_at_once_and_ready_when_the_voices_are_warmed(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")
    write_pack(tmp_path / "models", "eve")
    slow = Slow()
    studio = Studio(
        Settings.read({}, check_words="off", watermark="off", models_dir=tmp_path / "models"),
        load=slow,
    )
    with served(studio, warmed=False) as service:
        http = service.http
        assert http.get("/livez").json() == {"status": "ok"}
        ready = http.get("/readyz")
        assert ready.status_code == 503
        assert ready.headers["Cache-Control"] == "no-store"
        at_first = {"ann": "loading", "eve": "idle"}
        assert eventually(lambda: http.get("/readyz").json()["voices"] == at_first)
        waiting = threading.Thread(target=service.speak, kwargs={"actor": "ann"})
        waiting.start()
        slow.let["ann"].set()
        assert eventually(lambda: studio.cast.voices.states()["ann"].name == "ready")
        assert service.speak(actor="ann").status_code == 200
        ready = http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["voices"] == {"ann": "ready", "eve": "loading"}
        slow.let["eve"].set()
        assert eventually(lambda: http.get("/readyz").status_code == 200)
        assert http.get("/readyz").json() == {
            "ready": True,
            "voices": {"ann": "ready", "eve": "ready"},
            "failed": {},
        }
        waiting.join(20)
        assert not waiting.is_alive()


def test_a_service_that_loads_one_voice_more_stays_ready(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")
    write_pack(tmp_path / "models", "eve")
    slow = Slow()
    slow.let["ann"].set()
    given = Settings.read(
        {}, check_words="off", watermark="off", models_dir=tmp_path / "models", actors="ann"
    )
    with served(Studio(given, load=slow)) as service:
        asking = threading.Thread(target=service.speak, kwargs={"actor": "eve"})
        asking.start()
        assert eventually(lambda: service.studio.cast.voices.states()["eve"].name == "loading")
        ready = service.http.get("/readyz")
        assert (ready.status_code, ready.json()["voices"]["eve"]) == (200, "loading")
        assert service.speak(actor="ann").status_code == 200
        slow.let["eve"].set()
        asking.join(20)
        assert service.speak(actor="eve").status_code == 200


def test_no_room_beside_a_voice_in_use_is_told_with_when_to_ask_again(tmp_path: Path) -> None:
    for actor in ("ann", "eve"):  # each declares 59.7 MiB
        write_pack(tmp_path / "models", actor)
    tones: dict[str, Tone] = {}
    given = {"actors": "ann", "device_budget_mb": 60, "load_wait_s": 2}
    with served(tone_studio(tmp_path / "models", tones, {}, **given)) as service:
        held = service.studio.cast.voices.lease("ann")
        answer = service.speak(actor="eve")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert answer.json()["type"] == "/problems/not-ready"
        assert not tones["ann"].closed
        held.release()
        assert service.speak(actor="eve").status_code == 200
        assert tones["ann"].closed


def test_an_actor_says_what_it_can_do(tone_server: Service) -> None:
    (listed,) = tone_server.http.get("/v1/actors").json()["actors"]
    ann = tone_server.http.get("/v1/actors/ann").json()
    assert {n: ann[n] for n in listed} == listed
    assert set(ann) - set(listed) == {"emotions", "voice"}
    assert ann["emotions"]["sad"]["source"] == "prosody"
    assert ann["emotions"]["sad"]["rule"]["rate"] < 1
    assert ann["emotions"]["whispered"]["quality"] == "experimental"
    assert ann["emotions"]["neutral"]["source"] == "none"
    assert ann["voice"]["f0_median_hz"] > 0
    missing = tone_server.http.get("/v1/actors/bob")
    assert (missing.status_code, missing.json()["valid"]) == (404, ["ann"])


def test_actors_are_listed_with_their_licence(tone_server: Service) -> None:
    actors = tone_server.http.get("/v1/actors").json()["actors"]
    assert [a["actor_id"] for a in actors] == ["ann"]
    ann = actors[0]
    assert (ann["state"], ann["reason"]) == ("ready", None)
    assert (ann["language"], ann["sample_rate_hz"]) == ("en-us", 22050)
    assert ann["demonstration"] is True
    assert "CC0" in ann["licence"]["weights"]
    assert len(ann["model_sha256"]) == 64


def test_metrics_tell_of_takes_and_streams(tone_server: Service) -> None:
    tone_server.speak(LINE, format="opus")
    assert eventually(tone_server.idle)
    answer = tone_server.http.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    lines = answer.text.splitlines()
    for name in (
        'voicesvc_takes_total{actor="ann",outcome="complete"}',
        'voicesvc_first_audio_seconds_count{actor="ann",format="opus"}',
        'voicesvc_compute_seconds_per_audio_second_count{actor="ann"}',
        'voicesvc_audio_seconds_total{actor="ann",class="audition",format="opus"}',
        'voicesvc_requests_total{route="/v1/speech",status="200"}',
        'voicesvc_voice_load_seconds_count{actor="ann"}',
    ):
        assert any(line.startswith(name) and float(line.split()[-1]) > 0 for line in lines), name
    assert "voicesvc_active_streams 0.0" in lines
