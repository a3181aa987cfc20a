"""Voices as what they add to a base: written, read again, in memory once where equal."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xtts_files
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from typer.testing import CliRunner

from voicesvc import deltas, packs
from voicesvc.cast import Cast, prepare_engine
from voicesvc.cli import app
from voicesvc.config import Settings
from voicesvc.engines import convert
from voicesvc.engines import xtts_network as network
from voicesvc.engines.xtts import Xtts
from voicesvc.errors import PackRefused
from voicesvc.packs import Pack
from voicesvc.phonemes import Word

LAYER = "gpt.gpt.h.1.attn.c_proj.weight"
WORDS = [Word("so", 0, 2, ("s", "o"), ())]
FLOATS = hnp.arrays(
    np.float32, (4, 6), elements=st.floats(-100, 100, width=32, allow_subnormal=False)
)


@given(FLOATS, FLOATS)
def test_exact_deltas_lose_no_bit(full: Any, base: Any) -> None:
    values = {"a": full, "same": base, "new": full[0]}
    made = deltas.split(values, {"a": base, "same": base, "old": base})
    assert "same" not in made
    found = deltas.join(made, {"a": base})
    assert set(found) - {"a"} == {"new"}
    again = {"a": base, "same": base} | found
    assert all(again[n].tobytes() == values[n].tobytes() for n in values)


def test_small_changes_of_few_bits_are_half_as_large_and_low_ranks_smaller() -> None:
    dice = np.random.default_rng(1)
    base = dice.normal(size=(64, 48)).astype(np.float32)
    steps = dice.integers(-4, 4, base.shape).astype(np.float32)
    near = (base + steps).astype(np.float32)
    exact = np.round(base * 1024) / 1024
    made = deltas.split({"w": (exact + steps).astype(np.float32)}, {"w": exact.astype(np.float32)})
    assert list(made) == ["w:half"]
    up, down = dice.normal(size=(64, 2)), dice.normal(size=(2, 48))
    low = (base + 0.01 * up @ down).astype(np.float32)
    made = deltas.split({"w": low}, {"w": base}, "lora", 2)
    assert {n: v.shape for n, v in made.items()} == {"w:up": (64, 2), "w:down": (2, 48)}
    assert np.abs(deltas.join(made, {"w": base})["w"] - low).max() < 1e-4
    made = deltas.split({"w": near, "b": near[0]}, {"w": base, "b": base[0]}, "half")
    assert set(made) == {"w:half", "b:half"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A pack of random weights, `base`, in a folder of models."""
    folder = tmp_path_factory.mktemp("base")
    xtts_files.checkpoint(folder / "run")
    return convert.import_coqui(folder / "run", "base", folder / "models" / "base", language="en")


def tuned(base: Pack, actor: str, out: Path, seed: int) -> Pack:
    """A pack as fine-tuned from it: another layer, another voice."""
    dice = np.random.default_rng(seed)
    values = packs.tensors(base)
    for name in (LAYER, network.CONDITIONING, network.SPEAKER):
        values[name] = values[name] + dice.normal(0, 0.05, values[name].shape).astype(np.float32)
    described = packs.Description(
        **{n: getattr(base, n) for n in packs.Description.model_fields} | {"actor_id": actor}
    )
    assert base.xtts is not None
    words = base.xtts.vocabulary.file
    return packs.write(described, values, out, {words: (base.folder / words).read_bytes()})


def cast(models: Path, budget_bytes: int) -> Cast:
    given = Settings.read(
        {},
        models_dir=models,
        data_dir=models.parent / "data",
        device="cpu",
        acknowledged_licences="CPML",
        precision="fp32",
    )
    made = Cast(given, prepare_engine, lambda _: None)
    made.voices._budget = budget_bytes
    return made


def spoken(voice: Any) -> Any:
    return np.concatenate(list(voice.stream(voice.plan(WORDS, 1))))


def test_forty_voices_fit_where_four_did(base: Pack, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(base.folder, models / "base")
    actors = [f"a{i:02d}" for i in range(40)]
    fulls = [tuned(base, a, tmp_path / "full" / a, i) for i, a in enumerate(actors[:2])]
    first = convert.to_delta(fulls[0].folder, models / "base", models / actors[0], "exact", 16)
    assert first.base is not None
    assert first.weights_path.stat().st_size < base.weights_path.stat().st_size / 20
    convert.to_delta(fulls[1].folder, models / "base", models / actors[1], "exact", 16)
    for actor in actors[2:]:
        shutil.copytree(models / actors[1], models / actor)
        path = models / actor / packs.MANIFEST
        path.write_text(path.read_text("utf-8").replace(actors[1], actor), "utf-8")
    held = cast(models, 4 * base.resident_bytes)
    for actor in actors:
        assert held.load(actor, 60)["state"] == "ready"
    states = held.voices.states()
    assert [states[a].name for a in actors] == ["ready"] * 40
    assert held.voices.held_bytes <= 4 * base.resident_bytes
    one, two = (held.voices.lease(a).engine for a in actors[:2])
    assert isinstance(one, Xtts)
    assert isinstance(two, Xtts)
    assert one.vocoder.network.decoder is two.vocoder.network.decoder
    for voice, pack in zip((one, two), fulls, strict=True):
        whole = prepare_engine(pack, held.settings, lambda _: None).place()
        assert (spoken(voice) == spoken(whole)).all()
    assert len(spoken(one)) != len(spoken(two)) or (spoken(one) != spoken(two)).any()
    held.close()


def test_what_does_not_go_with_its_base_is_refused(base: Pack, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(base.folder, models / "base")
    full = tuned(base, "ann", tmp_path / "full" / "ann", 1)
    with pytest.raises(PackRefused, match="beside the pack"):
        convert.to_delta(full.folder, models / "base", tmp_path / "ann", "exact", 16)
    made = CliRunner().invoke(
        app,
        f"pack delta {full.folder} --base {models}/base --out {models}/ann --kind lora --rank 4",
    )
    assert made.exit_code == 0, made.output
    delta = packs.read(models / "ann")
    assert delta.model_sha256 != delta.weights_sha256
    assert CliRunner().invoke(app, ["pack", "check", str(models / "ann")]).exit_code == 0
    with pytest.raises(PackRefused, match="made on a base itself"):
        convert.to_delta(models / "ann", models / "base", models / "eve", "exact", 16)
    other = tuned(base, "base", tmp_path / "other" / "base", 2)
    shutil.rmtree(models / "base")
    checked = CliRunner().invoke(app, ["pack", "check", str(models / "ann")])
    assert checked.exit_code == 1
    assert "base" in checked.output
    shutil.copytree(other.folder, models / "base")
    checked = CliRunner().invoke(app, ["pack", "check", str(models / "ann")])
    assert "is not the base that it was made on" in checked.output


def test_a_pack_is_shown(base: Pack) -> None:
    shown = CliRunner().invoke(app, ["pack", "show", str(base.folder)])
    assert base.model_sha256 in shown.output
    assert "symbols" not in shown.output
