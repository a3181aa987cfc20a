"""Other people's voices into packs, and recipes into packs with weights.

Each import is one function of a file; what it makes is checked tensor by tensor before it is kept.
"""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from voicesvc import deltas, packs
from voicesvc.engines.coqui import from_coqui, model_of, of_speaker
from voicesvc.engines.coqui_xtts import from_coqui_xtts
from voicesvc.engines.piper import from_piper
from voicesvc.engines.reference import About, Reference
from voicesvc.engines.styles import embedded
from voicesvc.engines.xtts_network import speaking
from voicesvc.errors import PackRefused
from voicesvc.manifest import Base
from voicesvc.packs import Licence, Pack, Tensors

__all__ = ["Reference", "ensure", "from_coqui", "from_piper", "import_coqui", "import_piper"]

Progress = Callable[[str], object]


def import_piper(
    onnx_path: Path,
    actor_id: str,
    out: Path,
    *,
    name: str | None = None,
    licence: Licence | None = None,
) -> Pack:
    """Write the Piper voice at `onnx_path` as a pack in the new folder `out`.

    Raises:
        PackRefused: the voice cannot be served, or `out` is there already.
    """
    description, values = from_piper(onnx_path, actor_id, name=name, licence=licence)
    return packs.write(description, values, out)


def import_coqui(
    source: Path,
    actor_id: str,
    out: Path,
    *,
    name: str | None = None,
    language: str | None = None,
    licence: Licence | None = None,
    reference: Reference | None = None,
) -> Pack:
    """Write coqui-tts's checkpoint at `source` (folder or .pth) as a pack in the new `out`.

    VITS or XTTS v2, as its config says; `reference` says whose voice it is, where that is to be
    said: of XTTS, and of a VITS of several speakers.

    Raises:
        PackRefused: the checkpoint cannot be served, or `out` is there already.
    """
    about = About(actor_id, name, language, licence)
    if model_of(source) == "xtts":
        if reference is not None and reference.styles:
            raise PackRefused(f"{source}: styles of XTTS are recordings", where="style")
        described, values, files = from_coqui_xtts(source, about, reference)
        return packs.write(described, values, out, files)
    whose = reference or Reference()
    if whose.clips:
        raise PackRefused(f"{source}: a reference is for XTTS only", where="reference")
    described, values, found = of_speaker(source, about, whose)
    styles, files = embedded(found, whose.styles)
    described = described.model_copy(update={"styles": styles})
    return packs.write(described, values, out, files)


def to_delta(folder: Path, base_folder: Path, out: Path, kind: deltas.Kind, rank: int) -> Pack:
    """Write the pack in `folder` as what it adds to the weights of the one in `base_folder`.

    `out` lies beside `base_folder`, where it is looked for. Both are read whole.

    Raises:
        PackRefused: one cannot be read, they are of different networks, the base is made on another
            itself, or `out` is there already or elsewhere.
    """
    full, base = packs.read(folder), packs.read(base_folder)
    if out.resolve().parent != base_folder.resolve().parent:
        raise PackRefused(
            f"{out}: a base is looked for beside the pack",
            where="out",
            valid=str(base_folder.resolve().parent),
        )
    for pack, name in ((full, "pack"), (base, "base")):
        if pack.base is not None:
            raise PackRefused(f"{pack.folder}: is made on a base itself", where=name)
    if base.engine != full.engine:
        raise PackRefused(
            f"{base_folder}: is for {base.engine}, not {full.engine}", where="base.engine"
        )
    before, values = packs.tensors(base), packs.tensors(full)
    made = deltas.split(values, before, kind, rank)
    named = {deltas.target(n) for n in made}
    spoken = set(speaking(values) if full.engine == "xtts" else values)
    own_bytes = sum(values[n].nbytes for n in spoken & named)
    said = {name: getattr(full, name) for name in packs.Description.model_fields}
    described = packs.Description(
        **said
        | {
            "resident_bytes": max(own_bytes, 1) if full.engine == "xtts" else full.resident_bytes,
            "base": Base(
                pack=base.folder.resolve().name,
                sha256=base.weights_sha256,
                resident_bytes=base.resident_bytes,
            ),
        }
    )
    beside = {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in (packs.MANIFEST, full.weights_path.name)
    }
    return packs.write(described, made, out, beside)


def ensure(pack: Pack, cache_dir: Path, progress: Progress = print) -> Pack:
    """The pack with its weights on disk and verified; a recipe is imported once into `cache_dir`.

    A cached file that is not what the recipe names is removed and imported again, once. Processes
    that ask at the same time wait for the first.

    Raises:
        PackRefused: wrong weights or source, or an import that gives other weights than the recipe
            names.
    """
    if pack.source is None:
        packs.verify(pack)
        return pack
    folder = packs.cached_folder(cache_dir, pack)
    cached = pack.model_copy(
        update={
            "folder": folder,
            "source": None,
            "weights": packs.Weights(file=packs.WEIGHTS, sha256=pack.weights_sha256),
        }
    )
    with _locked(folder):
        if folder.exists():
            try:
                packs.verify(cached)
                return cached
            except PackRefused as e:
                progress(f"{pack.actor_id}: cached weights are damaged, importing again: {e}")
                shutil.rmtree(folder)
        progress(f"{pack.actor_id}: importing weights from {pack.source.package}")
        packs.write(pack, _import(pack), folder)
        try:
            packs.verify(cached)
        except PackRefused:
            shutil.rmtree(folder)
            raise
        progress(f"{pack.actor_id}: weights are in {folder}")
    return cached


def source_path(pack: Pack) -> Path:
    """Find and verify the file a recipe imports from; its package is not imported.

    Raises:
        PackRefused: no recipe, package not installed, file missing or of another sha256.
    """
    source = pack.source
    if source is None:
        raise PackRefused(f"pack {pack.folder}: has no [source] to import from", where="source")
    spec = find_spec(source.package)
    if spec is None or not spec.submodule_search_locations:
        raise PackRefused(
            f"pack {pack.folder}: the package {source.package} is not installed",
            where="source.package",
        )
    path = Path(next(iter(spec.submodule_search_locations))) / source.file
    packs.check_sha256(pack.folder, path, source.sha256)
    return path


def _import(pack: Pack) -> Tensors:
    description, values = from_piper(source_path(pack), pack.actor_id)
    for field in ("language", "sample_rate_hz", "resident_bytes", "text", "vits"):
        if getattr(description, field) != getattr(pack, field):
            raise PackRefused(
                f"pack {pack.folder}: {field} is not what its source says", where=field
            )
    return values


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / f".{folder.name}.lock").open("w") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            yield
    except OSError as e:
        raise PackRefused(f"pack {folder}: the cache cannot be used: {e}") from e
