"""Takes that are listened to, by the real listener, spoken by the real voice."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Service, archived, eventually, served, tones_served

from voicesvc.config import Settings
from voicesvc.studio import Studio

TEXT = "The harbour was quiet before the storm came."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("qc")
    settings = Settings.read({}, check_nice=0, watermark="off", actors=("joe",), device="cpu")
    with served(Studio(settings, archive=archived(folder))) as running:
        yield running


def take_of(service: Service, id: str) -> Any:
    return service.http.get(f"/v1/takes/{id}").json()


def listened(service: Service, id: str) -> Any:
    assert eventually(lambda: take_of(service, id)["measured"] is not None, 120)
    return take_of(service, id)


def test_take_that_says_its_words_is_not_flagged(service: Service) -> None:
    answer = service.speak(TEXT, seed=1)
    take = listened(service, answer.headers["Voicesvc-Take"])
    assert take["measured"]["wer"] == 0.0
    assert {w["status"] for w in take["measured"]["words"]} == {"ok"}
    assert 2.5 < take["measured"]["distillmos"] <= 5.0
    assert take["flags"] == []


def test_wrong_word_is_found_in_a_plan_that_says_another(service: Service) -> None:
    plan = service.http.post("/v1/plans", json={"actor": "joe", "text": TEXT, "seed": 1}).json()
    said = plan["plan"]
    for word in said["sentences"][0]["words"]:
        if word["text"] in ("harbour", "quiet", "storm"):
            word["text"] = {"harbour": "mountain", "quiet": "purple", "storm": "letter"}[
                word["text"]
            ]
    answer = service.http.post("/v1/speech", json={"plan": said})
    take = listened(service, answer.headers["Voicesvc-Take"])
    wrong = [w["text"] for w in take["measured"]["words"] if w["status"] != "ok"]
    assert wrong == ["mountain", "purple", "letter"]
    assert take["flags"] == ["words"]


def test_wrong_words_are_tried_again_with_the_next_seed(service: Service) -> None:
    film = service.http.post("/v1/productions", json={"title": "Q"}).json()["id"]
    line = service.http.post(
        "/v1/lines", json={"production": film, "actor": "joe", "text": "Gnthrx qwzpt vlkjh."}
    ).json()
    asked = {"seed": 5, "quality": {"max_wer": 0.0, "attempts": 2}}
    (new,) = service.http.post(f"/v1/lines/{line['id']}/takes", json=asked).json()["takes"]
    assert eventually(lambda: take_of(service, new["id"])["state"] == "complete", 120)
    take = take_of(service, new["id"])
    assert [a["seed"] for a in take["attempts"]] == [5, 6]
    best = min(take["attempts"], key=lambda a: a["wer"])
    assert take["seed"] == best["seed"]
    assert all(a["wer"] > 0 and a["transcript"] is not None for a in take["attempts"])


def test_first_attempt_is_enough_where_its_words_are_right(service: Service) -> None:
    film = service.http.post("/v1/productions", json={"title": "R"}).json()["id"]
    line = service.http.post(
        "/v1/lines", json={"production": film, "actor": "joe", "text": TEXT}
    ).json()
    asked = {"seed": 1, "quality": {"max_wer": 0.1, "attempts": 3}}
    (new,) = service.http.post(f"/v1/lines/{line['id']}/takes", json=asked).json()["takes"]
    assert eventually(lambda: take_of(service, new["id"])["state"] == "complete", 120)
    (attempt,) = take_of(service, new["id"])["attempts"]
    assert (attempt["seed"], attempt["wer"]) == (1, 0.0)


def test_service_ends_at_once_while_somebody_listens(tmp_path: Path) -> None:
    with tones_served(tmp_path, settings={"check_words": "auto"}) as service:
        for seed in range(3):
            service.speak(TEXT * 4, seed=seed)
        begin = time.monotonic()
    assert time.monotonic() - begin < 10
