"""Styles: recordings in an emotion, in place of rules for it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import xtts_files
from safetensors.numpy import load_file
from typer.testing import CliRunner

from voicesvc import packs
from voicesvc.cli import app
from voicesvc.config import Settings
from voicesvc.delivery import EMOTIONS, rows_of, source_of, styled
from voicesvc.delivery.fields import Named
from voicesvc.engines import convert
from voicesvc.engines import xtts_network as network
from voicesvc.engines.load import prepare
from voicesvc.engines.styles import add_style
from voicesvc.errors import BadPlan, PackRefused
from voicesvc.line import Line
from voicesvc.manifest import Change
from voicesvc.phonemes import Word
from voicesvc.plan import Variability
from voicesvc.studio import Studio

WORDS = [Word("so", 0, 2, ("s", "o"), ())]
SAD = Named(name="sad", intensity=0.5)


def add(folder: Path, name: str, *clips: Path) -> Any:
    return CliRunner().invoke(app, ["pack", "add-style", str(folder), name, *map(str, clips)])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mia`, with a style that is what coqui itself hears; and `sad`, whose own voice it is."""
    folder = tmp_path_factory.mktemp("styles")
    coqui = xtts_files.checkpoint(folder / "run")
    xtts_files.clip(folder / "sad.wav", pitch_hz=120.0)
    plain = convert.import_coqui(folder / "run", "mia", folder / "models" / "mia", language="en")
    assert add(plain.folder, "sad", folder / "sad.wav").exit_code == 0
    mia = packs.read(plain.folder)
    heard = load_file(mia.folder / mia.styles["sad"].file)
    audio = torch.from_numpy(soundfile.read(folder / "sad.wav", dtype="float32")[0])[None]
    with torch.no_grad():
        wanted = (
            coqui.get_gpt_cond_latents(audio, 22050, length=30, chunk_length=4),
            coqui.get_speaker_embedding(audio, 22050),
        )
    for name, latents in zip((network.CONDITIONING, network.SPEAKER), wanted, strict=True):
        assert np.allclose(heard[name], latents.squeeze().numpy(), atol=1e-4)
    said = {n: getattr(plain, n) for n in packs.Description.model_fields} | {"actor_id": "sad"}
    words = plain.xtts_network.vocabulary.file
    packs.write(
        packs.Description(**said),
        packs.tensors(plain) | heard,
        folder / "models" / "sad",
        {words: (plain.folder / words).read_bytes()},
    )
    return folder / "models"


@pytest.fixture(scope="module")
def studio(models: Path) -> Iterator[Studio]:
    given = Settings.read(
        {},
        models_dir=models,
        data_dir=models.parent / "data",
        device="cpu",
        precision="fp32",
        acknowledged_licences="CPML",
        load_wait_s=600,
    )
    made = Studio(given)
    yield made
    made.close()


def said(studio: Studio, **fields: Any) -> tuple[bytes, dict[str, str]]:
    rendering = studio.open(Line.model_validate({"format": "pcm_f32le"} | fields))
    return b"".join(rendering.chunks()), rendering.take.sources


def test_the_same_recordings_are_not_heard_again(models: Path) -> None:
    manifest = models / "mia" / "pack.toml"
    before = manifest.stat()
    assert add(models / "mia", "sad", models.parent / "sad.wav").exit_code == 0
    assert manifest.stat().st_ino == before.st_ino
    assert (models / "mia" / "styles" / "sad" / "sad.wav").exists()


