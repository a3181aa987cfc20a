"""The page on timings against the code."""

import json
import re

from test_differences import HOLD, edited
from test_docs import codes, column, sections, tables
from test_timings import CONTENT, TEXT

from voicesvc.differences import between
from voicesvc.timings import FORMATS, write
from voicesvc.timings.mouth import CLOSING_S, HELD_RAMP_S, OPENING_S, PER_S, SILENCE_S, TOLERANCE
from voicesvc.timings.sounds import DIPHTHONGS, POSES, SHAPES, VISEMES
from voicesvc.timings.subtitles import LINE_CHARS, LONGEST_S, PAUSE_S
from voicesvc.timings.tables import CSV_COLUMNS
from voicesvc.timings.visemes import FPS

PAGE = sections("timings")


def test_every_format_has_its_line() -> None:
    (table,) = tables(PAGE["Timings as files, and what differs"])
    said = [(*codes(r["format"]), *codes(r["media type"]), *codes(r["suffix"])) for r in table]
    assert said == [(f.name, f.media_type, f.suffix) for f in FORMATS.values()]


def test_every_viseme_has_its_sounds() -> None:
    (table,) = tables(PAGE["Azure's ids"])
    of = {int(r["id"]): {*codes(r["of English"]), *codes(r["of other sounds"])} for r in table}
    assert list(of) == list(range(22))
    assert of.pop(0) == set()
    singles = {viseme: set(letters) for viseme, letters in VISEMES.items()}
    assert of == singles | {viseme: {pair} for pair, viseme in DIPHTHONGS.items()}


def test_every_pose_has_its_numbers() -> None:
    (table,) = tables(PAGE["ARKit's shapes"])
    assert [row["pose"] for row in table] == list(POSES)
    for row, pose in zip(table, POSES.values(), strict=True):
        assert "".join(codes(row["letters"])) == pose.letters
        shapes = (said.split() for said in row["shapes"].split(", "))
        assert {name: float(weight) for name, weight in shapes} == pose.weights
        assert row["jaw, lips"] == f"{pose.jaw:g}, {pose.lips:g}"
        times = (pose.ahead_s * 1000, pose.behind_s * 1000)
        assert row["ahead, behind in ms"] == ", ".join(f"{t:g}" for t in times)


def test_every_member_of_the_visemes_has_its_line() -> None:
    said = json.loads(write(CONTENT, "visemes", fps=24)[0])
    (table,) = tables(PAGE["Visemes"])
    assert column(table, "member") == list(said)
    rows = {codes(row["member"])[-1]: codes(row["what it is"]) for row in table}
    assert set(rows["words"]) == set(said["words"][0])
    assert set(rows["phonemes"]) == set(said["phonemes"][0])
    assert set(rows["azure"]) == set(said["azure"][0])
    assert set(rows["arkit"]) == {*said["arkit"], "fps"}
    assert set(said["arkit"]["frames"]) == {"fps", "names", "weights"}


def test_the_numbers_of_the_text_are_the_codes() -> None:
    page = " ".join(" ".join(PAGE.values()).split())
    for said in (
        f"two lines of {LINE_CHARS} characters and {LONGEST_S:g} seconds",
        f"at a pause of {PAUSE_S:g} s",
        f"in a gap of {SILENCE_S:g} s",
        f"within {OPENING_S * 1000:.0f} ms before the next sound",
        f"within {CLOSING_S * 1000:.0f} ms after the last",
        f"take the lips over, within {HELD_RAMP_S * 1000:.0f} ms",
        f"faster than {PER_S:g} a second: {PER_S / 60:g} from one frame",
        f"within {TOLERANCE:g} of the curve",
        f"`fps` may be {FPS[0]} to {FPS[1]}",
    ):
        assert said in page, said
    assert "Seventeen of Apple's 52" in page
    assert len(SHAPES) == 17
    assert set(CSV_COLUMNS) <= set(codes(PAGE["TextGrid and CSV"]))


def test_the_cue_that_is_shown_is_written_so() -> None:
    block = re.findall(r"(?:^ {4}.*\n)+", PAGE["Subtitles"], flags=re.MULTILINE)[0]
    shown = re.sub(r"^ {4}", "", block, flags=re.MULTILINE).strip()
    assert shown in write(CONTENT, "vtt", text=TEXT)[0].decode()


def test_every_member_of_the_differences_has_its_line() -> None:
    plan = edited(pause_ms=9.0)
    last = plan.sentences[1].model_copy(update={"pause_ms": 9.0})
    said = between(HOLD, plan.model_copy(update={"sentences": (plan.sentences[0], last)})).json()
    page = PAGE["What differs between two plans"]
    (table,) = tables(page)
    assert column(table, "member") == list(said)
    rows = {codes(row["member"])[0]: set(codes(row["what it is"])) for row in table}
    (sentence,), (word,) = said["sentences"], said["words"]
    assert rows["sentences"] == set(sentence)
    assert rows["words"] == {*word, *word["before"], "changed", "replaced", "added", "removed"}
    assert set(word["changes"][0]) <= set(codes(page))
