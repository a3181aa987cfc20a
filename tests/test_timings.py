"""Timings as files: what is read and refused, and that every time is the take's own."""

import csv
import io
import json
import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import parselmouth
import pytest
from conftest import LINE, Service
from parselmouth.praat import call
from test_service_retake import retaken, spoken

from voicesvc.errors import InvalidRequest
from voicesvc.timings import FORMATS, TimedMark, TimedPhoneme, TimedWord, Timings, read, write
from voicesvc.timings.document import exact, whole
from voicesvc.timings.visemes import frame_rate

SAVED = json.loads((Path(__file__).parent / "data" / "timings.json").read_text("utf-8"))
TEXT: str = SAVED["text"]  # what the demonstration voice said with seed 1
JOE: dict[str, Any] = SAVED["timings"]
CONTENT = json.dumps(JOE, ensure_ascii=False).encode()
TAKE = read(CONTENT)


def timed(*words: tuple[str, float, float], duration_s: float | None = None) -> Timings:
    """A take of words (text, start and end in s), each one phoneme; the text is their join."""
    at, made = 0, []
    for text, start_s, end_s in words:
        phonemes = (TimedPhoneme(symbol="ˈa", start_s=start_s, end_s=end_s),)
        made.append(
            TimedWord(
                text=text,
                start_s=start_s,
                end_s=end_s,
                char_start=at,
                char_end=at + len(text),
                phonemes=phonemes,
            )
        )
        at += len(text) + 1
    return TAKE.model_copy(update={"words": tuple(made), "duration_s": duration_s})


def test_a_take_is_read_as_it_says_itself(tone_server: Service) -> None:
    answer = tone_server.speak(LINE)
    take = answer.headers["Voicesvc-Take"]
    content = tone_server.http.get(f"/v1/takes/{take}/timings").content
    document = read(content)
    assert document.model_dump(mode="json") == json.loads(content)
    assert document.take == take
    for format in FORMATS:
        made, media_type = write(content, format, text=LINE)
        assert made
        assert media_type == FORMATS[format].media_type


def test_a_retake_with_other_words_is_read_too(tone_server: Service) -> None:
    edits = [{"word": 1, "say": "old port"}, {"word": 6, "pitch_st": 2}]
    take = retaken(tone_server, spoken(tone_server), edits=edits)
    content = tone_server.http.get(f"/v1/takes/{take['id']}/timings").content
    made = {f: write(content, f, text=take["text"])[0] for f in FORMATS}
    assert "The old port was quiet," in made["srt"].decode()
    assert [w["text"] for w in json.loads(made["visemes"])["words"]][:3] == ["The", "old", "port"]


def test_json_is_the_document_as_it_is() -> None:
    assert write(CONTENT, "json") == (CONTENT, "application/json")
    assert write(CONTENT.decode(), "json")[0] == CONTENT
    assert json.loads(write(TAKE, "json")[0]) == JOE


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("tempo",), 1, "timings.tempo"),
        (("seed",), "1", "timings.seed"),
        (("sample_rate_hz",), 0, "timings.sample_rate_hz"),
        (("duration_s",), -1, "timings.duration_s"),
        (("words", 0, "start_s"), 0.9, "timings.words.0"),
        (("words", 0, "char_start"), 9, "timings.words.0"),
        (("words", 1, "phonemes", 0, "end_s"), 0.0, "timings.words.1"),
        (("words", 0, "phonemes", 0, "symbol"), "", "timings.words.0.phonemes.0.symbol"),
        (("words", 0, "phonemes", 0, "pitch"), 1, "timings.words.0.phonemes.0.pitch"),
        (("words", 1), JOE["words"][3], "timings"),
    ],
)
def test_what_are_no_timings_is_refused_by_place(
    path: tuple[Any, ...], value: Any, where: str
) -> None:
    plain = json.loads(CONTENT)
    at = plain
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(InvalidRequest) as refused:
        write(json.dumps(plain), "json")
    assert refused.value.where == where


