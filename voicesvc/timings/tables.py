"""Timings as intervals: Praat's TextGrid, and CSV. Knows nothing of the text or of mouths."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from voicesvc.errors import InvalidRequest
from voicesvc.timings.document import TimedPhoneme, Timings, exact, whole

CSV_COLUMNS = ("tier", "text", "start_s", "end_s", "start_sample", "end_sample")

_Interval = tuple[float, float, str]  # start and end in seconds, label


def textgrid(document: Timings) -> bytes:
    """Praat's long text format, in UTF-8: interval tiers `words` and `phones`, marks as points.

    Intervals join without a gap from 0 to the end; silence has an empty label. What lasts no time
    is left out, as Praat has no such interval, and what reaches into the next ends there.
    Syntax: the page "TextGrid file formats" of Praat's manual
    (https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html).

    Raises:
        InvalidRequest: nothing is timed yet, and Praat has no grid of no length.
    """
    if document.end_s == 0:
        raise InvalidRequest("no word is timed yet", where="take", valid="a take with a word in it")
    tiers = [
        _interval_tier("words", [(w.start_s, w.end_s, w.text) for w in document.words], document),
        _interval_tier(
            "phones", [(p.start_s, p.end_s, p.symbol) for p in _phones(document)], document
        ),
    ]
    if document.marks:
        tiers.append(_point_tier("marks", document))
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", *_bounds(document)]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for i, tier in enumerate(tiers, 1):
        lines.append(f"    item [{i}]:")
        lines += [f"        {line}" for line in tier]
    return "".join(f"{line}\n" for line in lines).encode()


def table(document: Timings) -> bytes:
    """CSV (RFC 4180) with a row for every word, phone and mark, in the columns CSV_COLUMNS.

    Samples are counted at the document's rate, from 0; a mark begins and ends at one time.
    """
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(CSV_COLUMNS)
    timed = [("word", w.text, w.start_s, w.end_s) for w in document.words]
    timed += [("phone", p.symbol, p.start_s, p.end_s) for p in _phones(document)]
    timed += [("mark", m.name, m.at_s, m.at_s) for m in document.marks]
    for tier, text, start_s, end_s in timed:
        samples = (whole(t, document.sample_rate_hz) for t in (start_s, end_s))
        rows.writerow((tier, text, exact(start_s), exact(end_s), *samples))
    return out.getvalue().encode()


def _phones(document: Timings) -> Iterator[TimedPhoneme]:
    for word in document.words:
        yield from word.phonemes


def _bounds(document: Timings) -> list[str]:
    return ["xmin = 0", f"xmax = {exact(document.end_s)}"]


def _interval_tier(name: str, timed: Iterable[_Interval], document: Timings) -> list[str]:
    filled = _filled(timed, document.end_s)
    lines = ['class = "IntervalTier"', f"name = {_quoted(name)}", *_bounds(document)]
    lines.append(f"intervals: size = {len(filled)}")
    for i, (start_s, end_s, text) in enumerate(filled, 1):
        lines.append(f"intervals [{i}]:")
        lines += [f"    xmin = {exact(start_s)}", f"    xmax = {exact(end_s)}"]
        lines.append(f"    text = {_quoted(text)}")
    return lines


def _point_tier(name: str, document: Timings) -> list[str]:
    at: dict[float, list[str]] = {}
    for mark in sorted(document.marks, key=lambda m: m.at_s):
        at.setdefault(mark.at_s, []).append(mark.name)
    lines = ['class = "TextTier"', f"name = {_quoted(name)}", *_bounds(document)]
    lines.append(f"points: size = {len(at)}")
    for i, (at_s, names) in enumerate(at.items(), 1):
        lines.append(f"points [{i}]:")
        lines += [f"    number = {exact(at_s)}", f"    mark = {_quoted(', '.join(names))}"]
    return lines


def _filled(timed: Iterable[_Interval], end_s: float) -> Sequence[_Interval]:
    """The intervals that last, with empty ones between them, from 0 to `end_s`.

    One that reaches into the next ends where that begins.
    """
    lasting = [i for i in timed if i[1] > i[0]]
    borders = [*(i[0] for i in lasting[1:]), end_s]
    filled: list[_Interval] = []
    at_s = 0.0
    for (start_s, stop_s, text), border_s in zip(lasting, borders, strict=False):
        stop_s = min(stop_s, border_s)
        if start_s > at_s:
            filled.append((at_s, start_s, ""))
        if stop_s > start_s:
            filled.append((start_s, stop_s, text))
            at_s = stop_s
    if end_s > at_s:
        filled.append((at_s, end_s, ""))
    return filled


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
