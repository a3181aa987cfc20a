"""An actor's pack on disk: what its manifest says, and whether its weights are the ones it names.

Knows nothing about torch, nor about where weights come from before they are tensors.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np
import tomli_w
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from voicesvc.errors import InvalidRequest, PackRefused
from voicesvc.manifest import (
    LANGUAGE,
    SLUG,
    Description,
    Licence,
    Source,
    Text,
    Vits,
    Weights,
    Xtts,
    tag_of,
)

__all__ = [
    "MANIFEST",
    "WEIGHTS",
    "Description",
    "Licence",
    "Pack",
    "Source",
    "Tensors",
    "Text",
    "Vits",
    "Weights",
    "Xtts",
    "cached_folder",
    "check_sha256",
    "find",
    "forget",
    "is_pack",
    "is_slug",
    "of_folder",
    "read",
    "refused",
    "sha256",
    "tag_of",
    "tags",
    "tensors",
    "verify",
    "write",
]
MANIFEST = "pack.toml"
WEIGHTS = "model.safetensors"
_NOT_SAID = {"folder", "manifest_sha256"}  # of a pack, in its manifest
Tensors = dict[str, NDArray[np.float32]]


class _Manifest(Description):
    weights: Weights | None = None
    source: Source | None = None

    @model_validator(mode="after")
    def _has_one_origin(self) -> "_Manifest":
        if (self.weights is None) == (self.source is None):
            raise ValueError("needs either [weights] or [source]")
        return self


class Pack(_Manifest):
    """A pack and the folder it was read from. Weights are as said only after `verify`."""

    folder: Path
    manifest_sha256: str = ""  # of the file that was read: another one is another version

    @property
    def model_sha256(self) -> str:
        """What its samples depend on: the sha256 of the weights file; with a base, of both's.

        Styles are a part of the voice: with some, it is of their files' too.
        """
        parts = [] if self.base is None else [self.base.sha256]
        parts.append(self.weights_sha256)
        parts += (f"{name} {style.sha256}" for name, style in sorted(self.styles.items()))
        return parts[0] if len(parts) == 1 else hashlib.sha256(" ".join(parts).encode()).hexdigest()

    def speaking(self, language: str | None) -> "Pack":
        """The same for a text in a language that its model speaks; None: the voice's own.

        Raises:
            InvalidRequest: it speaks no such language.
        """
        if language is None:
            return self
        said = language.lower().replace("_", "-")
        if said in (self.language, self.language.partition("-")[0]):
            return self
        roots = {name.partition("-")[0] for name in self.languages}
        known = self.xtts is not None and said.partition("-")[0] in roots
        if not known or re.fullmatch(LANGUAGE, said) is None:
            raise InvalidRequest(
                f"{self.actor_id} does not speak {language!r}",
                where="language",
                valid=list(self.languages),
            )
        return self.model_copy(update={"language": said})

    @property
    def weights_sha256(self) -> str:
        """The sha256 of the weights file."""
        if self.weights is not None:
            return self.weights.sha256
        assert self.source is not None
        return self.source.weights_sha256

    @property
    def weights_path(self) -> Path:
        """Where the tensors lie.

        Raises:
            PackRefused: it is a recipe, whose weights are not imported yet.
        """
        if self.weights is None:
            raise PackRefused(
                f"pack {self.folder}: its weights are not imported yet", where="weights"
            )
        return self.folder / self.weights.file


def read(folder: Path) -> Pack:
    """Read `folder/pack.toml`; weights are not looked at.

    Raises:
        PackRefused: no manifest, not TOML, or a key that is missing, unknown or out of range.
    """
    path = folder / MANIFEST
    try:
        said_bytes = path.read_bytes()
        content = tomllib.loads(said_bytes.decode("utf-8"))
    except OSError as e:
        raise PackRefused(f"pack {folder}: {MANIFEST}: {e.strerror}") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise PackRefused(f"pack {folder}: {MANIFEST} is not TOML: {e}") from e
    try:
        # JSON, because strict validation takes its arrays for tuples; TOML's dates become text.
        said = _Manifest.model_validate_json(json.dumps(content, default=str))
    except ValidationError as e:
        raise refused(folder, e, _Manifest) from e
    digest = hashlib.sha256(said_bytes).hexdigest()
    return Pack(folder=folder, manifest_sha256=digest, **dict(said))


def refused(folder: Path, error: ValidationError, model: type[BaseModel]) -> PackRefused:
    """What pydantic found wrong first, as a PackRefused that lists what is valid."""
    first = error.errors()[0]
    where = ".".join(str(p) for p in first["loc"])
    if first["type"] == "extra_forbidden":
        valid = _keys(model, first["loc"][:-1])
        return PackRefused(f"pack {folder}: unknown key {where}", where=where, valid=valid)
    return PackRefused(f"pack {folder}: {where or MANIFEST}: {first['msg']}", where=where or None)


def _keys(model: type[BaseModel], at: tuple[int | str, ...]) -> list[str]:
    hint: Any = model
    for step in at:
        if isinstance(hint, type) and issubclass(hint, BaseModel):
            hint = hint.model_fields[str(step)].annotation
            options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
            hint = next(o for o in options if o is not type(None))
        else:  # a table of tables, by name
            hint = get_args(hint)[1]
    return list(hint.model_fields)


def find(models_dir: Path) -> dict[str, Pack | PackRefused]:
    """Every pack under `models_dir` by its folder's name; a broken one does not hide the others.

    A folder that does not exist holds no packs.
    """
    folders = sorted(models_dir.iterdir()) if models_dir.is_dir() else []
    return {f.name: of_folder(f) for f in folders if is_pack(f)}


@lru_cache(maxsize=256)
def tags(path: Path, sha256: str) -> frozenset[str]:
    """The tokens in brackets of a vocabulary, which is known by its sha256; none if unreadable."""
    try:
        said = json.loads(path.read_bytes())
        return frozenset(t["content"] for t in said["added_tokens"])
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()  # told when the voice is loaded


def is_pack(folder: Path) -> bool:
    """Whether it is a folder that is meant to be one, broken or not."""
    return folder.is_dir() and not folder.name.startswith((".", "__"))


def is_slug(name: str) -> bool:
    """Whether it may be the name of an actor, and so of a folder."""
    return re.fullmatch(SLUG, name) is not None


def of_folder(folder: Path) -> Pack | PackRefused:
    """The pack, or why it is refused; its folder is named as its actor."""
    try:
        pack = read(folder)
    except PackRefused as e:
        return e
    if pack.actor_id != folder.name:
        return PackRefused(
            f"pack {folder}: the folder must be named as its actor_id, {pack.actor_id!r}",
            where="actor_id",
        )
    return pack


def cached_folder(cache_dir: Path, pack: Pack) -> Path:
    """Where the weights that a recipe imports are kept."""
    assert pack.source is not None, "only a recipe is imported"
    return cache_dir / f"{pack.actor_id}-{pack.source.sha256[:12]}"


def forget(cache_dir: Path, actor: str) -> list[str]:
    """Remove every import of an actor's weights; gives the names of the folders that went.

    Raises:
        OSError: one is there and cannot be removed.
    """
    theirs = re.compile(rf"\.?{re.escape(actor)}-[0-9a-f]{{12}}(\.\w+)?", re.ASCII)
    folders = sorted(cache_dir.iterdir()) if cache_dir.is_dir() else []
    gone = [f for f in folders if theirs.fullmatch(f.name) and f.is_dir()]
    for folder in gone:
        shutil.rmtree(folder)
    return [folder.name for folder in gone]


def sha256(path: Path) -> str:
    """The file's sha256, in hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def verify(pack: Pack) -> None:
    """Check that the weights, and the vocabulary if there is one, are those the manifest names.

    Raises:
        PackRefused: the file is missing or its sha256 is another.
    """
    check_sha256(pack.folder, pack.weights_path, pack.weights_sha256)
    if pack.xtts is not None:
        words = pack.xtts.vocabulary
        check_sha256(pack.folder, pack.folder / words.file, words.sha256)


