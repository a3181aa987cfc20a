"""VITS models of several speakers: one of them is the actor, others are the actor's emotions."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner
from voice_files import edit_config, tiny

from voicesvc import packs
from voicesvc.cli import app
from voicesvc.config import Settings
from voicesvc.engines import Batching, coqui_speakers, vits
from voicesvc.engines.convert import Reference, import_coqui
from voicesvc.engines.tensors import SPEAKER
from voicesvc.errors import PackRefused
from voicesvc.line import Line
from voicesvc.packs import Pack
from voicesvc.phonemes import Graphemes
from voicesvc.plan import Variability
from voicesvc.studio import Studio

WORDS = Graphemes("en-us").words("Hold fast, and wait.", 0)
NAMES = {"ann": 1, "ann_sad": 2, "ann_angry": 0}
WHOSE = Reference(speaker="ann", styles={"sad": "ann_sad", "angry": "ann_angry"})
SIZE = 6
STILL = {"sound": 0.0, "timing": 0.0}


def table(folder: Path, **more: Any) -> Any:
    """A checkpoint with a table of three speakers, named as coqui's trainer names them."""
    folder.mkdir(parents=True)
    (folder / "speaker_ids.json").write_text(json.dumps(NAMES), "utf-8")
    args = {
        "use_speaker_embedding": True,
        "speaker_embedding_channels": SIZE,
        "speakers_file": str(folder / "speaker_ids.json"),
    }
    model = tiny(folder, model_args={**args, **more})
    with torch.no_grad():
        model.emb_g.weight.normal_(0.0, 5.0)  # so far apart that it is heard
    saved = torch.load(folder / "model.pth", weights_only=True)
    saved["model"]["emb_g.weight"] = model.emb_g.weight.detach().clone()
    torch.save(saved, folder / "model.pth")
    return model


def vectors(path: Path, seed: int = 0, size: int = SIZE) -> dict[str, np.ndarray]:
    """Two clips of each speaker, in a file of d-vectors; name -> mean."""
    drawn = np.random.default_rng(seed)
    said, means = {}, {}
    for name in NAMES:
        clips = drawn.normal(0.0, 1.0, (2, size)).astype(np.float32)
        means[name] = clips.mean(0)
        for i, clip in enumerate(clips):
            said[f"{name}/{i}.wav"] = {"name": name, "embedding": clip.tolist()}
    path.write_text(json.dumps(said), "utf-8")
    return means


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Pack]:
    folder = tmp_path_factory.mktemp("speakers")
    model = table(folder / "run")
    out = folder / "models" / "ann"
    said = ("import", folder / "run", "--actor", "ann", "--out", out, "--speaker", "ann")
    done = run(*said, "--style", "sad=ann_sad", "--style", "angry=ann_angry")
    assert done.exit_code == 0, done.output
    return model, packs.read(out)


@pytest.fixture(scope="module")
def voice(made: tuple[Any, Pack]) -> Iterator[vits.Vits]:
    engine = vits.load(made[1], "cpu", "fp32")
    yield engine
    engine.close()


def ours(engine: vits.Vits, *style: tuple[str, float]) -> np.ndarray:
    plan = engine.plan(WORDS, 1, Variability(style=style, **STILL))
    return np.concatenate(list(engine.stream(plan)))


def theirs(model: Any, engine: vits.Vits, **whose: Any) -> np.ndarray:
    """coqui's own inference of the same ids without noise."""
    ids = [u.id for u in engine.plan(WORDS, 1).units()]
    model.inference_noise_scale = model.inference_noise_scale_dp = 0.0
    said = model.inference(torch.tensor([ids]), {"x_lengths": None, **whose})
    return said["model_outputs"].detach().squeeze().numpy()


def by_id(model: Any, engine: vits.Vits, name: str) -> np.ndarray:
    return theirs(model, engine, speaker_ids=torch.tensor([NAMES[name]]))


def run(*said: object) -> Any:
    return CliRunner().invoke(app, ["pack", *map(str, said)])


def test_a_pack_holds_the_actor_and_none_of_the_others(made: tuple[Any, Pack]) -> None:
    model, pack = made
    values = packs.tensors(pack)
    assert "emb_g.weight" not in values
    np.testing.assert_array_equal(values[SPEAKER], model.emb_g.weight.detach()[NAMES["ann"]])
    assert set(pack.styles) == {"sad", "angry"}
    shape = pack.vits_network
    assert (shape.speaker_embedding_channels, shape.d_vector_dim) == (SIZE, 0)
    assert packs.read(pack.folder) == pack


