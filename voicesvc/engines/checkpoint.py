"""A pickle's tensors, read by a program of its own within limits of memory and time.

Nothing in a pickle ever runs (`weights_only`), and what it takes to read one that was made to do
harm is not taken from the process that asks. Knows nothing of networks.
"""

import json
import pickle
import resource
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voicesvc.errors import PackRefused

_ROOM_BYTES = 8 * 2**30  # address space that torch takes by itself
_COPIES = 4  # of the file: mapped, read, made contiguous, written
_LIMIT_S = 120.0
_BYTES_PER_S = 20e6  # a slow disk
# Early checkpoints hold their config as objects of these classes. They come back empty-handed.
_CONFIGS = (
    "TTS.config.shared_configs.BaseDatasetConfig",
    "TTS.tts.configs.xtts_config.XttsArgs",
    "TTS.tts.configs.xtts_config.XttsAudioConfig",
    "TTS.tts.configs.xtts_config.XttsConfig",
    "TTS.tts.models.xtts.XttsArgs",
    "TTS.tts.models.xtts.XttsAudioConfig",
)


class _Inert:
    """Stands for an object of a config's class."""


def read(
    path: Path,
    *,
    within: str | None = "model",
    without: tuple[str, ...] = (),
    limit_s: float | None = None,
) -> dict[str, Any]:
    """Name -> torch tensor of all that is in the dict `within` of a checkpoint.

    With `within` None the whole file is one dict, and names in inner ones are joined by "/".
    Tensors whose names begin with one of `without` are left out.

    Raises:
        PackRefused: the file holds more than tensors there, cannot be read, or needs more memory
            or time than a file of its size may.
    """
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory(prefix="voicesvc-") as folder:
        out = Path(folder) / "tensors.safetensors"
        _asked(path, {"out": str(out), "within": within, "without": without}, limit_s)
        return load_file(out)


def read_plain(path: Path) -> Any:
    """What is in a pickle of plain values: dicts, lists, strings and numbers, as JSON has them.

    Raises: as `read`, for a file that holds anything else.
    """
    return _asked(path, {"plain": True}, None)["plain"]


def _asked(path: Path, asked: Mapping[str, Any], limit_s: float | None) -> Any:
    """The answer of the program that reads."""
    try:
        size_bytes = path.stat().st_size
    except OSError as e:
        raise PackRefused(f"{path}: {e.strerror}") from e
    limit_s = _LIMIT_S + size_bytes / _BYTES_PER_S if limit_s is None else limit_s
    limits = {"path": str(path), "limit_bytes": _COPIES * size_bytes + _ROOM_BYTES}
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, json.dumps({**asked, **limits})],
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        raise PackRefused(f"{path}: was not read within {limit_s:g} s") from e
    said = done.stdout.decode(errors="replace").strip().splitlines()
    if done.returncode != 0 or not said:
        raise PackRefused(f"{path}: the program that reads it ended ({done.returncode})")
    answer = json.loads(said[-1])
    if "detail" in answer:
        raise PackRefused(f"{path}: {answer['detail']}", where=answer["where"])
    return answer


class _Refused(Exception):
    def __init__(self, detail: str, where: str | None = None) -> None:
        super().__init__(detail)
        self.where = where


def _flat(values: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}/")
        else:
            yield f"{above}{name}", value


def _saved(path: str) -> Any:
    import torch

    known: list[Any] = [(_Inert, name) for name in _CONFIGS]
    try:
        with torch.serialization.safe_globals(known):
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except pickle.UnpicklingError as e:
        raise _Refused(
            f"holds more than weights, and was not loaded: {str(e).splitlines()[0]}"
        ) from e
    except (OSError, RuntimeError, EOFError, ValueError, MemoryError) as e:
        raise _Refused(f"cannot be read as a checkpoint: {e}") from e


def _tensors(asked: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    saved = _saved(asked["path"])
    within = asked["within"]
    state = saved if within is None or not isinstance(saved, dict) else saved.get(within)
    if not isinstance(state, dict):
        raise _Refused(f"has no {within or 'dict'!r} in it", within)
    found: dict[str, Any] = {}
    for name, value in _flat(state) if within is None else state.items():
        if not isinstance(value, torch.Tensor):
            raise _Refused(f"{name} is not a tensor", str(name))
        if str(name).startswith(tuple(asked["without"])):
            continue
        try:
            found[str(name)] = value.detach().clone(memory_format=torch.contiguous_format)
        except RuntimeError as e:
            raise _Refused(f"{name} is too large: {str(e).splitlines()[0]}", str(name)) from e
    return found


def _values(path: str) -> Any:
    saved = _saved(path)
    try:
        json.dumps(saved)
    except (TypeError, ValueError) as e:
        raise _Refused(f"holds more than plain values: {e}") from e
    return saved


def _main(asked: Mapping[str, Any]) -> None:
    """Write the tensors; what is plain, or what is wrong with the checkpoint, to stdout."""
    from safetensors.torch import save_file

    limit = int(asked["limit_bytes"])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    answer: dict[str, Any] = {}
    try:
        if asked.get("plain"):
            answer["plain"] = _values(asked["path"])
        else:
            save_file(_tensors(asked), asked["out"])
    except _Refused as e:
        answer = {"detail": str(e), "where": e.where}
    print(json.dumps(answer))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
