"""What is logged, on standard error: as text for people or as JSON, one object a line.

Nothing that an actor says is in it. Messages of other libraries and of exceptions may quote a text
(a database's error has the row), so of those the place is said and not the words, but for kinds of
failure that can quote nothing.
"""

import logging
import re
import sqlite3
import traceback
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO

from voicesvc import metrics

Format = Literal["text", "json"]
# What a line may have beside its message.
FIELDS = (
    *("take", "actor", "class", "format", "outcome"),
    *("first_audio_ms", "audio_s", "compute_s", "stages_ms"),
    *("key", "status", "reason"),
)
_OWN = ("voicesvc", "uvicorn.error")
_QUOTE_NOTHING = (OSError, MemoryError, RuntimeError, sqlite3.Error)
_FRAMES = 12  # of a traceback, the innermost
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ROOT = Path(__file__).resolve().parent
_Failure = tuple[type[BaseException], BaseException, TracebackType | None]


class Handler(logging.StreamHandler[TextIO]):
    """Writes lines, and counts those that are warnings or worse."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        if record.levelno >= logging.WARNING:
            parts = record.name.split(".")
            name = ".".join(parts[:2]) if parts[0] == "voicesvc" else parts[0]
            metrics.LOGGED.labels(record.levelname.lower(), name).inc()
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without what is not to be said."""
        return super().format(_told(record))


def install(form: Format, level: str, stream: TextIO) -> Handler:
    """Send every logger's lines to `stream`; other libraries' from warning on."""
    import structlog

    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(FIELDS),
        structlog.processors.TimeStamper("iso", utc=True, key="at"),
        _add_failure,
    ]
    shown: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False, timestamp_key="at", pad_event_to=0)
    )
    handler = Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, shown],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("voicesvc").setLevel(level.upper())
    logging.captureWarnings(True)
    return handler


def _told(record: logging.LogRecord) -> logging.LogRecord:
    """The record as it may be written."""
    told = logging.makeLogRecord(record.__dict__)
    if not record.name.startswith(_OWN):
        place = f"{Path(record.pathname).name}:{record.lineno}"
        told.msg, told.args = f"a message of {record.name} at {place}", ()
    elif isinstance(record.args, Mapping):
        told.args = {k: _quoted(v) for k, v in record.args.items()}
    elif record.args:
        told.args = tuple(map(_quoted, record.args))
    told.msg, told.args = _one_line(told.getMessage()), ()
    return told


def _one_line(text: str) -> str:
    """Whatever a caller sent, it begins no line of its own and moves no cursor."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def _quoted(value: object) -> object:
    """An exception by its kind, anything else as it is."""
    return _kind(value) if isinstance(value, BaseException) else value


def _kind(error: BaseException) -> str:
    """What failed; with its message where that can quote nothing."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, _QUOTE_NOTHING) else name


def _add_failure(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its kind, its causes' kinds, and the places it came through."""
    failure: _Failure | None = event.pop("exc_info", None)
    if failure is None or failure[1] is None:
        return event
    error: BaseException | None = failure[1]
    kinds: list[str] = []
    while error is not None and len(kinds) < _FRAMES:
        kinds.append(_kind(error))
        error = error.__cause__ or error.__context__
    frames = traceback.extract_tb(failure[2])[-_FRAMES:]
    event["error"] = " < ".join(kinds)
    event["at_lines"] = [f"{_short(f.filename)}:{f.lineno} {f.name}" for f in frames]
    return event


def _short(path: str) -> str:
    """A file by its place in this package, or by its name."""
    file = Path(path)
    return str(file.relative_to(_ROOT)) if file.is_relative_to(_ROOT) else file.name
