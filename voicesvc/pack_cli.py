"""`voicesvc pack`: voices made elsewhere into packs, and what is done with packs."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import ValidationError

from voicesvc.errors import InvalidRequest, VoiceError

if TYPE_CHECKING:
    from voicesvc.packs import Licence

app = typer.Typer(
    help="Actor packs: import voices made elsewhere, check, share what they have in common.",
    no_args_is_help=True,
)

Actor = Annotated[str, typer.Option(help="actor id")]
Out = Annotated[Path, typer.Option("--out", "-o", help="folder of the new pack")]
Name = Annotated[str | None, typer.Option(help="the actor's name, for people")]
LicenceWeights = Annotated[str | None, typer.Option(help="what the weights may be used under")]
LicenceData = Annotated[str | None, typer.Option(help="what the recordings may be used under")]

Folder = Annotated[Path, typer.Argument(help="a pack's folder")]


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


@contextmanager
def _failing() -> Iterator[None]:
    """What fails in the block is said, and ends the command."""
    try:
        yield
    except VoiceError as e:
        _tell(f"voicesvc: {e}")
        raise typer.Exit(1) from e


def _licence(weights: str | None, data: str | None, base: str | None = None) -> "Licence | None":
    """The licence that the options say; None where they say nothing.

    Raises:
        InvalidRequest: only one of the first two is said, or it is empty or too long.
    """
    from voicesvc.packs import Licence

    if weights is None and data is None and base is None:
        return None
    if weights is None or data is None:
        raise InvalidRequest("--licence-weights and --licence-data go together", where="licence")
    try:
        return Licence(weights=weights, data=data, base_granted=base or "")
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        raise InvalidRequest(first["msg"], where=f"licence_{first['loc'][0]}") from e


@app.command("import-piper")
def import_piper(
    onnx: Annotated[Path, typer.Argument(help="a Piper voice, with its .onnx.json beside it")],
    actor: Actor,
    out: Out,
    name: Name = None,
    licence_weights: LicenceWeights = None,
    licence_data: LicenceData = None,
) -> None:
    """Turn a Piper voice into a pack for coqui-tts's Vits."""
    with _failing():
        licence = _licence(licence_weights, licence_data)
        from voicesvc.engines.convert import import_piper

        pack = import_piper(onnx, actor, out, name=name, licence=licence)
    _tell(f"{pack.folder}: {pack.actor_id}, weights sha256 {pack.model_sha256}")


@app.command("import")
def import_coqui(
    folder: Annotated[
        Path, typer.Argument(help="config.json and model.pth of a coqui-tts VITS or XTTS v2")
    ],
    actor: Actor,
    out: Out,
    name: Name = None,
    language: Annotated[
        str | None, typer.Option(help="en-us; needed where the config says none")
    ] = None,
    reference: Annotated[
        list[Path] | None, typer.Option(help="XTTS: a recording of the voice; may be repeated")
    ] = None,
    speaker: Annotated[
        str | None,
        typer.Option(help="which of several speakers is the actor; XTTS: of speakers_xtts.pth"),
    ] = None,
    style: Annotated[
        list[str] | None,
        typer.Option(help="VITS: sad=ann_sad, an emotion and its speaker; may be repeated"),
    ] = None,
    licence_weights: LicenceWeights = None,
    licence_data: LicenceData = None,
    licence_base: Annotated[
        str | None, typer.Option(help="XTTS: what else was granted for the base model, by whom")
    ] = None,
) -> None:
    """Turn a VITS or XTTS v2 checkpoint fine-tuned with coqui-tts into a pack."""
    with _failing():
        licence = _licence(licence_weights, licence_data, licence_base)
        from voicesvc.engines.convert import Reference, import_coqui

        said = Reference(tuple(reference or ()), speaker, _styles(style or ()))
        pack = import_coqui(
            folder,
            actor,
            out,
            name=name,
            language=language,
            licence=licence,
            reference=said,
        )
    _tell(f"{pack.folder}: {pack.actor_id}, weights sha256 {pack.model_sha256}")
    withheld = pack.licence.withheld(())
    if withheld is not None:
        _tell(f"{pack.actor_id}: {withheld}; to be acknowledged before it speaks (docs/packs.md)")


