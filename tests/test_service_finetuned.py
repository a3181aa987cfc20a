"""Voices that coqui-tts's own trainer made, imported by the command and heard over HTTP."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from conftest import Service, served
from numpy.typing import NDArray
from TTS.tts.configs.vits_config import VitsConfig
from TTS.tts.models.vits import Vits as CoquiVits
from TTS.tts.utils.text.characters import IPAPhonemes
from typer.testing import CliRunner
from voice_files import edit_config, speak, tiny

from voicesvc import packs
from voicesvc.cli import app
from voicesvc.config import Settings
from voicesvc.engines.convert import import_coqui
from voicesvc.engines.tone import Tone
from voicesvc.phonemes import Espeak, Graphemes
from voicesvc.studio import Studio

SAMPLE_RATE_HZ = 22050
READ = (
    "Hold the line.",
    "The harbour was quiet.",
    "Then the storm came.",
    "She said nothing.",
    "Nobody spoke.",
    "He waited there, and looked out.",
    "It rained all night.",
    "Look at the water!",
)
LINE = "Hold the LINE, and wait for me."
ACTORS = {"1": "bea", "2": "ann"}  # by residual block


def write_dataset(folder: Path) -> None:
    """Eight recordings in LJSpeech's layout, read by the tone engine."""
    (folder / "wavs").mkdir(parents=True)
    reader = Tone(frozenset("".join(READ)), "", SAMPLE_RATE_HZ, frames_per_symbol=4)
    rows = []
    for number, text in enumerate(READ):
        plan = reader.plan(Graphemes().words(text, 0), seed=number)
        pcm = np.concatenate(list(reader.stream(plan)))
        soundfile.write(folder / "wavs" / f"line{number}.wav", pcm, SAMPLE_RATE_HZ)
        rows.append(f"line{number}|{text}|{text}\n")
    (folder / "metadata.csv").write_text("".join(rows), "utf-8")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The trainer's output folders, by residual block."""
    folder = tmp_path_factory.mktemp("training")
    write_dataset(folder / "dataset")
    recipe = Path(__file__).parent / "coqui_recipe.py"
    done = subprocess.run(
        [sys.executable, recipe, folder / "dataset", folder / "runs", *ACTORS],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    yield {block: next((folder / "runs").glob(f"vits{block}-*")) for block in ACTORS}
    shutil.rmtree(folder)  # a third of a gigabyte


def still(models: Path, actor: str) -> None:
    """Another pack, of an actor named `<actor>-still`, that draws no noise."""
    folder = models / f"{actor}-still"
    shutil.copytree(models / actor, folder)
    said = (folder / "pack.toml").read_text("utf-8")
    for old, new in (
        (f'actor_id = "{actor}"', f'actor_id = "{actor}-still"'),
        ("noise_scale = 0.5", "noise_scale = 0.0"),
        ("noise_scale_dp = 1.0", "noise_scale_dp = 0.0"),
    ):
        assert old in said, old
        said = said.replace(old, new)
    (folder / "pack.toml").write_text(said, "utf-8")


@pytest.fixture(scope="module")
def phoneme_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[CoquiVits, Path]:
    """A VITS that reads espeak's phonemes, untrained, with the config that coqui's recipe leaves.

    coqui's own way from text to phonemes needs an espeak program, so it is not trained here.
    """
    folder = tmp_path_factory.mktemp("phonemes")
    quiet = {"inference_noise_scale": 0.0, "inference_noise_scale_dp": 0.0}
    model = tiny(folder, model_args=quiet, characters=IPAPhonemes().to_config())
    left = {"use_phonemes": True, "phonemizer": None, "characters": None}
    edit_config(folder, lambda c: c.update(left, text_cleaner="english_cleaners"))
    return model, folder


@pytest.fixture(scope="module")
def models(
    runs: dict[str, Path],
    phoneme_model: tuple[CoquiVits, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder of packs, made by `voicesvc pack import`."""
    folder = tmp_path_factory.mktemp("models")
    for block, actor in ACTORS.items():
        options = ("--actor", actor, "--out", str(folder / actor), "--language", "en-us")
        done = CliRunner().invoke(app, ["pack", "import", str(runs[block]), *options])
        assert done.exit_code == 0, done.output
        still(folder, actor)
    import_coqui(phoneme_model[1], "cas", folder / "cas")
    return folder


@pytest.fixture(scope="module")
def service(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The imported packs behind a real socket."""
    given = {"models_dir": models, "data_dir": tmp_path_factory.mktemp("data")}
    studio = Studio(
        Settings.read(
            {}, check_words="off", watermark="off", **given, device="cpu", precision="fp32"
        )
    )
    with served(studio) as running:
        yield running
    studio.close()


def heard(service: Service, actor: str, text: str = LINE) -> NDArray[np.float32]:
    """The samples of a take as the voice makes them."""
    answer = service.speak(text, actor=actor, format="pcm_f32le", markup="plain")
    assert answer.status_code == 200, answer.text
    assert service.timings(answer)["dropped_symbols"] == []
    return np.frombuffer(answer.content, "<f4")


def assert_same_sound(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> None:
    assert np.abs(theirs).max() > 1e-2
    assert len(theirs) > 2000
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_the_trainer_took_two_steps(runs: dict[str, Path]) -> None:
    for folder in runs.values():
        saved = torch.load(folder / "best_model.pth", weights_only=True)
        assert saved["step"] == 2
        steps = {float(s["step"]) for o in saved["optimizer"] for s in o["state"].values()}
        assert steps == {2.0}


def test_all_that_was_imported_is_ready(service: Service) -> None:
    actors = {a["actor_id"]: a for a in service.http.get("/v1/actors").json()["actors"]}
    assert {a: (f["state"], f["reason"]) for a, f in actors.items()} == dict.fromkeys(
        ("ann", "ann-still", "bea", "bea-still", "cas"), ("ready", None)
    )
    assert actors["ann"]["demonstration"] is True


@pytest.mark.parametrize("actor", ACTORS.values())
def test_a_finetuned_voice_speaks(service: Service, actor: str) -> None:
    answer = service.speak(LINE, actor=actor, seed=7)
    assert answer.status_code == 200, answer.text
    samples, rate_hz = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    assert rate_hz == SAMPLE_RATE_HZ
    timings = service.timings(answer)
    assert timings["complete"]
    assert len(samples) == round(timings["duration_s"] * rate_hz) > 0.2 * rate_hz
    assert np.abs(samples).max() > 1e-2
    assert [w["text"] for w in timings["words"]] == LINE.replace(",", "").rstrip(".").split()
    assert timings["words"][-1]["end_s"] <= timings["duration_s"]
    assert service.speak(LINE, actor=actor, seed=7).content == answer.content
    assert service.speak(LINE, actor=actor, seed=8).content != answer.content


@pytest.mark.parametrize("text", [LINE, "Nobody spoke"])
@pytest.mark.parametrize("block", ACTORS)
def test_it_says_what_coqui_says_with_the_same_checkpoint(
    service: Service, runs: dict[str, Path], block: str, text: str
) -> None:
    config = VitsConfig()
    config.load_json(runs[block] / "config.json")
    model = CoquiVits(config)
    model.load_checkpoint(config, runs[block] / "best_model.pth", eval=True)
    ours = heard(service, f"{ACTORS[block]}-still", text)
    assert_same_sound(ours, speak(model, model.tokenizer.text_to_ids(text)))


def test_a_voice_of_phonemes_says_what_coqui_says(
    service: Service, models: Path, phoneme_model: tuple[CoquiVits, Path]
) -> None:
    assert packs.read(models / "cas").text.phonemizer == "espeak"
    espeak = Espeak("en-us")
    phones = "".join(s for w in espeak.words(LINE, 0) for s in (*w.phones, *w.after))
    espeak.close()
    assert "ɐ" in phones or "æ" in phones
    model = phoneme_model[0]
    assert_same_sound(heard(service, "cas"), speak(model, model.tokenizer.text_to_ids(phones)))
