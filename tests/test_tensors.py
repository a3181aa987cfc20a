"""What a VITS voice is made of, and what is not it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from voice_files import JOE

from voicesvc import packs
from voicesvc.engines import tensors
from voicesvc.errors import PackRefused

VITS = packs.read(JOE).vits
NAME = "text_encoder.emb.weight"


def whole() -> dict[str, Any]:
    """Every tensor the network wants, all zero."""
    return {name: np.zeros(shape, np.float32) for name, shape in tensors.expected(VITS).items()}


def test_exactly_the_networks_tensors_pass() -> None:
    tensors.check(tensors.expected(VITS), whole(), Path("joe"))
    tensors.check(
        tensors.expected(VITS), {k: torch.from_numpy(v) for k, v in whole().items()}, Path("joe")
    )


def test_what_only_training_uses_is_no_part_of_it() -> None:
    assert not [name for name in tensors.expected(VITS) if name.startswith(tensors.TRAINING_ONLY)]
    assert not [name for name in tensors.expected(VITS) if "parametrizations" in name]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda v: v.pop(NAME), "is missing"),
        (lambda v: v.clear(), r"is missing \(and 349 more\)"),
        (lambda v: v.update(extra=v[NAME]), "tensor extra is not part of this network"),
        (lambda v: v.update({NAME: v[NAME].T}), r"has shape \(192, 256\), not \(256, 192\)"),
        (lambda v: v.update({NAME: v[NAME].astype(np.float16)}), "is float16, not float32"),
        (lambda v: v.update({NAME: torch.zeros(256, 192).bfloat16()}), "is bfloat16"),
        (lambda v: v[NAME].fill(np.inf), "not finite"),
    ],
)
def test_anything_else_is_refused_by_name(
    change: Callable[[dict[str, Any]], object], says: str
) -> None:
    values = whole()
    change(values)
    with pytest.raises(PackRefused, match=says):
        tensors.check(tensors.expected(VITS), values, Path("joe"))


def test_the_size_is_that_of_all_tensors() -> None:
    assert tensors.size_bytes(whole()) == packs.read(JOE).resident_bytes