def as_coqui(model: Any, engine: vits.Vits) -> None:
    for style, name in (
        ((), "ann"),
        ((("sad", 1.0),), "ann_sad"),
        ((("angry", 1.0),), "ann_angry"),
    ):
        said = by_id(model, engine, name)
        assert ours(engine, *style).shape == said.shape
        np.testing.assert_allclose(ours(engine, *style), said, atol=1e-4)
        assert np.abs(said).max() > 1e-3


def test_each_speaker_is_as_in_coquis_inference(made: tuple[Any, Pack], voice: vits.Vits) -> None:
    as_coqui(made[0], voice)


def test_so_it_is_where_durations_are_not_drawn_or_hear_no_speaker(tmp_path: Path) -> None:
    model = table(tmp_path / "run", use_sdp=False, condition_dp_on_speaker=False)
    pack = import_coqui(tmp_path / "run", "ann", tmp_path / "ann", reference=WHOSE)
    engine = vits.load(pack, "cpu", "fp32")
    as_coqui(model, engine)
    engine.close()


def test_a_style_goes_from_the_voice_to_the_speaker_and_mixes(
    made: tuple[Any, Pack], voice: vits.Vits
) -> None:
    neutral, sad = ours(voice), ours(voice, ("sad", 1.0))
    np.testing.assert_array_equal(ours(voice, ("sad", 0.0)), neutral)
    between = [ours(voice, ("sad", 0.5)), ours(voice, ("angry", 0.3), ("sad", 0.5))]
    for one in between:
        for other in (neutral, sad, *(b for b in between if b is not one)):
            assert one.shape != other.shape or np.abs(one - other).max() > 1e-4
    model = made[0]
    mixed = sum(
        share * model.emb_g.weight.detach()[NAMES[name]]
        for name, share in (("ann", 0.2), ("ann_angry", 0.3), ("ann_sad", 0.5))
    )
    with torch.no_grad():
        model.emb_g.weight[NAMES["ann"]], kept = mixed, model.emb_g.weight[NAMES["ann"]].clone()
        said = by_id(model, voice, "ann")
        model.emb_g.weight[NAMES["ann"]] = kept
    np.testing.assert_allclose(between[1], said, atol=1e-4)


def test_an_emotion_with_a_speaker_of_its_own_says_so(
    made: tuple[Any, Pack], tmp_path: Path
) -> None:
    given = Settings.read(
        {}, models_dir=made[1].folder.parent, data_dir=tmp_path, device="cpu", precision="fp32"
    )
    studio = Studio(given)
    try:
        told = studio.cast.actor("ann")["emotions"]
        assert (told["sad"]["source"], told["happy"]["source"]) == ("style", "prosody")
        line = {"actor": "ann", "text": "So.", "seed": 3}
        sad, rules = (
            studio.plan(Line.model_validate(line | {"emotion": name})) for name in ("sad", "happy")
        )
        assert (sad[0].style, rules[0].style) == ({"sad": 1.0}, {})
        assert (sad[2].sources or {})["emotion"] == "style"
        assert (rules[2].sources or {})["emotion"] == "prosody"
    finally:
        studio.close()


def test_a_speaker_is_to_be_chosen_and_lists_who_there_is(tmp_path: Path) -> None:
    config = {"model_args": {"use_d_vector_file": False, "speakers_file": "/elsewhere/s.pth"}}
    rows = np.zeros((3, SIZE), np.float32)
    assert list(coqui_speakers.embeddings(tmp_path, config, rows)) == ["0", "1", "2"]
    torch.save(NAMES, tmp_path / "s.pth")
    found = coqui_speakers.embeddings(tmp_path, config, rows)
    for name, says in ((None, "which speaker"), ("bob", "'bob'")):
        with pytest.raises(PackRefused, match=says) as refused:
            coqui_speakers.chosen(found, name, "speaker")
        assert refused.value.valid == sorted(NAMES)
    with pytest.raises(PackRefused, match="does not name the 2 speakers"):
        coqui_speakers.embeddings(tmp_path, config, rows[:2])
    torch.save({"ann": torch.zeros(1)}, tmp_path / "s.pth")
    with pytest.raises(PackRefused, match="more than plain values"):
        coqui_speakers.embeddings(tmp_path, config, rows)
    tiny(tmp_path / "one")
    with pytest.raises(PackRefused, match="has one speaker"):
        import_coqui(tmp_path / "one", "ann", tmp_path / "ann", reference=WHOSE)


