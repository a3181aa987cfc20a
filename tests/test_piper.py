"""Piper's voices become packs, initializer by initializer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from voice_files import GRANTED, JOE, LINE, ids_of

from voicesvc import packs
from voicesvc.engines.convert import import_piper, source_path
from voicesvc.errors import PackRefused


def test_piper_ids_are_what_piper_makes_them() -> None:
    path = Path(f"{source_path(packs.read(JOE))}.json")
    ids = json.loads(path.read_text("utf-8"))["phoneme_id_map"]
    piper = [*ids["^"], *ids["_"], *(i for p in LINE for i in (*ids[p], *ids["_"])), *ids["$"]]
    assert ids_of(packs.read(JOE).text, LINE) == piper


def test_importing_again_gives_the_same_pack(tmp_path: Path) -> None:
    joe = packs.read(JOE)
    pack = import_piper(source_path(joe), "joe", tmp_path / "joe", licence=GRANTED)
    assert packs.read(tmp_path / "joe") == pack
    assert pack.model_sha256 == joe.model_sha256
    assert (pack.vits, pack.text) == (joe.vits, joe.text)
    assert not pack.demonstration


@pytest.fixture
def piper_copy(tmp_path: Path) -> Callable[..., Path]:
    """Makes a changed copy of the embedded voice's ONNX file and JSON."""
    source = source_path(packs.read(JOE))

    def make(
        graph: Callable[[Any], object] | None = None,
        config: Callable[[dict[str, Any]], object] | None = None,
    ) -> Path:
        path = tmp_path / "voice.onnx"
        content = json.loads(Path(f"{source}.json").read_text("utf-8"))
        if config:
            config(content)
        Path(f"{path}.json").write_text(json.dumps(content), "utf-8")
        if graph:
            model = onnx.load(source)
            graph(model.graph)
            onnx.save(model, path)
        else:
            path.symlink_to(source)
        return path

    return make


def drop(name: str) -> Callable[[Any], object]:
    """Remove an initializer."""
    return lambda graph: graph.initializer.remove(
        next(i for i in graph.initializer if i.name == name)
    )


def add(name: str, *shape: int) -> Callable[[Any], object]:
    """Add an initializer."""
    value = onnx.numpy_helper.from_array(np.ones(shape, np.float32), name)
    return lambda graph: graph.initializer.append(value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (drop("enc_p.proj.bias"), "text_encoder.proj.bias is missing"),
        (drop("dec.ups.1.weight"), "not a Piper VITS voice|waveform_decoder.ups.1.weight"),
        (add("dec.cond.weight", 8), "waveform_decoder.cond.weight is not part of this network"),
        (add("emb_g.weight", 2, 8), "tensor emb_g.weight is not known"),
        (add("enc_p.emb.weight", 256, 192), "tensor enc_p.emb.weight is not known"),
        (add("/dp/Constant_99_output_0", 9), "/dp/Constant_99_output_0 is not known"),
    ],
)
def test_every_initializer_is_accounted_for(
    piper_copy: Callable[..., Path], tmp_path: Path, change: Callable[[Any], object], says: str
) -> None:
    with pytest.raises(PackRefused, match=says):
        import_piper(piper_copy(graph=change), "joe", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(num_speakers=3), "3 speakers"),
        (lambda c: c.update(phoneme_type="pinyin"), "phoneme_type 'pinyin'"),
        (lambda c: c["phoneme_id_map"].update(a=[14, 15]), "more than one id"),
        (lambda c: c.pop("inference"), "has no 'inference'"),
        (lambda c: c["inference"].update(noise_scale=-1), "vits.noise_scale"),
        (lambda c: c["audio"].update(sample_rate="22050"), "sample_rate_hz"),
    ],
)
def test_a_piper_config_that_is_not_served_is_refused(
    piper_copy: Callable[..., Path],
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
    says: str,
) -> None:
    with pytest.raises(PackRefused, match=says):
        import_piper(piper_copy(config=change), "joe", tmp_path / "out")


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    source = source_path(packs.read(JOE))
    (tmp_path / "v.onnx.json").write_bytes(Path(f"{source}.json").read_bytes())
    for content in (b"", b"\x80\x04N.", source.read_bytes()[:100_000]):
        (tmp_path / "v.onnx").write_bytes(content)
        with pytest.raises(PackRefused, match=r"v\.onnx"):
            import_piper(tmp_path / "v.onnx", "joe", tmp_path / "out")
    with pytest.raises(PackRefused, match="No such file"):
        import_piper(tmp_path / "none.onnx", "joe", tmp_path / "out")
