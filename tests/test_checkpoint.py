"""Checkpoints are read by a program of its own, which nothing in them can harm."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from voicesvc.engines import checkpoint
from voicesvc.errors import PackRefused


class Payload:
    """A pickle that makes a folder when it is loaded carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_tensors_come_back_as_they_were_saved(tmp_path: Path) -> None:
    weights = {"a.b": torch.randn(3, 4), "half": torch.ones(2, dtype=torch.float16)}
    shared = torch.arange(6.0)
    weights |= {"dvae.x": torch.zeros(1), "one": shared, "two": shared[2:]}
    torch.save({"model": weights, "step": 3}, tmp_path / "model.pth")
    found = checkpoint.read(tmp_path / "model.pth", without=("dvae.",))
    assert found.keys() == {"a.b", "half", "one", "two"}
    for name, value in found.items():
        assert value.dtype == weights[name].dtype
        assert torch.equal(value, weights[name])


def test_inner_dicts_of_a_whole_file_are_joined(tmp_path: Path) -> None:
    torch.save({"Ann Lee": {"speaker_embedding": torch.ones(2)}}, tmp_path / "speakers.pth")
    found = checkpoint.read(tmp_path / "speakers.pth", within=None)
    assert list(found) == ["Ann Lee/speaker_embedding"]


def test_configs_kept_as_objects_are_not_looked_at(tmp_path: Path) -> None:
    from TTS.tts.configs.xtts_config import XttsConfig

    saved = {"model": {"x": torch.ones(1)}, "config": XttsConfig()}
    torch.save(saved, tmp_path / "model.pth")
    assert list(checkpoint.read(tmp_path / "model.pth")) == ["x"]


def test_nothing_in_a_checkpoint_runs(tmp_path: Path) -> None:
    torch.save({"model": {}, "x": Payload(tmp_path / "owned")}, tmp_path / "model.pth")
    with pytest.raises(PackRefused, match=r"model\.pth: holds more than weights"):
        checkpoint.read(tmp_path / "model.pth")
    assert not (tmp_path / "owned").exists()


def test_a_tensor_that_unfolds_to_terabytes_is_named(tmp_path: Path) -> None:
    torch.save({"model": {"bomb": torch.ones(1).expand(2**41)}}, tmp_path / "model.pth")
    with pytest.raises(PackRefused, match="bomb is too large") as refused:
        checkpoint.read(tmp_path / "model.pth")
    assert refused.value.where == "bomb"


def test_a_file_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {}}, tmp_path / "model.pth")
    with pytest.raises(PackRefused, match=r"was not read within 0\.01 s"):
        checkpoint.read(tmp_path / "model.pth", limit_s=0.01)
