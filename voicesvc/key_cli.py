"""`voicesvc key`: what a person types to make, show, rotate and revoke keys."""

import getpass
import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voicesvc.config import Settings
from voicesvc.errors import VoiceError
from voicesvc.ledger_cli import opened

if TYPE_CHECKING:
    from voicesvc.access import Key
    from voicesvc.keyring import Keyring

app = typer.Typer(help="Keys: who may ask for what.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="its id, the part between vsk_ and the next _")]
_DAY_S, _HOUR_S = 86_400, 3600


@contextmanager
def _keyring() -> Iterator["Keyring"]:
    """The keys of the settings' database, beside a service that runs."""
    from voicesvc.archive import now_ms
    from voicesvc.keyring import Keyring
    from voicesvc.rights import keys

    settings = Settings.read()
    with opened(settings) as database:
        yield Keyring(database, keys.local(settings.key_path), now_ms)


def _show(key: "Key") -> None:
    from voicesvc.keyring import told

    print(json.dumps(told(key), indent=1, ensure_ascii=False))


def _hand_out(key: "Key", shown: str) -> None:
    print(f"key {key.id} of {key.name}; this is the only time that it is shown:", file=sys.stderr)
    print(shown)


@app.command()
def first(
    out: Annotated[Path, typer.Option("--out", "-o", help="file, that only its owner reads")],
) -> None:
    """Make a file for VOICESVC_ADMIN_KEY: a key that may do everything."""
    from voicesvc.access import keys

    try:
        fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as e:
        print(f"voicesvc: cannot write {out}: {e.strerror}", file=sys.stderr)
        raise typer.Exit(1) from e
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(keys.new(secrets.token_bytes)[1] + "\n")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="whose it is, for people")],
    scope: Annotated[
        list[str], typer.Option(help="speak, audition, circle, export, grants or admin; repeat")
    ],
    actor: Annotated[
        list[str] | None, typer.Option(help="actor it is for; repeat; default: all")
    ] = None,
    production: Annotated[
        list[str] | None, typer.Option(help="slug of a production it is for; repeat; default: all")
    ] = None,
    days: Annotated[float | None, typer.Option(help="that it lasts; default: for ever")] = None,
    per_minute: Annotated[int | None, typer.Option(help="requests in a minute")] = None,
    at_once: Annotated[int | None, typer.Option(help="requests at a time")] = None,
) -> None:
    """Make a key; prints it, the only time that it is shown."""
    from pydantic import ValidationError

    from voicesvc.access.asked import NewKey
    from voicesvc.archive import now_ms

    now = now_ms()
    try:
        asked = NewKey(
            name=name,
            scopes=tuple(scope),
            actors=tuple(actor or ()),
            productions=tuple(production or ()),
            expires_ms=None if days is None else now + round(1000 * days * _DAY_S),
            per_minute=per_minute,
            at_once=at_once,
        ).key(now)
    except (ValidationError, VoiceError) as e:
        first = e.errors(include_url=False)[0] if isinstance(e, ValidationError) else None
        said = e if first is None else f"{first['loc'][0]}: {first['msg']}"
        print(f"voicesvc: {said}", file=sys.stderr)
        raise typer.Exit(1) from e
    with _keyring() as keyring:
        _hand_out(*keyring.make(asked, getpass.getuser()))


@app.command("list")
def every() -> None:
    """Print every key, one a line: id, scopes, where it counts, name."""
    from voicesvc.archive import now_ms

    with _keyring() as keyring:
        for key in keyring.every():
            actors = ",".join(sorted(key.actors or ())) or "all actors"
            productions = ",".join(sorted(key.productions or ())) or "all productions"
            over = key.over(now_ms()) or "counts"
            scopes = ",".join(sorted(key.scopes))
            print("\t".join((key.id, scopes, actors, productions, over, key.name)))


@app.command()
def show(id: Id) -> None:
    """Print one key, without its secret."""
    with _keyring() as keyring:
        _show(keyring.get(id))


@app.command()
def rotate(
    id: Id,
    hours: Annotated[
        float, typer.Option(min=0, max=720, help="in which the secret that it had counts, too")
    ] = 24.0,
) -> None:
    """Give a key another secret; prints the key, the only time that it is shown."""
    with _keyring() as keyring:
        _hand_out(*keyring.rotate(id, hours * _HOUR_S, getpass.getuser()))


@app.command()
def revoke(id: Id) -> None:
    """End a key at once, for good."""
    with _keyring() as keyring:
        _show(keyring.revoke(id, getpass.getuser()))
