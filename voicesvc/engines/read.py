"""A pack's tensors from disk: those of its file, or those of its base with its own in them.

Files are mapped, not copied: what two voices read from one base is there once. Checks nothing but
names and shapes; `tensors.check` checks values.
"""

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from voicesvc import deltas, packs
from voicesvc.engines import tensors
from voicesvc.engines.shared import Weights
from voicesvc.engines.xtts_network import latents
from voicesvc.errors import PackRefused
from voicesvc.packs import Pack


def weights(pack: Pack, wanted: Mapping[str, tuple[int, ...]], needed: Collection[str]) -> Weights:
    """The tensors `needed`, once it is known that pack and base have all that are `wanted`.

    Raises:
        PackRefused: a tensor is missing, unknown or of another shape, a file is no safetensors
            file, or the base is not there or another one; the message names it.
    """
    path = pack.weights_path
    try:
        with ExitStack() as files:
            own = files.enter_context(safe_open(path, "pt"))
            if pack.base is None:
                tensors.check_shapes(wanted, _shapes(own), path)
                return Weights({n: own.get_tensor(n) for n in needed})
            base = files.enter_context(safe_open(_base(pack), "pt"))
            return _on_base(pack, own, base, wanted, needed)
    except (OSError, SafetensorError) as e:
        raise PackRefused(f"{path}: not a safetensors file: {e}") from e


def _on_base(
    pack: Pack, own: Any, base: Any, wanted: Mapping[str, tuple[int, ...]], needed: Collection[str]
) -> Weights:
    assert pack.base is not None
    names = set(own.keys())
    spoken = [n for n in names if deltas.target(n) in needed]
    changed = {n: own.get_tensor(n).numpy() for n in spoken}
    try:
        before = {n: base.get_tensor(n).numpy() for n in deltas.needed(spoken)}
        mine = {n: torch.from_numpy(v) for n, v in deltas.join(changed, before).items()}
    except (KeyError, ValueError, SafetensorError) as e:
        raise PackRefused(f"{pack.folder}: does not go with its base: {e}", where="base") from e
    whole = {deltas.target(n) for n in names}
    shapes = {n: s for n, s in _shapes(base).items() if n not in whole}
    shapes |= {n: wanted.get(n, ()) for n in whole if n not in mine}  # training's, or not needed
    shapes |= {n: tuple(v.shape) for n, v in mine.items()}
    tensors.check_shapes(wanted, shapes, pack.weights_path)
    rest = {n: base.get_tensor(n) for n in needed if n not in mine}
    return Weights({**rest, **mine}, frozenset(mine), pack.base.sha256)


def _shapes(file: Any) -> dict[str, tuple[int, ...]]:
    return {n: tuple(file.get_slice(n).get_shape()) for n in file.keys()}  # noqa: SIM118


def _base(pack: Pack) -> Path:
    """The file of the pack's base, verified."""
    assert pack.base is not None
    found = packs.read(pack.folder.parent / pack.base.pack)
    if found.weights_sha256 != pack.base.sha256 or found.base is not None:
        raise PackRefused(
            f"pack {pack.folder}: {pack.base.pack} is not the base that it was made on",
            where="base.sha256",
            valid=pack.base.sha256,
        )
    status = found.weights_path.stat()
    written = status.st_mtime_ns, status.st_size, status.st_ino
    _verified(found.folder, found.weights_path, found.weights_sha256, written)
    return found.weights_path


@lru_cache(maxsize=64)
def _verified(folder: Path, path: Path, sha256: str, _: tuple[int, int, int]) -> None:
    """Check a base's file, once for all voices on it while it is the same file."""
    packs.check_sha256(folder, path, sha256)


def style_files(pack: Pack) -> dict[str, dict[str, torch.Tensor]]:
    """The latents, or the embedding, of each of the pack's styles, verified.

    Raises:
        PackRefused: a file is missing, another one, or has not the shapes of the voice's own.
    """
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, style in pack.styles.items():
        path = pack.folder / style.file
        packs.check_sha256(pack.folder, path, style.sha256)
        try:
            found[name] = load_file(path)
        except (OSError, SafetensorError) as e:
            raise PackRefused(f"{path}: not a safetensors file: {e}") from e
        wanted = tensors.speaker(pack.vits) if pack.vits else latents(pack.xtts_network)
        tensors.check(wanted, found[name], path)
    return found
