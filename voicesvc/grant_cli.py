"""`voicesvc grant`: what a person types to make, sign, import, stop and read grants."""

import getpass
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from voicesvc.config import Settings
from voicesvc.errors import InvalidRequest, VoiceError
from voicesvc.ledger_cli import content, opened

if TYPE_CHECKING:
    from joserfc.jwk import OKPKey

    from voicesvc.rights.register import Register

app = typer.Typer(help="Grants: make, sign, import, stop and read them.", no_args_is_help=True)
F = TypeVar("F", bound=Callable[..., Any])
Kind = Literal["grant", "notice", "approval", "script", "trust"]
Role = Literal["performer", "estate", "guardian", "counsel", "union"]
File = Annotated[Path, typer.Argument(help="a grant as JSON, or what was signed of it")]
Key = Annotated[Path, typer.Option("--key", help="private key, of `voicesvc grant key`")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="file; default: the same one")]
To = Annotated[Path, typer.Option("--out", "-o", help="file")]
Id = Annotated[str, typer.Argument(help="its id")]
Reason = Annotated[str, typer.Option(help="for the record")]
Signer = Annotated[
    Path | None, typer.Option("--key", help="a signer's private key; unset: as the operator")
]


def _fail(error: VoiceError) -> None:
    print(f"voicesvc: {error}", file=sys.stderr)
    raise typer.Exit(1) from error