def test_styles_are_given_to_a_pack_from_its_checkpoint(
    made: tuple[Any, Pack], tmp_path: Path
) -> None:
    model, pack = made
    source, out = pack.folder.parents[1] / "run", tmp_path / "ann"
    shutil.copytree(pack.folder, out)
    before = packs.amend(packs.read(out), {"styles": {"angry": pack.styles["angry"]}}, {})
    added = run("add-style", out, "sad", source, "--speaker", "ann_sad")
    assert added.exit_code == 0, added.output
    after = packs.read(out)
    assert set(after.styles) == {"angry", "sad"}
    assert after.model_sha256 != before.model_sha256
    kept = load_file(out / after.styles["sad"].file)[SPEAKER]
    np.testing.assert_array_equal(kept, model.emb_g.weight.detach()[NAMES["ann_sad"]])
    (tmp_path / "sad.wav").write_bytes(b"RIFF")
    refused = run("add-style", out, "sad", tmp_path / "sad.wav")
    assert refused.exit_code == 1
    assert "the encoder of speakers" in " ".join(refused.output.split())
    assert "angry-cold" in run("add-style", out, "bored", source, "--speaker", "ann").output
    shutil.copytree(source, tmp_path / "run")
    other = torch.load(tmp_path / "run" / "model.pth", weights_only=True)
    other["model"]["text_encoder.proj.bias"] += 1
    torch.save(other, tmp_path / "run" / "model.pth")
    refused = run("add-style", out, "sad", tmp_path / "run", "--speaker", "ann_sad")
    assert "is not the model of ann" in " ".join(refused.output.split())


def test_d_vectors_come_from_files_and_are_as_in_coquis_inference(tmp_path: Path) -> None:
    model = tiny(tmp_path / "run", model_args={"use_d_vector_file": True, "d_vector_dim": SIZE})
    edit_config(
        tmp_path / "run",
        lambda c: c["model_args"].update(d_vector_file=["/elsewhere/speakers.json"]),
    )
    means = vectors(tmp_path / "run" / "speakers.json")
    more = vectors(tmp_path / "more.json", seed=1)
    whose = Reference(speaker="ann", styles={"sad": "ann_sad"})
    pack = import_coqui(tmp_path / "run", "ann", tmp_path / "ann", reference=whose)
    assert pack.vits_network.d_vector_dim == SIZE
    added = run("add-style", pack.folder, "angry", tmp_path / "more.json", "--speaker", "ann_angry")
    assert added.exit_code == 0, added.output
    engine = vits.load(packs.read(pack.folder), "cpu", "fp32")
    mixed = 0.5 * means["ann"] + 0.5 * means["ann_sad"]
    for style, vector in (
        ((), means["ann"]),
        ((("sad", 1.0),), means["ann_sad"]),
        ((("angry", 1.0),), more["ann_angry"]),
        ((("sad", 0.5),), mixed),
    ):
        said = theirs(model, engine, d_vectors=torch.from_numpy(vector)[None])
        np.testing.assert_allclose(ours(engine, *style), said, atol=1e-4)
    engine.close()
    (tmp_path / "sad.wav").write_bytes(b"RIFF")
    refused = run("add-style", pack.folder, "sad", tmp_path / "sad.wav")
    assert "coqui's speakers.json" in " ".join(refused.output.split())
    vectors(tmp_path / "wide.json", size=SIZE + 1)
    refused = run("add-style", pack.folder, "sad", tmp_path / "wide.json", "--speaker", "ann")
    assert f"an embedding of {SIZE + 1} numbers" in " ".join(refused.output.split())
    (tmp_path / "none.json").write_text('{"a": 1}', "utf-8")
    with pytest.raises(PackRefused, match="no file of d-vectors"):
        coqui_speakers.of_file(tmp_path / "none.json")


def test_cells_of_other_styles_are_not_computed_at_once(voice: vits.Vits) -> None:
    words = Graphemes("en-us").words("Hold fast, and wait for me at the harbour. " * 20, 0)
    voice.batching = Batching(rows=(2,), costs={1: 1.0, 2: 1.0})
    kinds = []
    for style in ((), (("sad", 1.0),), (("sad", 0.5),), (("sad", 1.0),)):
        stream = voice.stream(voice.plan(words, 1, Variability(style=style, **STILL)))
        next(stream)
        cell = stream.cell()
        assert cell is not None
        kinds.append(cell.kind)
    voice.batching = Batching()
    assert len(set(kinds)) == 3
    assert kinds[1] == kinds[3]
