"""XTTS v2 checkpoints become packs: every key and tensor accounted for, latents worked out once."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from TTS.tts.models.xtts import Xtts as CoquiXtts
from typer.testing import CliRunner
from voice_files import GRANTED, edit_state
from xtts_files import checkpoint, clip, edit_config

from voicesvc import packs
from voicesvc.cli import app
from voicesvc.engines.convert import Reference, import_coqui
from voicesvc.engines.coqui_xtts import About, from_coqui_xtts
from voicesvc.errors import PackRefused

ABOUT = About("mia", language="en-us")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CoquiXtts]:
    folder = tmp_path_factory.mktemp("xtts")
    return folder, checkpoint(folder)


@pytest.fixture
def folder(published: tuple[Path, CoquiXtts], tmp_path: Path) -> Path:
    """A copy that a test may change."""
    for path in published[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_a_published_checkpoint_becomes_a_pack(
    published: tuple[Path, CoquiXtts], tmp_path: Path
) -> None:
    source, model = published
    pack = import_coqui(source, "mia", tmp_path / "mia", language="en-us", licence=GRANTED)
    assert packs.read(tmp_path / "mia") == pack
    packs.verify(pack)
    assert (pack.engine, pack.sample_rate_hz, pack.licence.base) == ("xtts", 24000, "CPML")
    values = packs.tensors(pack)
    np.testing.assert_array_equal(
        values["gpt.mel_head.weight"], model.gpt.mel_head.weight.detach().numpy()
    )
    ups = model.hifigan_decoder.waveform_decoder.ups[0].weight.detach().numpy()
    np.testing.assert_allclose(
        values["hifigan_decoder.waveform_decoder.ups.0.weight"], ups, atol=1e-6
    )
    clips = (source / "reference.wav").read_bytes()
    assert pack.xtts_network.references_sha256 == (hashlib.sha256(clips).hexdigest(),)
    assert pack.xtts_network.f0_hz == pytest.approx(220.0, abs=1.0)


def test_latents_are_those_that_coqui_works_out(
    published: tuple[Path, CoquiXtts], tmp_path: Path
) -> None:
    source, model = published
    clip(tmp_path / "long.wav", 7.0, 150.0)
    clip(tmp_path / "short.wav", 2.0, 200.0)
    clips = (tmp_path / "long.wav", tmp_path / "short.wav")
    _, values, _ = from_coqui_xtts(source, ABOUT, Reference(clips))
    heard = [torch.from_numpy(soundfile.read(c, dtype="float32")[0])[None] for c in clips]
    speaker = torch.stack([model.get_speaker_embedding(h.clone(), 22050) for h in heard]).mean(0)
    conditioning = model.get_gpt_cond_latents(torch.cat(heard, 1), 22050, 3, 3)
    np.testing.assert_allclose(values["voice.speaker"], speaker.flatten(), atol=1e-5)
    np.testing.assert_allclose(values["voice.conditioning"], conditioning[0], atol=1e-5)


def test_a_finetuning_folder_gives_the_same_voice(folder: Path, tmp_path: Path) -> None:
    _, before, _ = from_coqui_xtts(folder, ABOUT)

    def as_trained(state: dict[str, Any]) -> None:
        for name in list(state):
            state[f"xtts.{name}"] = state.pop(name)
        state["dvae.encoder.weight"] = torch.ones(2)
        state["torch_mel_spectrogram_dvae.mel_norms"] = torch.ones(2)

    edit_state(folder, as_trained)
    (folder / "model.pth").rename(folder / "best_model.pth")
    _, after, _ = from_coqui_xtts(folder, ABOUT)
    assert after.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, rtol=0, atol=1e-6)


def test_a_stored_speaker_needs_no_recording(folder: Path) -> None:
    (folder / "reference.wav").unlink()
    with pytest.raises(PackRefused, match="holds no recording of the voice"):
        from_coqui_xtts(folder, ABOUT)
    latents = {
        "gpt_cond_latent": torch.randn(1, 32, 64),
        "speaker_embedding": torch.ones(1, 512, 1),
    }
    torch.save({"Ann Lee": latents}, folder / "speakers_xtts.pth")
    description, values, _ = from_coqui_xtts(folder, ABOUT, Reference(speaker="Ann Lee"))
    np.testing.assert_array_equal(values["voice.conditioning"], latents["gpt_cond_latent"][0])
    np.testing.assert_array_equal(values["voice.speaker"], np.ones(512))
    assert description.xtts_network.f0_hz is None
    with pytest.raises(PackRefused, match=r"no speaker 'Bob'.*valid: Ann Lee"):
        from_coqui_xtts(folder, ABOUT, Reference(speaker="Bob"))


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"model": "tortoise"}, "model 'tortoise' is not served"),
        ({"gpt_use_perceiver_resampler": False}, "version 1 is not served"),
        ({"decoder_input_dim": 128}, "decoder_input_dim is not gpt_n_model_channels"),
        ({"invented": 1}, "unknown key invented"),
        ({"temperature": 0.0}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"repetition_penalty": 0.5}, "repetition_penalty"),
        ({"length_penalty": 0.5}, "length_penalty"),
        ({"gpt_start_audio_token": 34}, "gpt_start_audio_token 34 is not one of 34"),
        ({"gpt_stop_text_token": 3}, r"gpt_stop_text_token 3 is not \[STOP\]"),
        ({"gpt_n_heads": 3}, "multiple of 32 and of gpt_n_heads"),
    ],
)
def test_a_config_that_is_not_served_is_refused(
    folder: Path, changed: dict[str, Any], says: str
) -> None:
    edit_config(folder, **changed)
    with pytest.raises(PackRefused, match=says):
        from_coqui_xtts(folder, ABOUT)


def test_a_language_that_is_not_served_is_refused(folder: Path) -> None:
    with pytest.raises(PackRefused, match=r"language 'sv' is not served; valid.*'en'.*'zh-cn'"):
        from_coqui_xtts(folder, About("mia", language="sv"))
    with pytest.raises(PackRefused, match="names no one language"):
        from_coqui_xtts(folder, About("mia"))


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("gpt.mel_head.bias"), "gpt.mel_head.bias is missing"),
        (lambda s: s.update({"gpt.extra": torch.ones(1)}), "gpt.extra is not part of this network"),
        (lambda s: s["gpt.gpt.ln_f.bias"].fill_(float("inf")), "gpt.gpt.ln_f.bias holds a number"),
        (lambda s: s.update(mel_stats=torch.ones(9)), r"mel_stats has shape \(9,\), not \(80,\)"),
    ],
)
def test_every_tensor_is_accounted_for(
    folder: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    edit_state(folder, change)
    with pytest.raises(PackRefused, match=says):
        from_coqui_xtts(folder, ABOUT)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("content", ["{}", "[]", '{"model": {"type": "Unigram", "merges": []}}'])
def test_a_vocabulary_that_is_none_is_refused(folder: Path, content: str) -> None:
    (folder / "vocab.json").write_text(content)
    with pytest.raises(PackRefused, match=r"vocab\.json: is not a vocabulary"):
        from_coqui_xtts(folder, ABOUT)


def test_a_recording_that_is_none_is_refused(folder: Path) -> None:
    (folder / "reference.wav").write_bytes(b"not a recording")
    with pytest.raises(PackRefused, match=r"reference\.wav: is no audio"):
        from_coqui_xtts(folder, ABOUT)
    clip(folder / "reference.wav", 0.2)
    with pytest.raises(PackRefused, match=r"less than 0\.33 s"):
        from_coqui_xtts(folder, ABOUT)


def test_a_changed_vocabulary_is_noticed(folder: Path, tmp_path: Path) -> None:
    pack = import_coqui(folder, "mia", tmp_path / "out" / "mia", language="en")
    (pack.folder / "vocab.json").write_text("{}")
    with pytest.raises(PackRefused, match=r"vocab\.json has sha256"):
        packs.verify(pack)


def test_the_command_says_under_what_licence_the_base_is(folder: Path, tmp_path: Path) -> None:
    def run(name: str, *options: str) -> str:
        out = str(tmp_path / "packs" / name)
        said = ["pack", "import", str(folder), "--actor", name, "--out", out, "--language", "en"]
        done = CliRunner().invoke(app, [*said, *options])
        assert done.exit_code == 0, done.output
        return done.output

    assert "non-commercial" in run("mia", "--reference", str(folder / "reference.wav"))
    assert "non-commercial" not in run(
        "ann",
        *("--licence-weights", "ours", "--licence-data", "ours"),
        *("--licence-base", "granted by its owner"),
    )
    assert packs.read(tmp_path / "packs" / "ann").licence.base_granted == "granted by its owner"
