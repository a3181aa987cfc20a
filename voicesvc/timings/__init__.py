"""When a take's words and phonemes are heard, in the formats that other programs read.

Knows nothing of takes, HTTP or models: a document comes in, a file goes out. Every time in a file
is the document's own, to the last digit, or to the millisecond where the format has no more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from voicesvc.errors import InvalidRequest
from voicesvc.markup import Kind
from voicesvc.timings.document import TimedMark, TimedPhoneme, TimedWord, Timings, read
from voicesvc.timings.shown import shown
from voicesvc.timings.subtitles import Cue, cues, srt, vtt
from voicesvc.timings.tables import table, textgrid
from voicesvc.timings.visemes import frame_rate, visemes

__all__ = (
    "FORMATS",
    "Format",
    "TimedMark",
    "TimedPhoneme",
    "TimedWord",
    "Timings",
    "read",
    "write",
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is given beside the timings."""

    text: str | None
    markup: Kind
    fps: Fraction | None


@dataclass(frozen=True, slots=True)
class Format:
    """What a format is called, and how it is written."""

    name: str
    media_type: str
    suffix: str  # of a file's name
    make: Callable[[Timings, _Asked], bytes]
    framed: bool = False  # whether it takes `fps`


def _cued(document: Timings, asked: _Asked) -> list[Cue]:
    return cues(shown(document, asked.text, asked.markup))


_JSON = "application/json"
_PLAIN = "text/plain; charset=utf-8"
FORMATS = {
    f.name: f
    for f in (
        Format("json", _JSON, ".json", lambda d, _: d.model_dump_json().encode()),
        Format("srt", "application/x-subrip", ".srt", lambda d, a: srt(_cued(d, a))),
        Format("vtt", "text/vtt", ".vtt", lambda d, a: vtt(_cued(d, a))),
        Format("textgrid", _PLAIN, ".TextGrid", lambda d, _: textgrid(d)),
        Format("csv", "text/csv; charset=utf-8", ".csv", lambda d, _: table(d)),
        Format(
            "visemes", "application/json", ".visemes.json", lambda d, a: visemes(d, a.fps), True
        ),
    )
}


def write(
    document: Timings | str | bytes,
    format: str,
    *,
    text: str | None = None,
    markup: Kind = "auto",
    fps: str | float | Fraction | None = None,
) -> tuple[bytes, str]:
    """A take's timings as a file of one of FORMATS, and its media type.

    `document` is what a take says of itself; as "json" it comes back as it is. `text` is the
    take's own, with its `markup`: subtitles then have its punctuation. `fps` adds a frame grid to
    "visemes".

    Raises:
        InvalidRequest: there is no such format, it has no frames, `fps` is no frame rate, the
            document is none, or the text is not the take's.
    """
    if format not in FORMATS:
        raise InvalidRequest(f"no format {format!r}", where="format", valid=list(FORMATS))
    asked = FORMATS[format]
    if fps is not None and not asked.framed:
        framed = [f.name for f in FORMATS.values() if f.framed]
        raise InvalidRequest(f"{format} has no frames", where="fps", valid=framed)
    given = _Asked(text, markup, None if fps is None else frame_rate(fps))
    if isinstance(document, Timings):
        return asked.make(document, given), asked.media_type
    known = read(document)
    if format == "json":
        return document if isinstance(document, bytes) else document.encode(), asked.media_type
    return asked.make(known, given), asked.media_type