def test_an_unknown_member_is_told_what_is_known() -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(json.dumps(JOE | {"tempo": 1}))
    assert refused.value.valid == list(JOE)


def test_an_unknown_format_is_told_what_is_known() -> None:
    with pytest.raises(InvalidRequest, match="'ass'") as refused:
        write(CONTENT, "ass")
    assert (refused.value.where, refused.value.valid) == ("format", list(FORMATS))
    assert list(FORMATS) == ["json", "srt", "vtt", "textgrid", "csv", "visemes"]


def test_frames_are_refused_where_there_are_none() -> None:
    with pytest.raises(InvalidRequest) as refused:
        write(CONTENT, "srt", fps=24)
    assert (refused.value.where, refused.value.valid) == ("fps", ["visemes"])


@pytest.mark.parametrize(
    ("said", "rate"),
    [
        ("24", Fraction(24)),
        (25, Fraction(25)),
        (12.5, Fraction(25, 2)),
        ("23.976", Fraction(24000, 1001)),
        ("29.97df", Fraction(30000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        (Fraction(60000, 1001), Fraction(60000, 1001)),
    ],
)
def test_frame_rates_are_exact(said: Any, rate: Fraction) -> None:
    assert frame_rate(said) == rate


@pytest.mark.parametrize("said", ["", "0", "24/0", "-24", "nan", "1e2", "241", "fast"])
def test_what_is_no_frame_rate_is_refused(said: str) -> None:
    with pytest.raises(InvalidRequest, match="frame rate") as refused:
        write(CONTENT, "visemes", fps=said)
    assert refused.value.where == "fps"
    assert "23.976" in str(refused.value.valid)


# -- times ---------------------------------------------------------------------------------------


def word_times(format: str) -> list[tuple[str, str]]:
    """When every word begins and ends, as the format writes it."""
    made = write(CONTENT, format)[0].decode()
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(made)))
        return [(r["start_s"], r["end_s"]) for r in rows if r["tier"] == "word"]
    if format == "textgrid":
        tier = made.split("item [2]:")[0]
        return re.findall(r'xmin = (\S+)\n +xmax = (\S+)\n +text = "[^"]', tier)
    said = json.loads(made, parse_float=str)
    return [(w["start_s"], w["end_s"]) for w in said["words"]]


@pytest.mark.parametrize("format", ["csv", "textgrid", "visemes"])
def test_word_times_are_the_takes_to_the_last_digit(format: str) -> None:
    own = word_times("json")
    assert len(own) == len(JOE["words"])
    assert word_times(format) == own


def test_times_have_no_exponent_and_halves_go_up() -> None:
    assert exact(1e-06) == "0.000001"
    assert exact(7.377596) == "7.377596"
    assert whole(1.0005, 1000) == 1001  # its binary fraction is below the half
    assert whole(0.0004, 1000) == 0
    assert whole(2.391655, 10_000_000) == 23916550


# -- CSV -----------------------------------------------------------------------------------------


def test_csv_has_every_word_phone_and_mark() -> None:
    marked = TAKE.model_copy(update={"marks": (TimedMark(name='say "x", now', at_s=1.5),)})
    rows = list(csv.DictReader(io.StringIO(write(marked, "csv")[0].decode())))
    assert list(rows[0]) == ["tier", "text", "start_s", "end_s", "start_sample", "end_sample"]
    phones = [p for w in JOE["words"] for p in w["phonemes"]]
    assert [r["text"] for r in rows if r["tier"] == "word"] == [w["text"] for w in JOE["words"]]
    assert [r["text"] for r in rows if r["tier"] == "phone"] == [p["symbol"] for p in phones]
    assert rows[-1] == {
        "tier": "mark",
        "text": 'say "x", now',
        "start_s": "1.5",
        "end_s": "1.5",
        "start_sample": "33075",
        "end_sample": "33075",
    }
    for row in rows:
        for edge in ("start", "end"):
            off = int(row[f"{edge}_sample"]) - float(row[f"{edge}_s"]) * 22050
            assert abs(off) < 0.03  # times are whole samples, to a microsecond


