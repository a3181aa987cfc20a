"""docs/export.md against a file that was exported, and against the code."""

import io
import re
import zipfile
from typing import Any

from exported import OPTIONS, item
from test_bwf import tags
from test_docs import codes, column, sections, tables
from wavinfo import WavInfoReader

from voicesvc.encode import ANY_RATE_HZ, FORMATS
from voicesvc.export import COLUMNS, DEFAULT_TEMPLATE, FIELDS, Template, zipped
from voicesvc.export.names import FORBIDDEN, MOST_BYTES
from voicesvc.timecode import RATES

PAGE = sections("export")
WAVINFO = {  # names of EBU Tech 3285, as wavinfo has them
    "Description": "description",
    "Originator": "originator",
    "OriginatorReference": "originator_ref",
    "OriginationDate": "originator_date",
    "OriginationTime": "originator_time",
    "TimeReference": "time_reference",
    "Version": "version",
    "UMID": "umid",
    "LoudnessValue": "loudness_value",
    "LoudnessRange": "loudness_range",
    "MaxTruePeakLevel": "max_true_peak",
    "MaxMomentaryLoudness": "max_momentary_loudness",
    "MaxShortTermLoudness": "max_shortterm_loudness",
    "CodingHistory": "coding_history",
}


def a_file() -> bytes:
    with zipfile.ZipFile(io.BytesIO(b"".join(zipped([item()], OPTIONS)))) as opened:
        return opened.read(opened.namelist()[0])


def test_export_page_lists_every_field_of_a_template() -> None:
    (table,) = tables(PAGE["File names"])
    assert column(table, "field") == list(FIELDS)
    for row in table:
        assert codes(row["example"]) == [Template(f"{{{codes(row['field'])[0]}}}").stem(item())]
    said = PAGE["File names"]
    assert f"`{DEFAULT_TEMPLATE}`" in said
    assert f"`{FORBIDDEN}`" in said
    assert f"{MOST_BYTES} bytes" in said


def test_export_page_shows_bext_as_it_is_in_a_file() -> None:
    (table,) = tables(PAGE["bext"])
    assert column(table, "field") == list(WAVINFO)
    read: dict[str, Any] = WavInfoReader(io.BytesIO(a_file())).bext.to_dict()
    assert set(read) == set(WAVINFO.values())
    for row in table:
        value = read[WAVINFO[codes(row["field"])[0]]]
        shown = int.from_bytes(value, "big") if isinstance(value, bytes) else value
        assert codes(row["example"]) == [" ".join(str(shown).split())]


def test_export_page_lists_every_tag_of_ixml() -> None:
    (table,) = tables(PAGE["iXML"])
    read = tags(a_file())
    assert column(table, "tag") == list(read)
    for row in table:
        value = read[codes(row["tag"])[0]]
        if re.fullmatch(r"[\d.]+", row["what it holds"]):
            assert row["what it holds"] == value


def test_export_page_lists_every_frame_rate() -> None:
    (table,) = tables(PAGE["Timecode"])
    assert [tuple(row.values()) for row in table] == [
        (f"`{r.name}`", str(r.fps), f"`HH:MM:SS{r.separator}FF`") for r in RATES.values()
    ]


def test_export_page_lists_every_column_of_the_manifest() -> None:
    (table,) = tables(PAGE["Manifest"])
    assert column(table, "column") == list(COLUMNS)


def test_export_page_says_which_rates_and_depths_there_are() -> None:
    said = PAGE["Export"]
    assert f"{ANY_RATE_HZ[0]} to {ANY_RATE_HZ[-1]} Hz" in said
    assert f"({', '.join(map(str, FORMATS['wav'].bit_depths))})" in said
    assert f"{OPTIONS.sample_rate_hz // 1000} kHz at {OPTIONS.bit_depth} bits" in said
