"""The speakers of a VITS checkpoint of coqui-tts: names, and the embedding of each.

The names of a table's rows lie in `speakers.pth` or a JSON file beside the config. d-vectors lie
in files of their own, which styles are taken from too. Pickles are read by `checkpoint`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicesvc.engines.checkpoint import read_plain
from voicesvc.errors import PackRefused

TABLE = "emb_g.weight"  # [speakers, G], in the checkpoint
_NAMES = ("speakers.pth", "speaker_ids.pth", "speaker_ids.json", "speakers.json")
Embedding = NDArray[np.float32]


def is_several(config: Mapping[str, Any]) -> bool:
    """Whether a config's model has several speakers."""
    return _said(config, "use_speaker_embedding") or _said(config, "use_d_vector_file")


def shape(config: Mapping[str, Any]) -> dict[str, Any]:
    """What `[vits]` says of speakers, in the names of coqui-tts's `VitsArgs`.

    Raises:
        ValueError: the config asks for both kinds of embedding.
    """
    table, vectors = _said(config, "use_speaker_embedding"), _said(config, "use_d_vector_file")
    if table and vectors:
        raise ValueError("use_speaker_embedding and use_d_vector_file: only one of them is served")
    args = config["model_args"]
    return {
        "speaker_embedding_channels": args["speaker_embedding_channels"] if table else 0,
        "d_vector_dim": (args["d_vector_dim"] or config["d_vector_dim"]) if vectors else 0,
        "condition_dp_on_speaker": bool(args["condition_dp_on_speaker"]),
    }


def embeddings(
    folder: Path, config: Mapping[str, Any], table: Embedding | None
) -> dict[str, Embedding]:
    """Name -> embedding [G] of each speaker of the checkpoint in `folder`.

    Without a file of names, a row of the table is named by its number.

    Raises:
        PackRefused: a file that the config names is not in the folder, or is none.
    """
    if not _said(config, "use_d_vector_file"):
        if table is None:
            raise PackRefused(
                f"{folder}: the config says several speakers; tensor {TABLE} is missing",
                where=TABLE,
            )
        return {name: table[i] for name, i in _ids(folder, config, len(table)).items()}
    said = config["model_args"]["d_vector_file"] or config["d_vector_file"]
    files = [said] if isinstance(said, str) else list(said or ())
    found: dict[str, Embedding] = {}
    for name in files:
        found |= of_file(folder / Path(name).name)
    if not found:
        raise PackRefused(
            f"{folder}: the config says several speakers, and names no file of d-vectors",
            where="d_vector_file",
        )
    return found


def of_file(path: Path) -> dict[str, Embedding]:
    """Name -> mean d-vector [G] of a file such as coqui's `speakers.json`.

    It has, by clip, `{"name": speaker, "embedding": [numbers]}`.

    Raises:
        PackRefused: it cannot be read, or is no such file.
    """
    said = _plain(path)
    try:
        by_name: dict[str, list[Sequence[float]]] = {}
        for clip in said.values():
            by_name.setdefault(str(clip["name"]), []).append(clip["embedding"])
        found = {name: np.asarray(v, np.float32).mean(0) for name, v in sorted(by_name.items())}
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        raise PackRefused(
            f"{path}: is no file of d-vectors",
            where=path.name,
            valid='JSON {"clip": {"name": "ann_sad", "embedding": [0.1, ...]}}',
        ) from e
    if not all(v.ndim == 1 and np.isfinite(v).all() for v in found.values()):
        raise PackRefused(f"{path}: has an embedding that is no list of numbers", where=path.name)
    return found


def chosen(found: Mapping[str, Embedding], name: str | None, where: str) -> Embedding:
    """The speaker of this name, or the only one there is.

    Raises:
        PackRefused: there is none, or several and no name.
    """
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name is None or name not in found:
        said = "which speaker?" if name is None else f"no speaker is called {name!r}"
        raise PackRefused(said, where=where, valid=sorted(found))
    return found[name]


def _said(config: Mapping[str, Any], key: str) -> bool:
    return bool(config["model_args"][key] or config.get(key))


def _ids(folder: Path, config: Mapping[str, Any], rows: int) -> dict[str, int]:
    given = [config["model_args"]["speakers_file"], config.get("speakers_file")]
    names = [Path(str(name)).name for name in given if name]
    path = next((folder / n for n in (*names, *_NAMES) if (folder / n).is_file()), None)
    if path is None:
        return {str(i): i for i in range(rows)}
    ids = _plain(path)
    if not isinstance(ids, dict) or not all(type(i) is int and 0 <= i < rows for i in ids.values()):
        raise PackRefused(f"{path}: does not name the {rows} speakers", where=path.name)
    return {str(name): i for name, i in ids.items()}


def _plain(path: Path) -> Any:
    if path.suffix != ".json":
        return read_plain(path)
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as e:
        raise PackRefused(f"{path}: {e.strerror}", where=path.name) from e
    except ValueError as e:
        raise PackRefused(f"{path}: is no JSON: {e}", where=path.name) from e
