"""Packs on disk: strict manifests, weights by hash, and folders that appear whole."""

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from voicesvc import packs
from voicesvc.errors import PackRefused
from voicesvc.packs import Description, Licence, Pack, Tensors, Text, Vits

JOE = Path(__file__).parent.parent / "models" / "joe"
VITS = Vits(
    num_chars=5,
    hidden_channels=4,
    hidden_channels_ffn_text_encoder=8,
    num_heads_text_encoder=2,
    num_layers_text_encoder=1,
    kernel_size_text_encoder=3,
    kernel_size_flow=5,
    dilation_rate_flow=1,
    num_layers_flow=1,
    resblock_type_decoder="2",
    resblock_kernel_sizes_decoder=(3,),
    resblock_dilation_sizes_decoder=((1, 2),),
    upsample_rates_decoder=(4, 2),
    upsample_initial_channel_decoder=8,
    upsample_kernel_sizes_decoder=(8, 4),
    use_sdp=True,
)
DESCRIPTION = Description(
    actor_id="mia",
    name="Mia",
    language="en-us",
    sample_rate_hz=16000,
    demonstration=False,
    resident_bytes=36,
    licence=Licence(weights="granted", data="granted"),
    text=Text(
        phonemizer="espeak",
        symbols=("_", "^", "$", "", "a"),
        pad="_",
        bos="^",
        eos="$",
        blank="_",
        add_blank=True,
        use_bos_eos=True,
    ),
    vits=VITS,
)
COSTS = {"dnsmos_change": -0.1, "distillmos_change": -0.2, "wer_change": 0.01}
TENSORS: Tensors = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array([1.5, -2.0, 0.25], np.float32),
}


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """A small pack with two tensors."""
    return packs.write(DESCRIPTION, TENSORS, tmp_path / "mia")


def manifest(**changed: Any) -> dict[str, Any]:
    """A valid manifest with weights; `a__b=1` changes key b of table a, None removes it."""
    content: dict[str, Any] = DESCRIPTION.model_dump(mode="json", exclude_none=True)
    content["weights"] = {"file": "model.safetensors", "sha256": "0" * 64}
    for path, value in changed.items():
        *tables, key = path.split("__")
        table = content
        for name in tables:
            table = table.setdefault(name, {})
        if value is None:
            del table[key]
        else:
            table[key] = value
    return content


def read(tmp_path: Path, content: dict[str, Any]) -> Pack:
    """Write `content` as a manifest and read it."""
    (tmp_path / "pack.toml").write_text(tomli_w.dumps(content), "utf-8")
    return packs.read(tmp_path)


def test_what_was_written_is_read(pack: Pack) -> None:
    again = packs.read(pack.folder)
    assert again == pack
    assert again.vits == VITS
    assert again.vits.hop == 8
    assert again.text.ids() == {"_": 0, "^": 1, "$": 2, "a": 4}
    loaded = packs.tensors(again)
    assert loaded.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(loaded[name], value)


def test_emotions_of_its_own_survive_writing(tmp_path: Path) -> None:
    content = manifest(emotion__sad__rate=0.9, measured__emotion__sad=COSTS)
    first = read(tmp_path, content)
    assert first.emotion["sad"].rate == 0.9
    assert first.emotion["sad"].range is None
    assert first.measured.emotion["sad"].model_dump() == COSTS
    again = packs.write(first, TENSORS, tmp_path / "again")
    assert (again.emotion, again.measured) == (first.emotion, first.measured)
    assert packs.read(tmp_path / "again") == again


def test_same_tensors_same_bytes(pack: Pack, tmp_path: Path) -> None:
    shuffled = dict(reversed(list(TENSORS.items())))
    other = packs.write(DESCRIPTION, shuffled, tmp_path / "other")
    assert other.weights_path.read_bytes() == pack.weights_path.read_bytes()
    assert other.model_sha256 == pack.model_sha256


