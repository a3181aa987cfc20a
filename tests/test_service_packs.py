"""Packs that are not what they say: refused by name, while the service and the others go on."""

import shutil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import served, tone_of, tones_served, write_pack
from safetensors.numpy import load_file, save_file

from voicesvc import packs
from voicesvc.config import Settings
from voicesvc.engines import Engine
from voicesvc.engines.load import prepare
from voicesvc.packs import Pack
from voicesvc.studio import Studio


def refused(answer: httpx.Response) -> Any:
    """The problem, once it is seen to be one about a pack."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/pack-refused"
    return answer.json()


def with_weights(folder: Path, values: packs.Tensors) -> None:
    """Give the pack in `folder` these tensors, and a manifest that names their hash."""
    save_file(values, folder / packs.WEIGHTS)
    manifest = (folder / packs.MANIFEST).read_text("utf-8")
    origin = (
        f'[weights]\nfile = "{packs.WEIGHTS}"\nsha256 = "{packs.sha256(folder / packs.WEIGHTS)}"\n'
    )
    (folder / packs.MANIFEST).write_text(manifest[: manifest.index("[source]")] + origin, "utf-8")


@pytest.fixture
def broken_packs(tmp_path: Path, joe_studio: Studio) -> Path:
    """`ann` is sound; of the others, each is broken in its own way."""
    joe_studio.cast.voices.lease("joe").release()
    imported = next((joe_studio.settings.cache_path / "packs").glob("joe-*/model.safetensors"))
    models = tmp_path / "models"
    write_pack(models, "ann")
    write_pack(models, "extra-key", ("demonstration = true", "demonstration = true\nmood = 1"))
    other = write_pack(models, "other-hash")
    with_weights(other, {"a": np.zeros(3, np.float32)})
    (other / packs.WEIGHTS).write_bytes((other / packs.WEIGHTS).read_bytes()[:-1] + b"\1")
    values = load_file(imported)
    del values["text_encoder.emb.weight"]
    with_weights(write_pack(models, "one-less"), values)
    (models / "no-manifest").mkdir()
    return models


def test_broken_packs_are_refused_by_name_and_the_others_speak(broken_packs: Path) -> None:
    def load(pack: Pack, given: Settings, say: Any) -> Engine:
        return tone_of(pack) if pack.actor_id == "ann" else prepare(pack, given, say).place()

    given = Settings.read(
        {},
        check_words="off",
        watermark="off",
        models_dir=broken_packs,
        data_dir=broken_packs.parent,
        device="cpu",
    )
    reasons = {
        "extra-key": "unknown key mood",
        "other-hash": "model.safetensors has sha256",
        "one-less": "text_encoder.emb.weight",
        "no-manifest": "pack.toml: No such file",
    }
    with served(Studio(given, load=load)) as service:
        ready = service.http.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["voices"] == {"ann": "ready"} | dict.fromkeys(reasons, "failed")
        assert ready.json()["failed"].keys() == reasons.keys()
        for actor, reason in reasons.items():
            assert reason in ready.json()["failed"][actor]
            problem = refused(service.speak(actor=actor))
            assert actor in problem["detail"]
            assert reason in problem["detail"]
        assert service.speak(actor="ann").status_code == 200
        assert service.http.get("/livez").status_code == 200
        assert service.idle()


def test_without_any_sound_pack_the_service_is_up_and_not_ready(tmp_path: Path) -> None:
    with tones_served(tmp_path) as service:
        assert service.http.get("/readyz").status_code == 200
    shutil.rmtree(tmp_path / "models" / "ann")
    write_pack(tmp_path / "models", "eve", ('engine = "vits"', 'engine = "lpc"'))
    studio = Studio(
        Settings.read(
            {},
            check_words="off",
            watermark="off",
            models_dir=tmp_path / "models",
            data_dir=tmp_path,
        )
    )
    with served(studio) as service:
        assert service.http.get("/livez").status_code == 200
        ready = service.http.get("/readyz")
        assert ready.status_code == 503
        assert "engine" in ready.json()["failed"]["eve"]
        refused(service.speak(actor="eve"))
