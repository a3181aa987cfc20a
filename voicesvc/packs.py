"""An actor's pack on disk: what its manifest says, and whether its weights are the ones it names.

Knows nothing about torch, nor about where weights come from before they are tensors.
"""

import hashlib
import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path, PurePosixPath
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
import tomli_w
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from voicesvc.errors import PackRefused

MANIFEST = "pack.toml"
WEIGHTS = "model.safetensors"
_DILATIONS = {"1": 3, "2": 2}  # used by each kind of residual block
Tensors = dict[str, NDArray[np.float32]]


def _plain_path(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise ValueError("must be a path inside the folder, without '..'")
    return path


Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
InsidePath = Annotated[str, AfterValidator(_plain_path)]
Said = Annotated[str, Field(min_length=1, max_length=2000)]
Size = Annotated[int, Field(ge=1, le=16384)]
Odd = Annotated[int, Field(ge=1, le=127)]
Scale = Annotated[float, Field(ge=0.0, le=4.0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Licence(_Strict):
    """What the weights and the recordings behind them may be used for."""

    weights: Said
    data: Said
    note: str = ""


class Text(_Strict):
    """How words become ids: an id is the index of its symbol.

    The sequence is bos, then the ids with `blank` before, between and after them, then eos.
    """

    phonemizer: Literal["espeak", "gruut", "graphemes"]
    symbols: Annotated[tuple[str, ...], Field(min_length=1)]  # "" where an id has no symbol
    pad: Said | None = None
    bos: Said | None = None
    eos: Said | None = None
    blank: Said | None = None
    add_blank: bool
    use_bos_eos: bool
    lowercase: bool = False  # the model was trained on lower-case letters only

    @model_validator(mode="after")
    def _fits(self) -> "Text":
        used = [s for s in self.symbols if s]
        if len(set(used)) != len(used):
            twice = sorted({s for s in used if used.count(s) > 1})
            raise ValueError(f"symbols has {twice} more than once")
        for name in ("pad", "bos", "eos", "blank"):
            symbol = getattr(self, name)
            if symbol is not None and symbol not in used:
                raise ValueError(f"{name} {symbol!r} is not in symbols")
        if self.add_blank and self.blank is None:
            raise ValueError("add_blank needs a blank symbol")
        if self.use_bos_eos and (self.bos is None or self.eos is None):
            raise ValueError("use_bos_eos needs bos and eos")
        if self.lowercase and self.phonemizer != "graphemes":
            raise ValueError("lowercase is for graphemes only")
        return self

    def ids(self) -> dict[str, int]:
        """Symbol -> id."""
        return {s: i for i, s in enumerate(self.symbols) if s}


class Vits(_Strict):
    """The shape of the network, in the names of coqui-tts's `VitsArgs`, and its noise scales."""

    num_chars: Annotated[int, Field(ge=1, le=65536)]
    hidden_channels: Size
    hidden_channels_ffn_text_encoder: Size
    num_heads_text_encoder: Annotated[int, Field(ge=1, le=64)]
    num_layers_text_encoder: Annotated[int, Field(ge=1, le=64)]
    kernel_size_text_encoder: Odd
    kernel_size_flow: Odd
    dilation_rate_flow: Annotated[int, Field(ge=1, le=8)]
    num_layers_flow: Annotated[int, Field(ge=1, le=64)]
    resblock_type_decoder: Literal["1", "2"]
    resblock_kernel_sizes_decoder: Annotated[tuple[Odd, ...], Field(min_length=1, max_length=8)]
    resblock_dilation_sizes_decoder: tuple[tuple[Annotated[int, Field(ge=1, le=64)], ...], ...]
    upsample_rates_decoder: Annotated[
        tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1, max_length=8)
    ]
    upsample_initial_channel_decoder: Size
    upsample_kernel_sizes_decoder: tuple[Annotated[int, Field(ge=1, le=128)], ...]
    use_sdp: bool
    noise_scale: Scale = 0.667
    noise_scale_dp: Scale = 0.8
    length_scale: Annotated[float, Field(gt=0.0, le=4.0, allow_inf_nan=False)] = 1.0

    @model_validator(mode="after")
    def _fits(self) -> "Vits":
        if self.hidden_channels % 2 or self.hidden_channels % self.num_heads_text_encoder:
            raise ValueError(
                "hidden_channels must be even and a multiple of num_heads_text_encoder"
            )
        odd = (
            self.kernel_size_text_encoder,
            self.kernel_size_flow,
            *self.resblock_kernel_sizes_decoder,
        )
        if not all(k % 2 for k in odd):
            raise ValueError("kernel sizes of the encoder, flow and residual blocks must be odd")
        rates, kernels = self.upsample_rates_decoder, self.upsample_kernel_sizes_decoder
        if len(kernels) != len(rates) or any(
            k < u or (k - u) % 2 for u, k in zip(rates, kernels, strict=True)
        ):
            raise ValueError("each upsample kernel must exceed its rate by an even number")
        if self.upsample_initial_channel_decoder % 2 ** len(rates):
            raise ValueError("upsample_initial_channel_decoder must halve at every upsampling")
        dilations, needed = (
            self.resblock_dilation_sizes_decoder,
            _DILATIONS[self.resblock_type_decoder],
        )
        if len(dilations) != len(self.resblock_kernel_sizes_decoder) or any(
            len(d) < needed for d in dilations
        ):
            raise ValueError(
                f"resblock_dilation_sizes_decoder needs {needed} dilations for each kernel size"
            )
        return self

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return prod(self.upsample_rates_decoder)


class Weights(_Strict):
    """The tensors beside the manifest."""

    file: InsidePath
    sha256: Sha256


class Source(_Strict):
    """Where the tensors are imported from, and what the import must give."""

    kind: Literal["piper"]
    package: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    file: InsidePath
    sha256: Sha256
    weights_sha256: Sha256


class Description(_Strict):
    """All that a pack says about its actor and its network, but for where the weights are."""

    version: Literal[1] = 1
    actor_id: Slug
    name: Said
    engine: Literal["vits"] = "vits"
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[a-z0-9]+)*$")]  # "en-us"
    sample_rate_hz: Annotated[int, Field(ge=8000, le=96000)]
    demonstration: bool
    resident_bytes: Annotated[int, Field(ge=1)]  # on the device, after load
    licence: Licence
    text: Text
    vits: Vits

    @model_validator(mode="after")
    def _ids_exist(self) -> "Description":
        if len(self.text.symbols) > self.vits.num_chars:
            raise ValueError(
                f"text.symbols has {len(self.text.symbols)} symbols,"
                f" vits.num_chars is {self.vits.num_chars}"
            )
        return self


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

    @property
    def model_sha256(self) -> str:
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
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as e:
        raise PackRefused(f"pack {folder}: {MANIFEST}: {e.strerror}") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise PackRefused(f"pack {folder}: {MANIFEST} is not TOML: {e}") from e
    try:
        # JSON, because strict validation takes its arrays for tuples; TOML's dates become text.
        said = _Manifest.model_validate_json(json.dumps(content, default=str))
    except ValidationError as e:
        raise refused(folder, e, _Manifest) from e
    return Pack(folder=folder, **dict(said))


def refused(folder: Path, error: ValidationError, model: type[BaseModel]) -> PackRefused:
    """What pydantic found wrong first, as a PackRefused that lists what is valid."""
    first = error.errors()[0]
    where = ".".join(str(p) for p in first["loc"])
    if first["type"] == "extra_forbidden":
        valid = _keys(model, first["loc"][:-1])
        return PackRefused(f"pack {folder}: unknown key {where}", where=where, valid=valid)
    return PackRefused(f"pack {folder}: {where or MANIFEST}: {first['msg']}", where=where or None)


def _keys(model: type[BaseModel], at: tuple[int | str, ...]) -> list[str]:
    for step in at:
        hint: Any = model.model_fields[str(step)].annotation
        options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        model = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return list(model.model_fields)


def find(models_dir: Path) -> dict[str, Pack | PackRefused]:
    """Every pack under `models_dir` by its folder's name; a broken one does not hide the others.

    A folder that does not exist holds no packs.
    """
    found: dict[str, Pack | PackRefused] = {}
    for folder in sorted(models_dir.iterdir()) if models_dir.is_dir() else ():
        if folder.name.startswith((".", "__")) or not folder.is_dir():
            continue
        try:
            pack = read(folder)
        except PackRefused as e:
            found[folder.name] = e
            continue
        if pack.actor_id == folder.name:
            found[folder.name] = pack
        else:
            found[folder.name] = PackRefused(
                f"pack {folder}: the folder must be named as its actor_id, {pack.actor_id!r}",
                where="actor_id",
            )
    return found


def sha256(path: Path) -> str:
    """The file's sha256, in hex."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def verify(pack: Pack) -> None:
    """Check that the weights are the ones the manifest names.

    Raises:
        PackRefused: the file is missing or its sha256 is another.
    """
    check_sha256(pack.folder, pack.weights_path, pack.model_sha256)


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


def write(description: Description, values: Tensors, folder: Path) -> Pack:
    """Write a pack: same tensors and description, same bytes. `folder` appears whole or not at all.

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
            manifest = pack.model_dump(mode="json", exclude={"folder"}, exclude_none=True)
            (scratch / MANIFEST).write_text(tomli_w.dumps(manifest), "utf-8")
            for path in (scratch / WEIGHTS, scratch / MANIFEST, scratch):
                _fsync(path)
            scratch.rename(folder)
            _fsync(folder.parent)
    except OSError as e:
        raise PackRefused(f"pack {folder}: cannot be written: {e.strerror}") from e
    return pack


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
