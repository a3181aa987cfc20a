"""`voicesvc ledger`: what a person types to check the ledger."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voicesvc.config import Settings
from voicesvc.errors import InvalidRequest, VoiceError

if TYPE_CHECKING:
    from voicesvc.store import Database

app = typer.Typer(help="The ledger: check it, hand out its head.", no_args_is_help=True)


@contextmanager
def opened(settings: Settings) -> Iterator["Database"]:
    """The service's database; what fails in the block is said, and ends the command."""
    from voicesvc.store import Database

    try:
        if settings.database_url is None:
            settings.data_path.mkdir(parents=True, exist_ok=True)
        database = Database(settings.takes_url)
        try:
            yield database
        finally:
            database.close()
    except VoiceError as e:
        print(f"voicesvc: {e}", file=sys.stderr)
        raise typer.Exit(1) from e


def content(path: Path) -> str:
    """A file's text.

    Raises:
        InvalidRequest: it cannot be read.
    """
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise InvalidRequest(f"cannot read {path}: {e}", where=str(path)) from e


@app.command()
def verify(
    head: Annotated[
        list[Path] | None, typer.Option(help="a head that was handed out; may be repeated")
    ] = None,
) -> None:
    """Go through the whole ledger: nothing changed, removed or put in since each signed head."""
    from voicesvc.rights import keys
    from voicesvc.rights import ledger as rules
    from voicesvc.store import ledger as rows

    settings = Settings.read()
    with opened(settings) as database:
        key = keys.local(settings.key_path)
        kept = [rules.read_head(h.signed, key) for h in database.read(rows.heads)]
        given = [json.loads(content(path)) for path in head or []]
        kept += [rules.read_head(json.dumps(h.get("signed", h)), key) for h in given]
        found = database.read(lambda c: rules.verify(rows.all_rows(c), kept))
        print(f"{found.size} entries, unchanged; root {found.root.hex()}")


@app.command("head")
def sign_head() -> None:
    """Print the signed head, to be handed to somebody who keeps it."""
    from voicesvc.archive import now_ms
    from voicesvc.rights import keys
    from voicesvc.store import ledger as rows

    settings = Settings.read()
    with opened(settings) as database:
        key = keys.local(settings.key_path)
        made = database.write(lambda c: rows.head(c, key, now_ms()))
        print(json.dumps(made.json() | {"key": keys.public(key)}, indent=1))