def _put(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", "utf-8")
    except OSError as e:
        raise InvalidRequest(f"cannot write {path}: {e.strerror}", where="out") from e


def _key(path: Path) -> "OKPKey":
    from voicesvc.rights import keys

    return keys.read(content(path))


class _Papers(AbstractContextManager["_Papers"]):
    """The papers of the settings' database, beside a service that runs."""

    def __init__(self) -> None:
        from voicesvc.rights import keys

        self.settings = Settings.read()
        self._opened = opened(self.settings)
        self.database = self._opened.__enter__()
        self.key = keys.local(self.settings.key_path)

    def __exit__(self, *error: Any) -> bool | None:
        return self._opened.__exit__(*error)

    def register(self) -> "Register":
        """What follows from them."""
        from voicesvc.rights import register as registers
        from voicesvc.store import permits

        return registers.made(self.database.read(permits.papers), self.key)

    def enter(self, kind: Kind, text: str) -> str:
        """Check a paper and enter it; gives what it is about."""
        from voicesvc.archive import now_ms
        from voicesvc.rights import register as registers
        from voicesvc.store import By, permits

        now = now_ms()
        subject = registers.subject_of(kind, text, self.register(), self.key, now)
        paper = permits.Paper(kind, subject, text, registers.facts(kind, text))
        by = By(getpass.getuser(), now)
        self.database.write(lambda c: permits.add_paper(c, paper, by))
        return subject


@app.command("key")
def make_key(out: To) -> None:
    """Make a signer's key pair; prints the public half, for those who are to trust it."""
    from voicesvc.rights import keys

    try:
        keys.write(keys.new(), out)
        made = _key(out)
    except (VoiceError, OSError) as e:
        return _fail(e if isinstance(e, VoiceError) else InvalidRequest(str(e), where="out"))
    print(json.dumps(keys.public(made) | {"kid": keys.kid(made)}))


@app.command()
def trust(
    key: Annotated[Path, typer.Argument(help="a signer's public key")],
    name: Annotated[str, typer.Option(help="whose it is")],
    role: Annotated[Role, typer.Option(help="as what they sign")],
    remove: Annotated[bool, typer.Option(help="trust it no longer: it was stolen or lost")] = False,
) -> None:
    """Say whose key it is, so that its signatures count; or, with --remove, no longer."""
    from datetime import UTC, datetime

    from voicesvc.rights import keys
    from voicesvc.rights.register import Trusted

    with _Papers() as papers:
        jwk, at = keys.public(_key(key)), datetime.now(UTC)
        said = Trusted(jwk=jwk, name=name, role=role, trusted=not remove, at=at)
        print(papers.enter("trust", said.signed(papers.key)))


@app.command()
def new(
    out: To,
    actor: Annotated[str, typer.Option(help="actor id")],
    production: Annotated[str, typer.Option(help="slug or id of the production")],
    signer: Annotated[
        list[str], typer.Option(help="ROLE:NAME:FILE of a public key; the first is the grantor")
    ],
    id: Annotated[str | None, typer.Option(help="of the grant; default: made of the two")] = None,
) -> None:
    """Write a grant to be edited: everything that is not filled in is refused until it is."""
    from voicesvc import packs
    from voicesvc.rights import keys

    try:
        pack = packs.find(Settings.read().models_dir).get(actor)
        models = [pack.model_sha256] if isinstance(pack, packs.Pack) else []
        signers = []
        for given in signer:
            role, _, rest = given.partition(":")
            name, _, path = rest.rpartition(":")
            signers.append({"kid": keys.kid(_key(Path(path))), "role": role, "name": name})
        draft = {
            "id": id or f"{production}-{actor}",
            "version": 1,
            "grantor": {"role": signers[0]["role"], "name": signers[0]["name"]},
            "subject": {"name": "", "status": "living"},
            "signers": signers,
            "threshold": len(signers),
            "voice": {"actor": actor, "model_sha256": models},
            "licensee": {"name": ""},
            "production": {"id": production, "title": "", "media": [], "episodes": []},
            "use": {
                "description": "",
                "characters": [],
                "languages": [],
                "new_dialogue": False,
                "prohibited": ["political", "sexual", "hate", "training"],
            },
            "territory": [],
            "term": {"not_before": "", "expires": "", "retain_until": ""},
            "limits": {"lines": 1},
        }
        _put(out, json.dumps(draft, indent=2, ensure_ascii=False))
    except VoiceError as e:
        _fail(e)


@app.command()
def sign(file: File, key: Key, out: Out = None) -> None:
    """Sign a grant; a file that others signed keeps their signatures."""
    from voicesvc.rights import keys
    from voicesvc.rights import sign as signed
    from voicesvc.rights.grant import parse, read
    from voicesvc.rights.signed import payload_of

    try:
        text, ours = content(file), _key(key)
        others = text if '"signatures"' in text and '"payload"' in text else None
        grant = parse(text) if others is None else read(payload_of(others))
        if keys.kid(ours) not in {s.kid for s in grant.signers}:
            valid = [f"{s.name}, {s.kid}" for s in grant.signers]
            raise InvalidRequest("this key is none of the signers'", where="key", valid=valid)
        _put(out or file, signed(grant.canonical(), "grant", (ours,), others))
        print(f"{grant.id} version {grant.version}: signed by {keys.kid(ours)}")
    except VoiceError as e:
        _fail(e)


@app.command()
def verify(
    file: File,
    key: Annotated[list[Path], typer.Option(help="a signer's public key; may be repeated")],
    before: Annotated[
        Path | None, typer.Option(help="the version before, as it was signed")
    ] = None,
) -> None:
    """Say whether enough signers signed a grant. Needs no database."""
    from voicesvc.rights import Trust, keys
    from voicesvc.rights import verify as verified

    try:
        known = [_key(path) for path in key]
        trusted = Trust({keys.kid(k): k for k in known})
        earlier = None if before is None else verified(content(before), trusted)
        found = verified(content(file), trusted, earlier)
        names = ", ".join(s.name for s in found.grant.signers if s.kid in found.kids)
        print(f"{found.grant.id} version {found.grant.version}: signed by {names}")
    except VoiceError as e:
        _fail(e)


@app.command("import")
def enter(
    file: Annotated[Path, typer.Argument(help="what was signed; a script is plain JSON")],
    kind: Annotated[Kind, typer.Option(help="what it is")] = "grant",
) -> None:
    """Import a grant, its next version, a notice, an approval or a script."""
    with _Papers() as papers:
        print(papers.enter(kind, content(file).strip()))


@app.command()
def show(
    id: Annotated[str | None, typer.Argument(help="its id; default: all of them, short")] = None,
    html: Annotated[bool, typer.Option(help="as a page, to be printed")] = False,
) -> None:
    """Print a grant, or list those that are here."""
    from voicesvc.archive import now_ms
    from voicesvc.rights import page as pages
    from voicesvc.rights import register as registers

    with _Papers() as papers:
        register = papers.register()

        def state(id: str) -> str:
            return registers.state_of(register.grants[id][-1], register, now_ms())

        if id is None:
            for each, versions in register.grants.items():
                grant = versions[-1].grant
                print(f"{each} {grant.version}: {grant.voice.actor} for {grant.production.id}")
                print(f"  {state(each)}; until {grant.term.expires:%Y-%m-%d}")
            return
        found = registers.newest(register.grants, id)
        if html:
            print(pages.page(found.grant, state(id), found.sha256, found.kids))
        else:
            print(json.dumps(found.grant.model_dump(mode="json", exclude_none=True), indent=2))


@app.command()
def amend(id: Id, out: To) -> None:
    """Write the next version of a grant, to be edited and signed."""
    from voicesvc.rights import register as registers

    with _Papers() as papers:
        found = registers.newest(papers.register().grants, id)
        draft = found.grant.model_dump(mode="json", exclude_none=True)
        draft |= {"version": found.grant.version + 1, "supersedes": found.sha256}
        _put(out, json.dumps(draft, indent=2, ensure_ascii=False))


@app.command()
def statement(
    id: Id,
    period: Annotated[str, typer.Argument(help="2026-11, 2026-Q4, 2026, 2026-11-01/2026-11-15")],
    form: Annotated[
        Literal["json", "csv", "page"], typer.Option("--format", help="json, csv or page")
    ] = "json",
) -> None:
    """Print what is owed under a grant for a period, with the proofs."""
    from voicesvc.archive import now_ms
    from voicesvc.rights import period as periods
    from voicesvc.rights import statement_forms as forms
    from voicesvc.store import statements

    with _Papers() as papers:
        asked = periods.read(period)
        said = statements.statement(papers.database, id, asked, papers.key, now_ms())
        if form == "json":
            print(json.dumps(forms.json(said), indent=1, ensure_ascii=False))
        else:
            sys.stdout.write(forms.table(said) if form == "csv" else forms.page(said) + "\n")


@app.command()
def approve(
    id: Id,
    file: Annotated[Path, typer.Argument(help="lines, one in each line of the file")],
    key: Key,
) -> None:
    """Approve lines of text with the approver's key."""
    from datetime import UTC, datetime

    from voicesvc.rights import Approval
    from voicesvc.rights import sign as signed
    from voicesvc.rights.canonical import text_sha256

    with _Papers() as papers:
        lines = tuple(text_sha256(x) for x in content(file).splitlines() if x.strip())
        said = Approval(grant=id, at=datetime.now(UTC), lines=lines)
        papers.enter("approval", signed(said.canonical(), "approval", (_key(key),)))
        print(f"{len(lines)} lines")


def _notice(id: str, action: Literal["revoke", "suspend", "resume"], reason: str, by: Any) -> None:
    from datetime import UTC, datetime

    from voicesvc.rights import Notice
    from voicesvc.rights import sign as signed

    with _Papers() as papers:
        said = Notice(grant=id, action=action, at=datetime.now(UTC), reason=reason)
        key = papers.key if by is None else _key(by)
        papers.enter("notice", signed(said.canonical(), "notice", (key,)))
        print(f"{id}: {action}")


@app.command()
def revoke(id: Id, reason: Reason = "", key: Signer = None) -> None:
    """Withdraw a grant, for good: streams under it are cut within a second."""
    _notice(id, "revoke", reason, key)


@app.command()
def suspend(id: Id, reason: Reason = "", key: Signer = None) -> None:
    """Have a grant stand still: streams under it are cut within a second."""
    _notice(id, "suspend", reason, key)


@app.command()
def resume(id: Id, reason: Reason = "", key: Signer = None) -> None:
    """End a suspension, by whoever gave it."""
    _notice(id, "resume", reason, key)
