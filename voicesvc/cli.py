"""Everything a person types. Heavy imports happen in the command that needs them."""

import json
import logging
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, NoReturn

import typer
from pydantic import ValidationError

from voicesvc import grant_cli, key_cli, ledger_cli, pack_cli, verify_cli
from voicesvc.config import Settings
from voicesvc.errors import InvalidRequest, VoiceError

if TYPE_CHECKING:
    from voicesvc.line import Line
    from voicesvc.lineplan import LinePlan
    from voicesvc.takes import Take

app = typer.Typer(
    help="Licensed actors' voices over HTTP, streamed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(pack_cli.app, name="pack")
app.add_typer(ledger_cli.app, name="ledger")
app.add_typer(grant_cli.app, name="grant")
app.add_typer(key_cli.app, name="key")

_ALONE_S = 3600.0  # that a command waits for its voice: nobody else asks for room
Actor = Annotated[str, typer.Option(help="actor id")]
Seed = Annotated[int | None, typer.Option(help="same seed, same samples")]
EmotionOption = Annotated[
    str | None,
    typer.Option("--emotion", help='a name, or JSON as {"name": "sad", "intensity": 0.6}'),
]
Seconds = Annotated[float | None, typer.Option(help="make the line exactly this long")]
Ask = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE: any other field of a request, as pitch_st=2 or breaths=auto"),
]


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _end(error: VoiceError) -> NoReturn:
    _tell(f"voicesvc: {error}")
    raise typer.Exit(1)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port; 0 picks a free one")] = None,
) -> None:
    """Serve over HTTP. Every other setting is a VOICESVC_* variable (docs/settings.md)."""
    begin = time.perf_counter()
    try:
        settings = Settings.read(host=host, port=port)
    except VoiceError as e:
        _end(e)
    from voicesvc import logs

    logs.install(settings.log_format, settings.log_level, sys.stderr)
    tell = _tell if settings.log_format == "text" else logging.getLogger("voicesvc").info
    from voicesvc.api.server import run

    tell("voicesvc: starting")
    try:
        run(settings, tell, begin)
    except VoiceError as e:
        _end(e)


@app.command()
def say(
    text: Annotated[str | None, typer.Argument(help="what is to be said")] = None,
    to: Annotated[str | None, typer.Argument(help="a file, or - for standard output")] = None,
    out: Annotated[str | None, typer.Option("--out", "-o", help="the same as TO")] = None,
    actor: Actor = "joe",
    format: Annotated[str | None, typer.Option(help="default: by the file's suffix")] = None,
    sample_rate_hz: Annotated[int | None, typer.Option(help="8000 to 96000")] = None,
    bit_depth: Annotated[str | None, typer.Option(help="16, 24 or 32f")] = None,
    seed: Seed = None,
    rate: Annotated[float | None, typer.Option(help="speaking rate, 0.5 to 2")] = None,
    emotion: EmotionOption = None,
    seconds: Seconds = None,
    ask: Ask = None,
    plan: Annotated[
        Path | None, typer.Option(help="speak this plan, a file of `voicesvc plan`, not TEXT")
    ] = None,
) -> None:
    """Speak one line, or a plan, into a file or, with -, to standard output."""
    if plan is not None and text is not None and to is None:
        text, to = None, text  # what is spoken is in the plan, so the one argument says where to
    target = out or to
    if target is None:
        _tell("voicesvc: say where to: a file, or - for standard output")
        raise typer.Exit(2)
    logging.basicConfig(level=logging.WARNING)
    try:
        fields = _fields(ask, emotion=emotion, seconds=seconds, seed=seed, rate=rate) | {
            "format": format or _format_of(target),
            "sample_rate_hz": sample_rate_hz,
            "bit_depth": int(bit_depth) if bit_depth and bit_depth.isdigit() else bit_depth,
        }
        given = {"plan": _plan_of(plan)} if plan else {"actor": actor, "text": text}
        _say_to(Settings.read(load_wait_s=_ALONE_S), fields | given, target, _tell)
    except VoiceError as e:
        _end(e)


@app.command("plan")
def make_plan(
    text: Annotated[str, typer.Argument(help="what is to be said")],
    out: Annotated[str, typer.Option("--out", "-o", help="a file; default: standard output")] = "-",
    actor: Actor = "joe",
    seed: Seed = None,
    rate: Annotated[float | None, typer.Option(help="speaking rate, 0.5 to 2")] = None,
    emotion: EmotionOption = None,
    seconds: Seconds = None,
    ask: Ask = None,
) -> None:
    """Make a line explicit as JSON, to be edited and spoken by `voicesvc say --plan`."""
    from voicesvc.studio import Studio

    logging.basicConfig(level=logging.WARNING)
    try:
        fields = _fields(ask, emotion=emotion, seconds=seconds, seed=seed, rate=rate)
        line = _line(fields | {"actor": actor, "text": text})
        with ExitStack() as stack:
            sink = stack.enter_context(_sink(out))
            studio = Studio(Settings.read(load_wait_s=_ALONE_S), say=_tell)
            studio.cast.warms = False
            stack.callback(studio.close)
            document, _, _ = studio.plan(line)
            sink.write(document.model_dump_json(indent=1).encode() + b"\n")
    except VoiceError as e:
        _end(e)


