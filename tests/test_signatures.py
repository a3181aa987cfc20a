"""Signed packs: whose are served, and what is noticed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MODELS, eventually, served, tone_studio
from typer.testing import CliRunner

from voicesvc import packs, signatures
from voicesvc.cli import app
from voicesvc.errors import BadSetting
from voicesvc.manifest import StyleFile
from voicesvc.rights import keys


def run(*args: Any, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["pack", *map(str, args)])
    assert done.exit_code == code, done.output
    return done.output


def make_key(folder: Path, name: str) -> Path:
    """A key pair's private half; the public one lies in `trusted`."""
    keys.write(keys.new(), folder / f"{name}.json")
    trusted = folder / name
    trusted.mkdir()
    public = keys.public(keys.read((folder / f"{name}.json").read_bytes()))
    (trusted / "key.json").write_text(json.dumps(public))
    return folder / f"{name}.json"


@pytest.fixture
def ann(tmp_path: Path) -> packs.Pack:
    """A pack with a weights file, a licence and a recording."""
    said = packs.read(MODELS / "joe")
    described = {n: getattr(said, n) for n in packs.Description.model_fields}
    return packs.write(
        packs.Description(**described | {"actor_id": "ann"}),
        {"a": np.ones(3, np.float32)},
        tmp_path / "models" / "ann",
        {"LICENCE": b"hers", "breaths/in.wav": b"hh"},
    )


@pytest.mark.parametrize("change", ["LICENCE", "breaths/in.wav", "breaths/new.wav", "pack.toml"])
def test_a_changed_file_is_named(ann: packs.Pack, tmp_path: Path, change: str) -> None:
    lab = make_key(tmp_path, "lab")
    assert keys.kid(signatures.signer(lab)) in run("sign", ann.folder, "--key", lab)
    assert "4 files" in run("verify", ann.folder, "--key", tmp_path / "lab")
    path = ann.folder / change
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b"\n")
    assert change in run("verify", ann.folder, "--key", tmp_path / "lab", code=1)
    run("sign", ann.folder, "--key", lab)  # by whoever has the key: those are the files now
    run("verify", ann.folder, "--key", tmp_path / "lab")
    if path != ann.folder / packs.MANIFEST:
        path.unlink()
        assert "is missing" in run("verify", ann.folder, "--key", tmp_path / "lab", code=1)


def test_only_what_the_manifest_says_is_signed_and_by_a_private_key(
    ann: packs.Pack, tmp_path: Path
) -> None:
    make_key(tmp_path, "lab")
    public = tmp_path / "lab" / "key.json"
    assert "no private key" in run("sign", ann.folder, "--key", public, code=1)
    ann.weights_path.write_bytes(b"")
    assert "sha256" in run("sign", ann.folder, "--key", tmp_path / "lab.json", code=1)
    assert not (ann.folder / signatures.SIGNATURES).exists()
    with pytest.raises(BadSetting, match="VOICESVC_PACK_KEYS"):
        signatures.trusted(tmp_path / "models")


def test_two_sign_the_same_files_and_either_is_enough(ann: packs.Pack, tmp_path: Path) -> None:
    lab, studio = make_key(tmp_path, "lab"), make_key(tmp_path, "studio")
    run("sign", ann.folder, "--key", lab)
    said = run("sign", ann.folder, "--key", studio)
    assert all(keys.kid(signatures.signer(key)) in said for key in (lab, studio))
    for name in ("lab", "studio"):
        run("verify", ann.folder, "--key", tmp_path / name)


def test_a_pack_that_nobody_trusted_signed_is_refused_until_it_is(
    ann: packs.Pack, tmp_path: Path
) -> None:
    lab, other = make_key(tmp_path, "lab"), make_key(tmp_path, "other")
    run("sign", ann.folder, "--key", other)
    tones: dict[str, Any] = {}
    studio = tone_studio(tmp_path / "models", tones, {}, pack_keys=tmp_path / "lab")
    with served(studio, tones=tones) as service:
        for told in ("/readyz", "/v1/actors"):
            assert "not signed by a key that is trusted here" in service.http.get(told).text
        assert service.http.get("/readyz").status_code == 503
        refused = service.speak("Hello.", actor="ann")
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/pack-refused")
        run("sign", ann.folder, "--key", lab)
        assert service.speak("Hello.", actor="ann").status_code == 200
        studio.cast.unload("ann")
        (ann.folder / "LICENCE").write_bytes(b"mine")  # no other manifest: seen when it is loaded
        assert eventually(lambda: "LICENCE" in service.speak("Hello.", actor="ann").text)


def test_a_style_makes_another_model(ann: packs.Pack) -> None:
    assert ann.model_sha256 == ann.weights_sha256
    sad, cold = (StyleFile(file="s", sha256=c * 64) for c in "ab")
    models = [
        ann.model_copy(update={"styles": styles}).model_sha256
        for styles in ({"sad": sad}, {"sad": cold}, {"happy": sad}, {"sad": sad, "happy": cold})
    ]
    assert len({*models, ann.model_sha256}) == 5
    assert ann.model_copy(update={"styles": {"happy": cold, "sad": sad}}).model_sha256 == models[-1]