@app.command()
def delta(
    folder: Folder,
    base: Annotated[Path, typer.Option(help="the pack that it was fine-tuned from")],
    out: Out,
    kind: Annotated[
        Literal["exact", "half", "lora"],
        typer.Option(help="exact loses no bit; half rounds differences, lora lowers their rank"),
    ] = "exact",
    rank: Annotated[int, typer.Option(min=1, max=1024, help="of lora")] = 16,
) -> None:
    """Write a pack as what it adds to a base's weights; what is equal is loaded once for all."""
    with _failing():
        from voicesvc.engines.convert import to_delta

        pack = to_delta(folder, base, out, kind, rank)
    size_mb = pack.weights_path.stat().st_size / 1e6
    _tell(f"{pack.folder}: {size_mb:.1f} MB, {pack.resident_bytes / 1e6:.1f} MB beside its base")


@app.command("add-style")
def add_style(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="an emotion, as sad")],
    source: Annotated[
        list[Path],
        typer.Argument(
            help="XTTS: recordings of the voice in it; VITS: the checkpoint, or a file of d-vectors"
        ),
    ],
    speaker: Annotated[
        str | None, typer.Option(help="VITS: which of its speakers the emotion is")
    ] = None,
) -> None:
    """Give a pack a style: how the voice is in an emotion, used in place of rules."""
    with _failing():
        from voicesvc import packs
        from voicesvc.engines.styles import add_style

        pack = add_style(packs.read(folder), name, source, speaker)
    _tell(f"{folder}: styles {', '.join(sorted(pack.styles))}")


def _styles(said: Sequence[str]) -> dict[str, str]:
    """Emotion -> speaker, of options such as sad=ann_sad. Raises InvalidRequest."""
    pairs = [option.partition("=") for option in said]
    if not all(speaker for _, _, speaker in pairs):
        raise InvalidRequest("a style is an emotion and a speaker", where="style", valid="sad=NAME")
    return {emotion: speaker for emotion, _, speaker in pairs}


Keys = Annotated[
    list[Path] | None, typer.Option("--key", help="a key of `voicesvc grant key`; may be repeated")
]


@app.command()
def sign(folder: Folder, key: Keys = None) -> None:
    """Sign a pack: the sha256 of each of its files, as they are now."""
    with _failing():
        from voicesvc import packs, signatures

        if not key:
            raise InvalidRequest("whose signature?", where="--key", valid="a private key's file")
        kids = signatures.sign(packs.read(folder), [signatures.signer(path) for path in key])
    _tell(f"{folder}: signed by {', '.join(sorted(kids))}")


@app.command()
def verify(folder: Folder, key: Keys = None) -> None:
    """Check that a pack's files are those that a trusted key signed, all of them and no others."""
    with _failing():
        from voicesvc import packs, signatures
        from voicesvc.config import Settings

        trust = {kid: k for path in key or () for kid, k in signatures.trusted(path).items()}
        if not key and (said := Settings.read().pack_keys) is not None:
            trust = signatures.trusted(said)
        if not trust:
            raise InvalidRequest("whose signature?", where="--key", valid="or VOICESVC_PACK_KEYS")
        sealed = signatures.verify(packs.read(folder), trust)
    _tell(f"{folder}: {len(sealed.contents.files)} files, signed by {', '.join(sealed.kids)}")


@app.command()
def check(folder: Folder) -> None:
    """Read a pack as serving would: manifest, hashes, every tensor; its voice is not made."""
    with _failing():
        from voicesvc import packs
        from voicesvc.config import Settings
        from voicesvc.engines.load import prepare

        pack = packs.read(folder)
        read = prepare(pack, Settings.read(device="cpu"), _tell)
        _tell(
            f"{folder}: {pack.actor_id}, {read.host_bytes} bytes of tensors are as they should be"
        )
        withheld = pack.licence.withheld(())
    if withheld is not None:
        _tell(f"{pack.actor_id}: {withheld}; to be acknowledged before it speaks (docs/packs.md)")


@app.command()
def show(folder: Folder) -> None:
    """Print what a pack's manifest says, as JSON; its symbols are left out."""
    with _failing():
        from voicesvc import packs

        pack = packs.read(folder)
    said = pack.model_dump(mode="json", exclude={"folder": True, "text": {"symbols"}})
    print(json.dumps(said | {"model_sha256": pack.model_sha256}, indent=1, ensure_ascii=False))
