"""An export as its reader opens it: the zip, each file in it, and both manifests."""

import csv
import dataclasses
import hashlib
import io
import json
import shutil
import subprocess
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Service
from exported import NATIVE_HZ, OPTIONS, item, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bwf import chunks, tags
from wavinfo import WavInfoReader

from voicesvc import encode
from voicesvc.audio import Pcm, Resampler
from voicesvc.bwf import Loudness
from voicesvc.encode import Depth
from voicesvc.errors import InvalidRequest
from voicesvc.export import COLUMNS, ExportItem, Options, zipped
from voicesvc.timecode import RATES, samples_of

FILE = "Harbour Lights_12A_c03_joe_T2.wav"


def archive(*items: ExportItem, options: Options = OPTIONS) -> zipfile.ZipFile:
    """The zip that was made, checked by zipfile."""
    opened = zipfile.ZipFile(io.BytesIO(b"".join(zipped(items, options))))
    assert opened.testzip() is None
    return opened


def options(**changed: Any) -> Options:
    return dataclasses.replace(OPTIONS, **changed)


def manifest(opened: zipfile.ZipFile) -> Any:
    return json.loads(opened.read("manifest.json"))


def rows(opened: zipfile.ZipFile) -> list[dict[str, str]]:
    text = opened.read("manifest.csv").decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def as_speech(pcm: Pcm, rate_hz: int, depth: Depth) -> bytes:
    """The data of a WAV made as `/v1/speech` makes it."""
    resampler = Resampler(NATIVE_HZ, rate_hz)
    resampled = np.concatenate([resampler.feed(pcm), resampler.flush()])
    enc = encode.encoder(encode.choose("wav", rate_hz, depth, native_rate_hz=NATIVE_HZ))
    data = enc.feed(resampled) + enc.flush()
    return data[data.index(b"data") + 8 :]


# -- the zip -------------------------------------------------------------------------------------


def test_files_come_in_order_and_the_manifest_last() -> None:
    opened = archive(item(), item(take=3, take_id="tk_3"), item(scene="9"))
    assert opened.namelist() == [
        FILE,
        "Harbour Lights_12A_c03_joe_T3.wav",
        "Harbour Lights_9_c03_joe_T2.wav",
        "manifest.csv",
        "manifest.json",
    ]
    info = opened.getinfo(FILE)
    assert info.date_time == (2026, 11, 25, 12, 30, 4)  # in steps of two seconds
    assert info.external_attr >> 16 == 0o100644
    assert opened.getinfo("manifest.json").date_time == (2026, 11, 26, 9, 0, 0)


def test_two_takes_of_one_name_are_both_there() -> None:
    pcms = [noise(300, seed) for seed in range(3)]
    opened = archive(*(item(pcm, take_id=f"tk_{n}") for n, pcm in enumerate(pcms)))
    names = [FILE, FILE.replace(".wav", " (2).wav"), FILE.replace(".wav", " (3).wav")]
    assert opened.namelist()[:3] == names
    assert [f["file"] for f in manifest(opened)["files"]] == names
    for name, pcm in zip(names, pcms, strict=True):
        assert dict(chunks(opened.read(name)))[b"data"] == as_speech(pcm, 48_000, 24)
        assert tags(opened.read(name))["HISTORY/ORIGINAL_FILENAME"] == name


def test_nothing_to_export_is_an_empty_manifest() -> None:
    opened = archive()
    assert opened.namelist() == ["manifest.csv", "manifest.json"]
    assert manifest(opened)["files"] == []
    assert rows(opened) == []


@pytest.mark.skipif(shutil.which("unzip") is None, reason="no unzip on this machine")
def test_unzip_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    items = [item(scene=scene, character="Zoë 北京") for scene in ("1", "2", "Straße")]
    chosen = options(template="{scene}_{character}")
    path.write_bytes(b"".join(zipped(items, chosen)))
    for words in (["unzip", "-tq", path], ["unzip", "-q", path, "-d", tmp_path / "out"]):
        subprocess.run(words, check=True, timeout=60, capture_output=True)
    made = sorted((tmp_path / "out").iterdir())
    assert len(made) == 5
    sums = {hashlib.sha256(p.read_bytes()).hexdigest() for p in made if p.suffix == ".wav"}
    assert sums == {f["sha256"] for f in manifest(archive(*items, options=chosen))["files"]}


@pytest.mark.parametrize("year", [1970, 2026, 2099])
def test_a_clock_that_is_wrong_breaks_no_export(year: int) -> None:
    opened = archive(item(created_at=datetime(year, 1, 1, tzinfo=UTC)))
    assert opened.getinfo(FILE).date_time[0] == min(max(year, 1980), 2038)
    assert manifest(opened)["files"][0]["created_at"] == f"{year}-01-01T00:00:00.000Z"


