"""What is in an export, as a table for people (CSV) and as a document for programs (JSON)."""

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from voicesvc.encode import Output
from voicesvc.export.files import Made, lead_of
from voicesvc.export.items import Options

# What spreadsheets take for a formula at the start of a cell (OWASP, "CSV Injection"), with the
# full-width forms that some of them take too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def _of_item(name: str) -> Callable[[Made], Any]:
    return lambda made: getattr(made.planned.item, name)


def _of_loudness(name: str) -> Callable[[Made], Any]:
    def level(made: Made) -> float | None:
        value: float | None = getattr(made.planned.item.loudness, name)
        return value if value is not None and math.isfinite(value) else None

    return level


def _items(*names: str) -> dict[str, Callable[[Made], Any]]:
    return {name: _of_item(name) for name in names}


COLUMNS: dict[str, Callable[[Made], Any]] = {
    "file": lambda made: made.planned.about.file_name,
    **_items("production", "production_id", "slug", "scene", "cue", "number", "line_id"),
    **_items("character", "actor", "text", "line_notes", "take", "take_id"),
    **_items("circled", "rating", "note", "tags", "fps", "timecode_in", "timecode_out"),
    "time_reference": lambda made: made.planned.about.time_reference,
    "tape": lambda made: made.planned.about.tape,
    "samples": lambda made: made.planned.samples,
    "sample_rate_hz": lambda made: made.planned.output.sample_rate_hz,
    "bit_depth": lambda made: made.planned.output.bit_depth,
    "duration_s": lambda made: round(made.planned.samples / made.planned.output.sample_rate_hz, 6),
    "disclosure_samples": lambda made: lead_of(made.planned.item),
    "integrated_lufs": _of_loudness("integrated_lufs"),
    "range_lu": _of_loudness("range_lu"),
    "true_peak_dbtp": _of_loudness("true_peak_dbtp"),
    "momentary_lufs": _of_loudness("momentary_lufs"),
    "short_term_lufs": _of_loudness("short_term_lufs"),
    "seed": _of_item("seed"),
    "created_at": lambda made: iso(made.planned.item.created_at),
    **_items("created_by", "model_sha256", "plan_sha256", "code"),
    "stored_samples": lambda made: made.planned.item.samples,
    "stored_rate_hz": lambda made: made.planned.item.sample_rate_hz,
    "pcm_sha256": _of_item("pcm_sha256"),
    "audio_sha256": lambda made: made.audio_sha256,
    "bytes": lambda made: made.size_bytes,
    "sha256": lambda made: made.sha256,
}


def iso(at: datetime) -> str:
    """In UTC, to the millisecond: `2026-11-25T12:30:00.123Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_csv(files: Sequence[Made]) -> bytes:
    """A row for each file, under the names of COLUMNS: UTF-8 with a mark, as spreadsheets want it.

    A text that a spreadsheet would run as a formula has an apostrophe before it; numbers have not.
    """
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    table.writerows([_cell(column(made)) for column in COLUMNS.values()] for made in files)
    return text.getvalue().encode("utf-8-sig", "replace")


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        value = "; ".join(value)
    if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA):
        return f"'{value}"
    return value


def to_json(files: Sequence[Made], options: Options, output: Output) -> bytes:
    """Everything as it is: the options, and `files` with the members of COLUMNS."""
    document = {
        "exported_at": iso(options.now),
        "template": options.template,
        "sample_rate_hz": output.sample_rate_hz,
        "bit_depth": output.bit_depth,
        "files": [{name: column(made) for name, column in COLUMNS.items()} for made in files],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode(
        "utf-8", "replace"
    )