# -- TextGrid ------------------------------------------------------------------------------------


def grid(document: Timings, tmp_path: Path) -> Any:
    """What Praat reads of it."""
    path = tmp_path / f"take{FORMATS['textgrid'].suffix}"
    path.write_bytes(write(document, "textgrid")[0])
    return parselmouth.read(str(path))


def intervals(praat: Any, tier: int) -> list[tuple[float, float, str]]:
    return [
        (
            call(praat, "Get start time of interval", tier, i),
            call(praat, "Get end time of interval", tier, i),
            call(praat, "Get label of interval", tier, i),
        )
        for i in range(1, int(call(praat, "Get number of intervals", tier)) + 1)
    ]


def test_praat_reads_words_and_phones(tmp_path: Path) -> None:
    praat = grid(TAKE, tmp_path)
    assert call(praat, "Get number of tiers") == 2
    assert [call(praat, "Get tier name", i) for i in (1, 2)] == ["words", "phones"]
    phones = [p for w in TAKE.words for p in w.phonemes]
    words, sounds = intervals(praat, 1), intervals(praat, 2)
    assert [i for i in words if i[2]] == [(w.start_s, w.end_s, w.text) for w in TAKE.words]
    assert [i for i in sounds if i[2]] == [(p.start_s, p.end_s, p.symbol) for p in phones]
    for tier in (words, sounds):
        assert (tier[0][0], tier[-1][1]) == (0.0, TAKE.duration_s)
        assert all(a[1] == b[0] for a, b in pairwise(tier))
        assert not any(a[2] == b[2] == "" for a, b in pairwise(tier))


def test_praat_reads_quotes_and_marks(tmp_path: Path) -> None:
    marks = (TimedMark(name="a", at_s=0.2), TimedMark(name='"b"', at_s=0.2))
    document = timed(('say "x"', 0.0, 0.5), ("none", 0.5, 0.5), ("end", 0.5, 1.0), duration_s=1.0)
    praat = grid(document.model_copy(update={"marks": marks}), tmp_path)
    assert intervals(praat, 1) == [(0.0, 0.5, 'say "x"'), (0.5, 1.0, "end")]
    assert call(praat, "Get number of points", 3) == 1
    assert call(praat, "Get label of point", 3, 1) == 'a, "b"'
    assert call(praat, "Get time of point", 3, 1) == 0.2


def test_a_word_that_reaches_into_the_next_ends_there_for_praat(tmp_path: Path) -> None:
    document = timed(("so", 0.1, 0.5), ("it", 0.496, 0.9), ("is", 0.88, 1.01), duration_s=1.0)
    assert intervals(grid(document, tmp_path), 1) == [
        (0.0, 0.1, ""),
        (0.1, 0.496, "so"),
        (0.496, 0.88, "it"),
        (0.88, 1.01, "is"),
    ]
    rows = csv.DictReader(io.StringIO(write(document, "csv")[0].decode()))
    assert [r["end_s"] for r in rows if r["tier"] == "word"] == ["0.5", "0.9", "1.01"]


def test_a_take_that_is_still_made_ends_with_its_last_word(tmp_path: Path) -> None:
    praat = grid(timed(("so", 0.25, 0.5)), tmp_path)
    assert intervals(praat, 1) == [(0.0, 0.25, ""), (0.25, 0.5, "so")]
    with pytest.raises(InvalidRequest, match="no word"):
        write(timed(), "textgrid")


def test_every_format_takes_a_take_without_words() -> None:
    silent = timed(duration_s=1.0)
    for format in FORMATS:
        assert isinstance(write(silent, format, text="")[0], bytes)
    assert write(silent, "srt")[0] == b""
    assert write(silent, "vtt")[0] == b"WEBVTT\n"
