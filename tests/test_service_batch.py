"""Streams of real networks whose cells are computed at once, through the front door."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import EVERYBODY, Service, metric, served
from voice_files import tiny
from xtts_files import checkpoint

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


@dataclass(frozen=True)
class Kind:
    make: Callable[[Path], object]
    lines: Sequence[str]
    at_once: int
    precision: str


KINDS = {
    "vits": Kind(tiny, LINES, 4, "fp32"),
    "xtts": Kind(checkpoint, [line[:40] for line in LINES[:3]], 2, "auto"),  # of full size
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture(scope="module")
def models(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, folder = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("models")
    kind.make(run)
    import_coqui(run, "mia", folder / "mia", language="en-us")
    return folder


@pytest.fixture(scope="module")
def service(
    kind: Kind, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    given = {"models_dir": models, "data_dir": tmp_path_factory.mktemp("data"), **EVERYBODY}
    read = {
        "check_words": "off",
        "watermark": "off",
        "batch": str(kind.at_once),
        "acknowledged_licences": "CPML",
    }
    studio = Studio(Settings.read({}, device="cpu", precision=kind.precision, **given, **read))
    with served(studio, workers=1) as running:
        yield running
    studio.close()


def heard(service: Service, text: str) -> bytes:
    answer = service.speak(text, actor="mia", format="pcm_f32le", seed=3)
    assert answer.status_code == 200, answer.text
    return answer.content


def test_streams_at_once_have_the_samples_that_they_have_one_after_the_other(
    service: Service, kind: Kind
) -> None:
    before = metric("voicesvc_cells_at_once_total")
    alone = [heard(service, text) for text in kind.lines]
    assert metric("voicesvc_cells_at_once_total") == before
    assert len(set(alone)) == len(kind.lines)
    with ThreadPoolExecutor(len(kind.lines)) as pool:
        for _ in range(ROUNDS):
            assert list(pool.map(lambda text: heard(service, text), kind.lines)) == alone
            if metric("voicesvc_cells_at_once_total") > before:
                break
    assert metric("voicesvc_cells_at_once_total") > before
    assert service.idle()


def test_an_operator_sees_how_many_and_a_take_what_it_was_computed_on(
    service: Service, kind: Kind
) -> None:
    (mia,) = service.http.get("/v1/actors").json()["actors"]
    assert mia["batch"] == {
        "cells": kind.at_once,
        "reason": f"{kind.at_once} by VOICESVC_BATCH",
    }
    answer = service.speak(kind.lines[0], actor="mia")
    take = service.http.get(f"/v1/takes/{answer.headers['Voicesvc-Take']}").json()
    with service.studio.cast.leased("mia") as engine:
        assert take["device"] == engine.device
        fewest = engine.batching.rows[0]  # type: ignore[attr-defined]
    assert take["device"].endswith(f" rows {fewest}") == (fewest > 1)