# -- the files -----------------------------------------------------------------------------------


def test_every_fact_of_the_take_is_in_its_file() -> None:
    data = archive(item()).read(FILE)
    info = WavInfoReader(io.BytesIO(data))
    bext = info.bext.to_dict()
    assert bext["description"] == (
        "12A c03 T2 Senora Ost: We hold the harbour until morning - Strasse."
    )
    assert bext["originator"] == "voicesvc 0.1.0"
    assert (bext["originator_date"], bext["originator_time"]) == ("2026-11-25", "12:30:05")
    assert bext["time_reference"] == 1_729_728_000
    assert bext["coding_history"].splitlines() == [
        "A=PCM,F=22050,W=32,M=mono,T=voicesvc 0.1.0;float;seed 7;model 8d3f8d3f8d3f8d3f;"
        "take tk_0123456789abcdef0123",
        "A=PCM,F=48000,W=24,M=mono,T=soxr HQ;no dither",
    ]
    levels = ("loudness_value", "loudness_range", "max_true_peak")
    assert [bext[level] for level in levels] == [-23.45, 3.2, -1.23]
    assert (bext["max_momentary_loudness"], bext["max_shortterm_loudness"]) == (-18.5, -20.0)
    assert info.ixml.to_dict() == {
        "track_list": [
            {"channel_index": "1", "interleave_index": "1", "name": "Señora Øst", "function": ""}
        ],
        "project": "Harbour Lights",
        "scene": "12A",
        "take": "2",
        "tape": "20261125",
        "family_uid": "tk_0123456789abcdef0123",
        "family_name": FILE.removesuffix(".wav"),
    }
    read = tags(data)
    assert (read["CIRCLED"], read["NOTE"]) == ("TRUE", "“good”, slower")
    assert read["ASWG/text"] == "We hold the harbour until morning — Straße."
    assert tags(archive(item(circled=False, tape="R7")).read(FILE))["CIRCLED"] == "FALSE"
    assert tags(archive(item(tape="R7")).read(FILE))["TAPE"] == "R7"


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("rate_hz", [48_000, 96_000, 44_100])
def test_the_line_begins_at_its_timecode(fps: str, rate_hz: int) -> None:
    at = f"01:02:03{RATES[fps].separator}17"
    opened = archive(item(fps=fps, timecode_in=at), options=options(sample_rate_hz=rate_hz))
    reference = WavInfoReader(io.BytesIO(opened.read(FILE))).bext.time_reference
    assert reference == samples_of(at, fps, rate_hz)
    assert manifest(opened)["files"][0]["time_reference"] == reference


def test_a_line_without_timecode_begins_at_midnight() -> None:
    opened = archive(item(timecode_in=None))
    assert WavInfoReader(io.BytesIO(opened.read(FILE))).bext.time_reference == 0
    assert manifest(opened)["files"][0]["timecode_in"] is None


@pytest.mark.parametrize("depth", [16, 24, "32f"])
@pytest.mark.parametrize("rate_hz", [NATIVE_HZ, 48_000, 96_000, 44_100])
def test_samples_are_those_of_speech(rate_hz: int, depth: Depth) -> None:
    pcm = noise(3001)
    chosen = options(sample_rate_hz=rate_hz, bit_depth=depth)
    data = dict(chunks(archive(item(pcm), options=chosen).read(FILE)))[b"data"]
    spoken = as_speech(pcm, rate_hz, depth)
    assert data == spoken
    assert manifest(archive(item(pcm), options=chosen))["files"][0]["audio_sha256"] == (
        hashlib.sha256(spoken).hexdigest()
    )


@pytest.mark.parametrize("fit", [None, {"samples": 100_001, "at_hz": 48_000}, {"seconds": 2.5}])
def test_a_file_is_what_the_service_speaks(tone_server: Service, fit: Any) -> None:
    asked = {"seed": 5, "fit": fit}
    native = tone_server.speak(format="pcm_f32le", **asked)
    pcm = np.frombuffer(native.content, "<f4")
    wav = tone_server.speak(sample_rate_hz=48_000, bit_depth=24, **asked).content
    exact_s = None
    if fit:
        exact_s = Fraction(100_001, 48_000) if "samples" in fit else Fraction(5, 2)
    data = archive(item(pcm, exact_s=exact_s)).read(FILE)
    assert int(native.headers["Voicesvc-Sample-Rate-Hz"]) == NATIVE_HZ
    spoken = wav[wav.index(b"data") + 8 :]
    assert dict(chunks(data))[b"data"] == spoken[: len(spoken) - len(spoken) % 3]


def test_the_length_that_was_asked_for_is_kept_to_the_sample() -> None:
    pcm = noise(NATIVE_HZ)
    for n in (48_000, 48_001, 47_999, 60_000, 30_000):
        opened = archive(item(pcm, exact_s=Fraction(n, 48_000)))
        assert WavInfoReader(io.BytesIO(opened.read(FILE))).data.frame_count == n


