"""Streams of a real network whose cells are computed at once, through the front door."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import EVERYBODY, Service, metric, served
from voice_files import tiny

from voicesvc.config import Settings
from voicesvc.engines.convert import import_coqui
from voicesvc.studio import Studio

LINES = [
    f"{name} held the harbour until the morning came, and nobody in the town said a word about it, "
    "or about the boats that had gone out in the storm and had not come back, for all that the "
    "bell was rung and the lamps were lit on the wall."  # nine cells
    for name in ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn")
]
ROUNDS = 20  # until two of the streams wanted the same at the same time


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny(folder.parent / "run")
    import_coqui(folder.parent / "run", "mia", folder / "mia", language="en-us")
    return folder


@pytest.fixture(scope="module")
def service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    given = {"models_dir": models, "data_dir": tmp_path_factory.mktemp("data"), **EVERYBODY}
    read = {"check_words": "off", "watermark": "off", "batch": "4"}
    studio = Studio(Settings.read({}, device="cpu", precision="fp32", **given, **read))
    with served(studio, workers=1) as running:
        yield running
    studio.close()


def heard(service: Service, text: str) -> bytes:
    answer = service.speak(text, actor="mia", format="pcm_f32le", seed=3)
    assert answer.status_code == 200, answer.text
    return answer.content


def test_streams_at_once_have_the_samples_that_they_have_one_after_the_other(
    service: Service,
) -> None:
    before = metric("voicesvc_cells_at_once_total")
    alone = [heard(service, text) for text in LINES]
    assert metric("voicesvc_cells_at_once_total") == before
    assert len(set(alone)) == len(LINES)
    with ThreadPoolExecutor(len(LINES)) as pool:
        for _ in range(ROUNDS):
            assert list(pool.map(lambda text: heard(service, text), LINES)) == alone
            if metric("voicesvc_cells_at_once_total") > before:
                break
    assert metric("voicesvc_cells_at_once_total") > before
    assert service.idle()


def test_an_operator_sees_how_many_and_a_take_what_it_was_computed_on(service: Service) -> None:
    (mia,) = service.http.get("/v1/actors").json()["actors"]
    assert mia["batch"] == {"cells": 4, "reason": "4 by VOICESVC_BATCH"}
    answer = service.speak(LINES[0], actor="mia")
    take = service.http.get(f"/v1/takes/{answer.headers['Voicesvc-Take']}").json()
    with service.studio.cast.leased("mia") as engine:
        assert take["device"] == engine.device
        fewest = engine.batching.rows[0]  # type: ignore[attr-defined]
    assert take["device"].endswith(f" rows {fewest}") == (fewest > 1)