def test_a_folder_that_is_there_is_not_overwritten(pack: Pack) -> None:
    before = pack.weights_path.read_bytes()
    with pytest.raises(PackRefused, match="mia"):
        packs.write(DESCRIPTION, {"a": TENSORS["a"]}, pack.folder)
    assert pack.weights_path.read_bytes() == before
    assert [p.name for p in pack.folder.parent.iterdir()] == ["mia"]


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PackRefused, match="cannot be written"):
        packs.write(DESCRIPTION, TENSORS, tmp_path / "file" / "mia")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("changed", "where", "says"),
    [
        ({"colour": "red"}, "colour", "actor_id"),
        ({"vits__colour": "red"}, "vits.colour", "hidden_channels"),
        ({"weights__url": "x"}, "weights.url", "sha256"),
        ({"emotion__sad__tempo": 0.9}, "emotion.sad.tempo", "pause_scale"),
        ({"emotion__sadly__rate": 0.9}, "emotion.sadly.[key]", "neutral"),
        ({"emotion__sad__rate": 0.4}, "emotion.sad.rate", "0.5"),
        (
            {"measured__emotion__sad": COSTS | {"mos": 1.0}},
            "measured.emotion.sad.mos",
            "wer_change",
        ),
        ({"measured__speed": {}}, "measured.speed", "emotion"),
        ({"name": None}, "name", "required"),
        ({"version": 2}, "version", "1"),
        ({"engine": "tortoise"}, "engine", "vits"),
        ({"actor_id": "../mia"}, "actor_id", "pattern"),
        ({"demonstration": "yes"}, "demonstration", "boolean"),
        ({"sample_rate_hz": 7}, "sample_rate_hz", "8000"),
        ({"sample_rate_hz": 22050.0}, "sample_rate_hz", "integer"),
        ({"resident_bytes": 0}, "resident_bytes", "greater"),
        ({"vits__noise_scale": float("nan")}, "vits.noise_scale", "finite"),
        ({"vits__length_scale": float("inf")}, "vits.length_scale", "finite"),
        ({"vits__noise_scale": -0.1}, "vits.noise_scale", "greater"),
        ({"vits__kernel_size_flow": 4}, "vits", "odd"),
        ({"vits__hidden_channels": 5}, "vits", "even"),
        ({"vits__upsample_kernel_sizes_decoder": [8]}, "vits", "upsample"),
        ({"vits__upsample_kernel_sizes_decoder": [8, 3]}, "vits", "upsample"),
        ({"vits__upsample_initial_channel_decoder": 6}, "vits", "halve"),
        ({"vits__resblock_type_decoder": "1"}, "vits", "3 dilations"),
        ({"vits__resblock_type_decoder": "3"}, "vits.resblock_type_decoder", "'1' or '2'"),
        ({"vits__num_chars": 4}, None, "5 symbols"),
        ({"text__symbols": ["_", "^", "$", "a", "a"]}, "text", "more than once"),
        ({"text__bos": "!"}, "text", "bos"),
        ({"text__lowercase": True}, "text", "graphemes only"),
        ({"text__blank": None}, "text", "blank"),
        ({"text__eos": None}, "text", "eos"),
        ({"weights__sha256": "A" * 64}, "weights.sha256", "pattern"),
        ({"weights": None}, None, "either"),
        ({"source": {"kind": "piper"}}, "source.package", "required"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused_by_name(
    tmp_path: Path, changed: dict[str, Any], where: str | None, says: str
) -> None:
    with pytest.raises(PackRefused) as e:
        read(tmp_path, manifest(**changed))
    assert e.value.where == where
    assert says in str(e.value)
    assert str(tmp_path) in str(e.value)


def test_the_unchanged_manifest_is_valid(tmp_path: Path) -> None:
    assert read(tmp_path, manifest()).actor_id == "mia"


@pytest.mark.parametrize(
    "path", ["../model.safetensors", "/etc/passwd", "a/../../b", "", "..\\x", "a\0b"]
)
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(PackRefused, match="inside the folder") as e:
        read(tmp_path, manifest(weights__file=path))
    assert e.value.where == "weights.file"


@pytest.mark.parametrize("content", [b"actor_id = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_what_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pack.toml").write_bytes(content)
    with pytest.raises(PackRefused, match="not TOML"):
        packs.read(tmp_path)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackRefused, match=r"pack.toml: No such file"):
        packs.read(tmp_path)


def test_changed_weights_are_refused_with_both_hashes(pack: Pack) -> None:
    content = bytearray(pack.weights_path.read_bytes())
    content[-1] ^= 1
    pack.weights_path.write_bytes(content)
    for check in (packs.verify, packs.tensors):
        with pytest.raises(PackRefused) as e:
            check(pack)
        assert pack.model_sha256 in str(e.value)
        assert packs.sha256(pack.weights_path) in str(e.value)
        assert str(pack.weights_path) in str(e.value)


def test_truncated_weights_are_refused(pack: Pack) -> None:
    pack.weights_path.write_bytes(pack.weights_path.read_bytes()[:-4])
    with pytest.raises(PackRefused, match="sha256"):
        packs.verify(pack)


def test_missing_weights_are_refused(pack: Pack) -> None:
    pack.weights_path.unlink()
    with pytest.raises(PackRefused, match="No such file"):
        packs.verify(pack)


@pytest.mark.parametrize("content", [b"\x80\x04\x95N.", b"\xff" * 64, b"\x08" + b"\0" * 7 + b"{}"])
def test_weights_of_the_right_hash_that_are_not_safetensors_are_refused(
    pack: Pack, content: bytes
) -> None:
    pack.weights_path.write_bytes(content)
    honest = packs.Weights(file=packs.WEIGHTS, sha256=packs.sha256(pack.weights_path))
    with pytest.raises(PackRefused, match="not safetensors"):
        packs.tensors(pack.model_copy(update={"weights": honest}))


def test_half_precision_weights_are_refused(tmp_path: Path) -> None:
    half: Any = {"a": np.ones(3, np.float16)}
    pack = packs.write(DESCRIPTION, half, tmp_path / "mia")
    with pytest.raises(PackRefused, match="tensor a is float16"):
        packs.tensors(pack)


def test_a_broken_pack_does_not_hide_the_others(pack: Pack) -> None:
    models = pack.folder.parent
    shutil.copytree(pack.folder, models / "noa")
    (models / "empty").mkdir()
    (models / ".git").mkdir()
    (models / "README.md").write_text("not a pack")
    found = packs.find(models)
    assert sorted(found) == ["empty", "mia", "noa"]
    assert found["mia"] == pack
    assert "pack.toml" in str(found["empty"])
    assert "must be named as its actor_id, 'mia'" in str(found["noa"])


def test_a_models_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert packs.find(tmp_path / "none") == {}


def test_a_recipe_has_its_hash_but_no_weights_yet() -> None:
    joe = packs.read(JOE)
    assert joe.source is not None
    assert joe.model_sha256 == joe.source.weights_sha256
    with pytest.raises(PackRefused, match="not imported yet"):
        packs.verify(joe)


def test_the_embedded_voice_is_for_demonstration_and_says_so() -> None:
    joe = packs.read(JOE)
    card = (JOE / "MODEL_CARD.md").read_text("utf-8")
    assert joe.demonstration
    assert "not verified" in joe.licence.data
    for fact in ("For demonstration only", "CC0", "lessac", "could not verify"):
        assert fact in card.replace("\n  ", " ")


def test_manifests_are_values() -> None:
    assert copy.deepcopy(DESCRIPTION) == DESCRIPTION
    with pytest.raises(ValueError, match="frozen"):
        DESCRIPTION.name = "other"  # type: ignore[misc]