def test_what_is_no_style_is_refused(models: Path, tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(b"no")
    wrong = add(models / "mia", "bored", models.parent / "sad.wav")
    assert (wrong.exit_code, "angry-cold" in wrong.output) == (1, True)
    wrong = add(models / "mia", "happy", tmp_path / "noise.wav")
    assert "is no audio" in wrong.output
    assert set(packs.read(models / "mia").styles) == {"sad"}
    shutil.copytree(models / "mia", tmp_path / "mia")
    mia = packs.read(tmp_path / "mia")
    (mia.folder / mia.styles["sad"].file).write_bytes(b"")
    with pytest.raises(PackRefused, match="sha256"):
        prepare(mia, Settings.read({}, device="cpu"), print).place()


def test_the_weight_goes_from_the_voice_to_its_style(studio: Studio) -> None:
    def samples(actor: str, *style: tuple[str, float]) -> Any:
        with studio.cast.leased(actor) as voice:
            plan = voice.plan(WORDS, 1, Variability(style=style))
            return np.concatenate(list(voice.stream(plan)))

    assert np.array_equal(samples("mia", ("sad", 1.0)), samples("sad"))
    assert np.array_equal(samples("mia", ("sad", 0.0)), samples("mia"))
    half = samples("mia", ("sad", 0.5))
    assert not any(np.array_equal(half, samples(actor)) for actor in ("mia", "sad"))


def test_an_emotion_with_a_style_says_so_and_can_be_made_again(studio: Studio) -> None:
    whole, sources = said(studio, actor="mia", text="So.", seed=3, emotion="sad")
    assert (sources["emotion"], sources["quality"]) == ("style", "experimental")
    assert whole == said(studio, actor="sad", text="So.", seed=3)[0]
    line = Line(actor="mia", text="So.", seed=3, emotion=SAD)
    document = json.loads(studio.plan(line)[0].model_dump_json())
    assert document["style"] == {"sad": 0.5}
    half, _ = said(studio, actor="mia", text="So.", seed=3, emotion=SAD.model_dump())
    assert half == said(studio, plan=document)[0] != whole
    with pytest.raises(BadPlan, match="no style 'happy'"):
        said(studio, plan=document | {"style": {"happy": 1.0}})
    told = studio.cast.actor("mia")["emotions"]
    assert (told["sad"]["source"], told["happy"]["source"]) == ("style", "prosody")
    assert told["sad"]["rule"]["rate"] == 1.0


def test_where_parts_differ_all_of_it_is_by_rules(studio: Studio) -> None:
    span = {"start": 0, "end": 2, "emotion": "happy"}
    line = Line.model_validate(
        {"actor": "mia", "text": "So it is.", "seed": 3, "emotion": "sad", "spans": [span]}
    )
    document, _, asked = studio.plan(line)
    assert document.style == {}
    assert (asked.sources or {})["emotion"] == "prosody"
    assert document.sentences[0].words[-1].tilt_db == EMOTIONS["sad"].shape.tilt_db


def test_mixtures_are_of_styles_and_rules() -> None:
    good = Change(dnsmos_change=0, distillmos_change=0, wer_change=0)
    mixed = {"sad": 0.7, "happy": 0.3}
    assert styled(mixed, ["sad"]) == {"sad": 0.7}
    assert styled(Named(name="sad", intensity=2.0), ["sad"]) == {"sad": 1.0}
    assert styled("neutral", ["sad"]) == {}
    assert source_of(mixed, {"sad": good}, ["sad"]) == {
        "source": "style, prosody",
        "quality": "good",
    }
    assert source_of("sad", {}, ["sad"]) == {"source": "style", "quality": "experimental"}
    assert source_of("sad", {}) == {"source": "prosody", "quality": "good"}
    assert rows_of({}, ["sad"])["sad"].shape == EMOTIONS["neutral"].shape
    assert rows_of({}, ["sad"])["happy"] == EMOTIONS["happy"]


def test_only_xtts_has_styles(models: Path) -> None:
    joe = packs.read(Path(__file__).parents[1] / "models" / "joe")
    mia = packs.read(models / "mia")
    said = {n: getattr(joe, n) for n in packs.Description.model_fields}
    with pytest.raises(ValueError, match="styles are for xtts"):
        packs.Description(**said | {"styles": mia.styles})
    with pytest.raises(PackRefused, match="styles are for xtts"):
        add_style(joe, "sad", [])