# -- manifests -----------------------------------------------------------------------------------


def test_the_manifest_has_every_field() -> None:
    pcm = noise(2205)
    opened = archive(item(pcm))
    data = opened.read(FILE)
    told = manifest(opened)
    (entry,) = told.pop("files")
    assert told == {
        "exported_at": "2026-11-26T09:00:00.005Z",
        "template": "{production}_{scene}_{cue}_{actor}_T{take}",
        "sample_rate_hz": 48_000,
        "bit_depth": 24,
    }
    assert entry == {
        "file": FILE,
        "production": "Harbour Lights",
        "production_id": "pr_0123456789abcdef0123",
        "slug": "harbour-lights",
        "scene": "12A",
        "cue": "c03",
        "number": 17,
        "line_id": "ln_0123456789abcdef0123",
        "character": "Señora Øst",
        "actor": "joe",
        "text": "We hold the harbour until morning — Straße.",
        "line_notes": "over the shoulder",
        "take": 2,
        "take_id": "tk_0123456789abcdef0123",
        "circled": True,
        "rating": 4,
        "note": "“good”, slower",
        "tags": ["calm", "close"],
        "fps": "23.976",
        "timecode_in": "10:00:00:00",
        "timecode_out": "10:00:02:05",
        "time_reference": 1_729_728_000,
        "tape": "20261125",
        "samples": 4800,
        "sample_rate_hz": 48_000,
        "bit_depth": 24,
        "duration_s": 0.1,
        "disclosure_samples": 0,
        "integrated_lufs": -23.45,
        "range_lu": 3.2,
        "true_peak_dbtp": -1.23,
        "momentary_lufs": -18.5,
        "short_term_lufs": -20.0,
        "seed": 7,
        "created_at": "2026-11-25T12:30:05.123Z",
        "created_by": "Ann",
        "model_sha256": "8d3f" * 16,
        "plan_sha256": "77aa" * 16,
        "code": "0.1.0",
        "stored_samples": 2205,
        "stored_rate_hz": 22_050,
        "pcm_sha256": hashlib.sha256(pcm.tobytes()).hexdigest(),
        "audio_sha256": hashlib.sha256(dict(chunks(data))[b"data"]).hexdigest(),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert list(entry) == list(COLUMNS)


def test_the_csv_says_the_same() -> None:
    quiet = Loudness(-float("inf"), None, float("nan"), None, -40.0)
    opened = archive(item(), item(rating=None, circled=False, loudness=quiet, take=None))
    assert opened.read("manifest.csv").startswith(b"\xef\xbb\xbffile,production,")
    for row, entry in zip(rows(opened), manifest(opened)["files"], strict=True):
        assert list(row) == list(COLUMNS)
        for name, value in entry.items():
            said = (
                {True: "true", False: "false", None: ""}.get(value)
                if (value is None or isinstance(value, bool))
                else "; ".join(value)
                if isinstance(value, list)
                else str(value)
            )
            assert row[name] == said, name
    assert manifest(opened)["files"][1]["integrated_lufs"] is None
    assert rows(opened)[1]["short_term_lufs"] == "-40.0"


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "＋1", "－1", "＠x"],
)
def test_no_cell_is_a_formula(text: str) -> None:
    facts = {
        "production": text,
        "note": text,
        "text": text,
        "tags": (text, "b"),
        "line_notes": text,
    }
    (row,) = rows(archive(item(**facts)))
    for name in facts:
        assert row[name].startswith(f"'{text}"), name
    (entry,) = manifest(archive(item(**facts)))["files"]
    assert entry["note"] == text


@pytest.mark.parametrize("text", ["", "a=b", "x -1", '"quoted", and\nmore', "; =1", "'=1"])
def test_other_cells_pass_as_they_are(text: str) -> None:
    (row,) = rows(archive(item(note=text)))
    assert row["note"] == text


ANY_TEXT = st.text(st.characters(codec=None), max_size=80)


@settings(max_examples=40)
@given(texts=st.lists(ANY_TEXT, min_size=5, max_size=5))
def test_any_text_is_exported(texts: list[str]) -> None:
    names = ("production", "scene", "note", "text", "character")
    facts = dict(zip(names, texts, strict=True))
    opened = archive(item(noise(50), **facts), item(noise(50), **facts))
    first, second = manifest(opened)["files"]
    assert {first["file"], second["file"], "manifest.csv", "manifest.json"} == {*opened.namelist()}
    assert {n: first[n] for n in names} == {
        n: t.encode("utf-8", "replace").decode() for n, t in facts.items()
    }
    assert len(rows(opened)) == 2


# -- refused before the first byte ---------------------------------------------------------------


