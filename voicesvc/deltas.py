"""A voice's tensors as what they add to a base's: equal ones are left out, others are whole,
rounded differences, or differences of low rank.

Pure functions of arrays by name; nothing of packs, files or torch.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
Kind = Literal["exact", "half", "lora"]
HALF, UP, DOWN = ":half", ":up", ":down"  # behind a tensor's name, in the file of a delta
_MATRIX = 2  # dimensions


def target(name: str) -> str:
    """The tensor that an entry of a delta's file is for."""
    return name.partition(":")[0]


def split(full: Arrays, base: Arrays, kind: Kind = "exact", rank: int = 16) -> dict[str, Any]:
    """What makes `full` of `base`; a tensor that the base has not, or of another shape, is whole.

    `exact`: a difference is float16 where that loses no bit, else the tensor is whole. `half`: it
    is float16. `lora`: a matrix's difference is up @ down of this rank, the best in the least
    squares sense (Eckart and Young 1936), in the form of Hu et al. 2021 (arXiv:2106.09685); others
    are as `half`.
    """
    found: dict[str, Any] = {}
    for name, value in full.items():
        other = base.get(name)
        if other is None or other.shape != value.shape:
            found[name] = value
        elif other.tobytes() == value.tobytes():
            continue
        elif kind == "lora" and value.ndim == _MATRIX and rank < min(value.shape):
            found[name + UP], found[name + DOWN] = _low_rank(value - other, rank)
        else:
            with np.errstate(over="ignore"):  # what is too large for float16 stays whole
                half = (value - other).astype(np.float16)
            exact = (other + half.astype(np.float32)).tobytes() == value.tobytes()
            if exact or (kind != "exact" and np.isfinite(half).all()):
                found[name + HALF] = half
            else:
                found[name] = value
    return found


def _low_rank(difference: NDArray[Any], rank: int) -> tuple[NDArray[Any], NDArray[Any]]:
    u, s, vh = np.linalg.svd(difference, full_matrices=False)
    root = np.sqrt(s[:rank])
    return (u[:, :rank] * root).astype(np.float16), (root[:, None] * vh[:rank]).astype(np.float16)


def needed(names: Iterable[str]) -> set[str]:
    """Those of the base's tensors that `join` reads."""
    return {target(name) for name in names if ":" in name}


def join(delta: Arrays, base: Arrays) -> dict[str, NDArray[np.float32]]:
    """The tensors that are not the base's own, whole again; `base` has those `needed`.

    Raises:
        KeyError: an entry of the delta has no tensor in the base, or no other half.
        ValueError: shapes do not go together.
    """
    found: dict[str, NDArray[np.float32]] = {}
    for name, value in delta.items():
        whole = target(name)
        if name.endswith(HALF):
            found[whole] = base[whole] + value.astype(np.float32)
        elif name.endswith(UP):
            down = delta[whole + DOWN].astype(np.float32)
            found[whole] = base[whole] + value.astype(np.float32) @ down
        elif not name.endswith(DOWN):
            found[name] = value
    return found
