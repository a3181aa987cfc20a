"""`voicesvc verify`: what a person types to have a recording examined."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voicesvc import ledger_cli
from voicesvc.config import Settings
from voicesvc.errors import VoiceError

if TYPE_CHECKING:
    from voicesvc.audio import Pcm


def verify(
    file: Annotated[Path, typer.Argument(help="a recording: WAV, FLAC, Ogg, MP3, M4A")],
    speeds: Annotated[bool, typer.Option(help="look at other speeds too")] = True,
    sidecar: Annotated[
        Path | None, typer.Option(help="its .c2pa; default: what is in it, or <file>.c2pa")
    ] = None,
    trust: Annotated[
        Path | None, typer.Option(help="roots as PEM; default: VOICESVC_C2PA_TRUST")
    ] = None,
) -> None:
    """Say if a recording is marked, what its content credentials say, and which take it is.

    Takes are those of this service's database, where there is one. Ends with 0 if it is marked,
    3 if not, else 4.
    """
    from voicesvc import credentials
    from voicesvc.marks import detector
    from voicesvc.recording import RATE_HZ, Bounds, decode

    try:
        settings = Settings.read()
        decoded = decode(file, Bounds(most_s=settings.verify_max_s))
        found = detector.find(decoded.pcm, RATE_HZ, detector.SPEEDS if speeds else ())
        read = asdict(credentials.read(file, sidecar, trust or settings.c2pa_trust))
        told = asdict(found) | {"credentials": read} | _takes_of(settings, decoded.pcm, read)
    except VoiceError as e:
        print(f"voicesvc: {e}", file=sys.stderr)
        raise typer.Exit(1) from e
    except OSError as e:
        print(f"voicesvc: cannot read {e.filename}: {e.strerror}", file=sys.stderr)
        raise typer.Exit(1) from e
    print(json.dumps(told, indent=1))
    raise typer.Exit({"marked": 0, "not marked": 3}.get(found.verdict, 4))


def _takes_of(settings: Settings, pcm: "Pcm", credentials: dict[str, object]) -> dict[str, object]:
    """Which takes a recording is of, at `recording.RATE_HZ`, where there is a database.

    Raises:
        StoreFailed: the database does not answer.
    """
    from voicesvc.archive import now_ms
    from voicesvc.fingerprint import queries
    from voicesvc.recording import RATE_HZ
    from voicesvc.rights import keys, register
    from voicesvc.store import permits
    from voicesvc.verify import Verifier

    if settings.database_url is None and not (settings.data_path / "takes.db").exists():
        return {}
    with ledger_cli.opened(settings) as database:
        papers = register.made(database.read(permits.papers), keys.local(settings.key_path))
        verifier = Verifier(database, lambda: papers, now_ms)
        return verifier.takes(queries(pcm, RATE_HZ), credentials)