def unopened(**facts: Any) -> ExportItem:
    """An item whose samples must not be asked for."""

    def pcm() -> Iterator[Pcm]:
        pytest.fail("the samples were opened")

    return item(**facts, pcm=pcm)


@pytest.mark.parametrize(
    ("changed", "facts", "where"),
    [
        ({"template": "{title}"}, {}, "template"),
        ({"template": "{scene}/{cue}"}, {}, "template"),
        ({"sample_rate_hz": 7999}, {}, "sample_rate_hz"),
        ({"bit_depth": "20"}, {}, "bit_depth"),
        ({}, {"fps": "29.976"}, "fps"),
        ({}, {"timecode_in": "10:00:00:24"}, "timecode_in of line 17"),
        ({}, {"timecode_in": "10:00:00;00"}, "timecode_in of line 17"),
        ({}, {"samples": 2**31}, "sample_rate_hz"),
    ],
)
def test_what_is_wrong_is_refused_before_the_first_byte(
    changed: dict[str, Any], facts: dict[str, Any], where: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        zipped([unopened(), unopened(**facts)], options(**changed))
    assert refused.value.where == where
    assert refused.value.valid


def test_depth_and_rate_may_come_as_a_query_has_them() -> None:
    opened = archive(item(), options=options(bit_depth="16"))
    assert manifest(opened)["bit_depth"] == 16


# -- streams -------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(0, 20_000), min_size=1, max_size=8))
def test_chunked_samples_make_the_same_files(cuts: list[int]) -> None:
    pcm = noise(sum(cuts))
    parts = np.split(pcm, np.cumsum(cuts)[:-1])
    whole = archive(item(pcm, pcm=lambda: iter([pcm])))
    cut = archive(item(pcm, pcm=lambda: iter(parts)))
    assert whole.namelist() == cut.namelist()
    for name in whole.namelist():
        assert cut.read(name) == whole.read(name)


def test_each_take_is_opened_when_its_turn_comes() -> None:
    opened: list[str] = []
    closed: list[str] = []

    def watched(name: str) -> ExportItem:
        def pcm() -> Iterator[Pcm]:
            opened.append(name)
            try:
                for _ in range(40):
                    yield np.zeros(NATIVE_HZ, np.float32)
            finally:
                closed.append(name)

        silent = np.zeros(40 * NATIVE_HZ, np.float32)
        return item(silent, take_id=name, pcm=pcm)

    stream = zipped([watched(name) for name in "abc"], OPTIONS)
    assert opened == []
    sent = 0
    while opened != ["a", "b"]:
        assert len(opened) - len(closed) <= 1
        sent += len(next(stream))
    assert sent > 40 * 48_000 * 3
    assert closed == ["a"]
    stream.close()
    assert (opened, closed) == (["a", "b"], ["a", "b"])


def wrong(kind: str) -> ExportItem:
    """A take that cannot be exported, which only its samples tell."""

    def failing() -> Iterator[Pcm]:
        yield noise(1000)
        raise OSError("the disk is gone")

    pcm = noise(2205)
    return {
        "fails": item(pcm, pcm=failing),
        "short": item(pcm, pcm=lambda: iter([pcm[:-1]])),
        "long": item(pcm, pcm=lambda: iter([pcm, pcm])),
        "other": item(pcm, pcm=lambda: iter([-pcm])),
        "short, fitted": item(pcm, exact_s=Fraction(1, 10), pcm=lambda: iter([pcm[:-100]])),
    }[kind]


@pytest.mark.parametrize("kind", ["fails", "short", "long", "other", "short, fitted"])
def test_a_failure_in_the_middle_breaks_the_stream(kind: str) -> None:
    error = OSError if kind == "fails" else ValueError
    sent: list[bytes] = []
    with pytest.raises(error):
        sent.extend(zipped([item(), wrong(kind), item()], OPTIONS))
    assert sent
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(sent)))


def test_200_files_take_the_memory_of_one_chunk() -> None:
    pcm = noise(3 * NATIVE_HZ)
    usual = item(pcm)
    items = [dataclasses.replace(usual, take=n, take_id=f"tk_{n}") for n in range(199)]
    silent = np.zeros(NATIVE_HZ, np.float32)
    minutes = hashlib.sha256(bytes(4 * NATIVE_HZ) * 180).hexdigest()
    items.append(
        item(pcm=lambda: iter([silent] * 180), samples=180 * NATIVE_HZ, pcm_sha256=minutes)
    )
    sent, most = 0, 0
    tracemalloc.start()
    try:
        for data in zipped(items, OPTIONS):
            sent += len(data)
            most = max(most, len(data))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent > (199 * 3 + 180) * 48_000 * 3
    assert most <= 65_536
    assert (
        peak_bytes < 5_000_000
    )  # 200 records and names, a second of samples; the last file: 26 MB