def _fields(asked: list[str] | None, **options: object) -> dict[str, object]:
    """The fields of a request that options and `--ask NAME=VALUE` say; VALUE is JSON or a word.

    Raises:
        InvalidRequest: an `--ask` has no name.
    """
    seconds, emotion = options.pop("seconds"), options.pop("emotion")
    fields = options | {"fit": None if seconds is None else {"seconds": seconds}}
    for given in ([f"emotion={emotion}"] if emotion is not None else []) + (asked or []):
        name, equals, value = given.partition("=")
        if not equals:
            raise InvalidRequest(f"{given!r} has no =", where="ask", valid="NAME=VALUE")
        try:
            fields[name] = json.loads(value)
        except ValueError:
            fields[name] = value
    return {name: value for name, value in fields.items() if value is not None}


def _plan_of(path: Path) -> "LinePlan":
    """A plan from a file.

    Raises:
        InvalidRequest: it cannot be read.
        BadPlan: it is no plan.
    """
    from voicesvc.lineplan import read

    try:
        content = path.read_bytes()
    except OSError as e:
        raise InvalidRequest(f"cannot read {path}: {e.strerror}", where="plan") from e
    return read(content)


def _line(fields: dict[str, object]) -> "Line":
    """A request.

    Raises:
        InvalidRequest: a field is unknown or not valid; says which and what would be.
    """
    from voicesvc.delivery import place_of
    from voicesvc.line import Line

    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return Line.model_validate(given)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        where = place_of(first["loc"])
        field = Line.model_fields.get(str(first["loc"][0]))
        valid = list(Line.model_fields) if field is None else field.description
        valid = first.get("ctx", {}).get("expected") or valid
        raise InvalidRequest(first["msg"], where=where, valid=valid) from e


def _say_to(
    settings: Settings, fields: dict[str, object], target: str, say: Callable[[str], None]
) -> None:
    """Speak the line into the file `target`, or to standard output where it is `-`.

    Raises:
        VoiceError: the line cannot be spoken; there is no file then.
    """
    from voicesvc.studio import Studio

    line = _line(fields)
    with ExitStack() as stack:
        sink = stack.enter_context(_sink(target))
        studio = Studio(settings, say=say)
        studio.cast.warms = False
        stack.callback(studio.close)
        rendering = studio.open(line)
        for chunk in stack.enter_context(closing(rendering.chunks())):
            sink.write(chunk)
            sink.flush()
        take = rendering.take
        if sink.readable():
            _put_length(sink, take)
            _sign(sink, take, settings, f"{target}.c2pa")
    say(f"{take.audio_s:.2f} s of audio in {take.compute_s:.2f} s, seed {take.seed}")
    _tell_take(take, say)


def _tell_take(take: "Take", say: Callable[[str], None]) -> None:
    """What was done otherwise than by the model, and what was not spoken."""
    from voicesvc.script import skipped_header

    if take.sources:
        say("delivery: " + ", ".join(f"{n} by {v}" for n, v in take.sources.items()))
    if take.fitted:
        say(f"fitted: {take.fitted.header}")
    for ignored in take.ignored:
        say(f"ignored: characters {ignored.start} to {ignored.end}, {ignored.why}")
    if take.skipped:
        say(f"skipped: {skipped_header(take.skipped)}")


def _put_length(file: BinaryIO, take: "Take") -> None:
    """What a stream's header could not know yet, the finished file's can."""
    from voicesvc.encode import with_length

    rate_hz = take.output.sample_rate_hz
    n_samples = math.floor(take.audio_s * rate_hz + 0.5 + 1e-6)  # halves up, as they are resampled
    file.seek(0)
    head, tail = with_length(take.output, n_samples, file.read(64))
    file.seek(0)
    file.write(head)
    file.seek(0, os.SEEK_END)
    file.write(tail)


def _sign(file: BinaryIO, take: "Take", settings: Settings, beside: str) -> None:
    """Give a finished file its content credentials; those of one that holds none go `beside` it.

    Raises:
        BadSetting, SigningFailed: it cannot be signed.
    """
    from voicesvc import seal
    from voicesvc.credentials import EMBEDDED, finished

    signing = seal.signing(settings, settings.data_path, datetime.now(UTC))
    if signing is None:
        return
    form = take.output.format.name
    facts = seal.unkept(take.model_sha256, take.id, watermark=take.mark is not None)
    if form not in EMBEDDED:
        Path(beside).write_bytes(signing.beside(file, facts))
        return
    file.seek(0)
    signed, _ = finished(file, lambda f, to: signing.embed(f, to, EMBEDDED[form], facts))
    with signed:
        file.seek(0)
        signed.seek(0)
        shutil.copyfileobj(signed, file)


@contextmanager
def _sink(target: str) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears whole or not at all."""
    if target == "-":
        yield sys.stdout.buffer
        return
    path = Path(target)
    device = path.exists() and not path.is_file()  # /dev/null, a pipe: not to be replaced
    part = path if device else path.with_name(f".{path.name}.part")
    try:
        with part.open("wb" if device else "w+b") as file:
            yield file
        part.replace(path)
    except OSError as e:
        raise InvalidRequest(f"cannot write {target}: {e.strerror}", where="out") from e
    finally:
        if not device:
            part.unlink(missing_ok=True)


def _format_of(target: str) -> str:
    """The format whose suffix the file has; wav where there is none.

    Raises:
        InvalidRequest: no format has this suffix.
    """
    from voicesvc.encode import FORMATS

    by_suffix = {f.suffix: name for name, f in FORMATS.items()} | {".ogg": "opus"}
    suffix = Path(target).suffix.lower()
    if suffix and suffix not in by_suffix:
        detail = f"no format has the suffix {suffix}; --format names one"
        raise InvalidRequest(detail, where="out", valid=by_suffix)
    return by_suffix.get(suffix, "wav")


app.command()(verify_cli.verify)


def main() -> None:
    """The `voicesvc` command."""
    app()
