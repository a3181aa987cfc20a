"""An XTTS voice over HTTP: heard once its base model's licence is acknowledged, and not before."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Service, served
from typer.testing import CliRunner
from xtts_files import checkpoint

from voicesvc.cli import app
from voicesvc.config import Settings
from voicesvc.errors import BadSetting
from voicesvc.line import Line
from voicesvc.studio import Studio

LINE = "Hold the line, and wait for me."
GRANTED = ("--licence-weights", "ours", "--licence-data", "ours", "--licence-base", "by its owner")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packs of one checkpoint: one with a licence of its own for the base, one without."""
    folder = tmp_path_factory.mktemp("xtts")
    checkpoint(folder / "run")
    for actor, options in (("mia", ()), ("ann", GRANTED)):
        out = folder / "models" / actor
        said = ("--actor", actor, "--out", str(out), "--language", "en-us", *options)
        done = CliRunner().invoke(app, ["pack", "import", str(folder / "run"), *said])
        assert done.exit_code == 0, done.output
    return folder / "models"


def settings(models: Path, data: Path, **given: object) -> Settings:
    return Settings.read(
        {}, models_dir=models, data_dir=data, device="cpu", precision="fp32", **given
    )


@pytest.fixture(scope="module")
def service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    studio = Studio(settings(models, tmp_path_factory.mktemp("data"), acknowledged_licences="CPML"))
    with served(studio) as running:
        yield running
    studio.close()


def heard(service: Service, text: str = LINE, **asked: object) -> np.ndarray:
    answer = service.speak(text, actor="mia", format="pcm_f32le", markup="plain", **asked)
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, "<f4")


def test_a_licence_that_binds_is_to_be_acknowledged(models: Path, tmp_path: Path) -> None:
    studio = Studio(settings(models, tmp_path))
    try:
        with served(studio) as withheld:
            actors = withheld.http.get("/v1/actors").json()["actors"]
            states = {a["actor_id"]: a["state"] for a in actors}
            assert states == {"mia": "failed", "ann": "ready"}
            (mia,) = (a for a in actors if a["actor_id"] == "mia")
            assert mia["licence"]["base"] == "CPML"
            assert "non-commercial" in mia["reason"]
            refused = withheld.speak(LINE, actor="mia")
            assert refused.status_code == 503
            assert "VOICESVC_ACKNOWLEDGED_LICENCES=CPML" in refused.text
            assert withheld.speak(LINE, actor="ann").status_code == 200
    finally:
        studio.close()


def test_only_licences_that_there_are_can_be_acknowledged(models: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="VOICESVC_ACKNOWLEDGED_LICENCES"):
        settings(models, tmp_path, acknowledged_licences="MIT")


def test_an_acknowledged_voice_speaks_and_keeps_its_seed(service: Service) -> None:
    once = heard(service, seed=7)
    assert np.abs(once).max() > 0.05
    np.testing.assert_array_equal(heard(service, seed=7), once)
    other = heard(service, seed=8)
    assert other.shape != once.shape or np.abs(other - once).max() > 1e-2


def test_words_are_told_with_estimated_times(service: Service) -> None:
    answer = service.speak(LINE, actor="mia", seed=7)
    timings = service.timings(answer)
    assert [w["text"] for w in timings["words"]] == [
        "Hold",
        "the",
        "line",
        "and",
        "wait",
        "for",
        "me",
    ]
    assert timings["words"][-1]["end_s"] <= timings["duration_s"]
    assert timings["dropped_symbols"] == []


def test_it_is_fitted_to_a_length(service: Service) -> None:
    natural_s = len(heard(service, seed=7)) / 24000
    pcm = heard(service, seed=7, fit={"seconds": round(natural_s * 1.2, 3)})
    assert len(pcm) == round(round(natural_s * 1.2, 3) * 24000)


def test_a_plan_that_comes_back_unedited_gives_the_same_samples(service: Service) -> None:
    answer = service.http.post("/v1/plans", json={"actor": "mia", "text": LINE, "seed": 7})
    assert answer.status_code == 200, answer.text
    planned = service.http.post(
        "/v1/speech", json={"plan": answer.json()["plan"], "format": "pcm_f32le"}
    )
    assert planned.status_code == 200, planned.text
    np.testing.assert_array_equal(np.frombuffer(planned.content, "<f4"), heard(service, seed=7))


def test_a_variability_that_it_has_not_is_refused(service: Service) -> None:
    refused = service.speak(LINE, actor="mia", variability={"sound": 1.0, "timing": 0.5})
    assert refused.status_code == 422
    assert refused.json()["where"] == "variability.timing"


@pytest.mark.parametrize(
    "asked",
    [
        {"text": "Hold the line.", "pitch_st": 2.0, "energy_db": -3.0, "breathiness": 0.2},
        {"text": '<speak><break/>Hold it.<break time="1s"/> Go home.<mark name="z"/></speak>'},
    ],
)
def test_it_speaks_while_it_decodes_and_what_is_kept_is_as_if_it_had_been_planned(
    service: Service, asked: dict[str, Any]
) -> None:
    line = Line(actor="mia", seed=7, format="pcm_f32le", **asked)
    rendering = service.studio.open(line)
    assert not rendering.take.words_json  # nobody knows yet when they are heard
    pcm = b"".join(rendering.chunks())
    document, _, _ = service.studio.plan(line)
    take = service.http.get(f"/v1/takes/{rendering.take.id}").json()
    kept = service.http.get(f"/v1/takes/{rendering.take.id}/plan").json()
    assert kept == document.model_dump(mode="json")
    assert take["pcm_sha256"] == hashlib.sha256(pcm).hexdigest()
    planned = service.studio.open(Line(plan=document, format="pcm_f32le"))
    assert b"".join(planned.chunks()) == pcm
    ours, theirs = (json.loads(r.take.timings_json()) for r in (rendering, planned))
    assert ours["words"] == theirs["words"]
    assert ours["marks"] == theirs["marks"]
    assert ours["duration_s"] == theirs["duration_s"] == pytest.approx(len(pcm) / 4 / 24000)


@pytest.mark.parametrize(
    "asked",
    [
        {"rate": 1.1},
        {"breaths": "auto"},
        {"text": "Hold the *line*."},
        {"text": "Hold [breath] on."},
        {"fit": {"seconds": 0.5}},
    ],
)
def test_what_depends_on_where_a_word_lies_is_decoded_first(
    service: Service, asked: dict[str, Any]
) -> None:
    line = Line.model_validate({"actor": "mia", "seed": 7, "text": "Hold the line.", **asked})
    rendering = service.studio.open(line)
    assert rendering.take.words_json
    rendering.close()