def check_sha256(folder: Path, path: Path, expected: str) -> None:
    """Check a file that the pack in `folder` names.

    Raises:
        PackRefused: the file is missing or its sha256 is not `expected`.
    """
    try:
        actual = sha256(path)
    except OSError as e:
        raise PackRefused(f"pack {folder}: {path}: {e.strerror}", where=path.name) from e
    if actual != expected:
        raise PackRefused(
            f"pack {folder}: {path} has sha256 {actual}, the manifest says {expected}",
            where=path.name,
        )


def tensors(pack: Pack) -> Tensors:
    """Verify and read the weights: name -> float32 array.

    Raises:
        PackRefused: the weights are not the ones named, not safetensors, or not float32.
    """
    verify(pack)
    path = pack.weights_path
    try:
        loaded = load_file(path)
    except (SafetensorError, OSError) as e:
        raise PackRefused(f"pack {pack.folder}: {path} is not safetensors: {e}") from e
    for name, value in loaded.items():
        if value.dtype != np.float32:
            raise PackRefused(f"pack {pack.folder}: tensor {name} is {value.dtype}, not float32")
    return loaded


def write(
    description: Description,
    values: Tensors,
    folder: Path,
    files: Mapping[str, bytes] | None = None,
) -> Pack:
    """Write a pack: same tensors and description, same bytes. `folder` appears whole or not at all.

    `files` are what else lies in it, by name.

    Raises:
        PackRefused: `folder` is there already, or cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _scratch(folder) as scratch:
            contiguous = {name: np.ascontiguousarray(value) for name, value in values.items()}
            save_file(contiguous, scratch / WEIGHTS)
            pack = Pack(
                folder=folder,
                weights=Weights(file=WEIGHTS, sha256=sha256(scratch / WEIGHTS)),
                **{name: getattr(description, name) for name in Description.model_fields},
            )
            manifest = pack.model_dump(mode="json", exclude=_NOT_SAID, exclude_none=True)
            said = tomli_w.dumps(manifest).encode()
            pack = pack.model_copy(update={"manifest_sha256": hashlib.sha256(said).hexdigest()})
            (scratch / MANIFEST).write_bytes(said)
            for name, content in (files or {}).items():
                (scratch / name).parent.mkdir(parents=True, exist_ok=True)
                (scratch / name).write_bytes(content)
            for path in (*(scratch / name for name in (files or {})), scratch / WEIGHTS):
                _fsync(path)
            for path in (scratch / MANIFEST, scratch):
                _fsync(path)
            scratch.rename(folder)
            _fsync(folder.parent)
    except OSError as e:
        raise PackRefused(f"pack {folder}: cannot be written: {e.strerror}") from e
    return pack


def amend(pack: Pack, changes: Mapping[str, Any], files: Mapping[str, bytes]) -> Pack:
    """Put files into a pack's folder, then a manifest with these changes in the old one's place.

    The manifest comes last, and all at once: a service that has the pack loaded reads it then.

    Raises:
        PackRefused: the folder cannot be written.
    """
    changed = pack.model_copy(update=dict(changes))
    said = tomli_w.dumps(changed.model_dump(mode="json", exclude=_NOT_SAID, exclude_none=True))
    path = pack.folder / MANIFEST
    try:
        for name, content in files.items():
            (pack.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (pack.folder / name).write_bytes(content)
            _fsync(pack.folder / name)
        scratch = path.with_suffix(".new")
        scratch.write_text(said, "utf-8")
        _fsync(scratch)
        scratch.replace(path)
        _fsync(pack.folder)
    except OSError as e:
        raise PackRefused(f"pack {pack.folder}: cannot be written: {e.strerror}") from e
    return read(pack.folder)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        path.chmod(0o755)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def alike(one: Pack, other: Pack) -> bool:
    """Whether two voices take the same room: their networks have the same tensors."""
    own = {"vocabulary", "references_sha256", "f0_hz"}
    said = [p.network.model_dump(exclude=own) for p in (one, other)]
    return one.engine == other.engine and other.base is None and said[0] == said[1]
