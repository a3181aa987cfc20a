"""Subtitles: what is shown of the text, where cues break, and what players read of the files."""

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import sync_playwright
from test_docs import CHROMIUM_ARGS
from test_timings import CONTENT, JOE, TEXT, timed

from voicesvc.errors import InvalidRequest
from voicesvc.timings import TimedWord, Timings, write
from voicesvc.timings.document import whole
from voicesvc.timings.shown import shown
from voicesvc.timings.subtitles import LINE_CHARS, LONGEST_S, PAUSE_S, cues

Cue = tuple[int, int, str]  # start and end in ms, text


def said(text: str, *, word_s: float = 0.3, gap_s: float = 0.03, **gaps_s: float) -> Timings:
    """A take of `text`, of words of one length; `gaps_s` are pauses after words."""
    words, at_s = [], 0.0
    for m in re.finditer(r"[\w'&]+(?:\.(?=[\w,]))?", text):
        (word,) = timed((m.group(), at_s, round(at_s + word_s, 6))).words
        place = {"char_start": m.start(), "char_end": m.end()}
        words.append(word.model_copy(update=place))
        at_s = round(at_s + word_s + gaps_s.get(m.group(), gap_s), 6)
    return timed(duration_s=at_s).model_copy(update={"words": tuple(words)})


def lines(document: Timings, text: str | None = None) -> list[list[str]]:
    """The lines of every cue."""
    blocks = write(document, "srt", text=text)[0].decode().strip().split("\n\n")
    return [block.split("\n")[2:] for block in blocks]


def ms(clock: str) -> int:
    hours, minutes, seconds = re.split("[:]", clock.replace(",", "."))
    return (int(hours) * 60 + int(minutes)) * 60_000 + round(float(seconds) * 1000)


# -- text ----------------------------------------------------------------------------------------


def test_the_texts_punctuation_is_kept() -> None:
    assert lines(timed_joe(), TEXT) == [
        ['"Hold the harbour," he said,', "\"until Dr. Smith's boats —"],
        ['3 of them — bump moor; choose!"'],
        ["We'll judge you. Bottle button."],
    ]


def test_without_a_text_there_are_words_alone() -> None:
    assert lines(timed_joe())[0] == ["Hold the harbour he said"]


def timed_joe() -> Timings:
    return Timings.model_validate_json(CONTENT)


@pytest.mark.parametrize(
    ("text", "shown_as"),
    [
        ("well—you see", "well—you see"),
        ("¿so (it) is?", "¿so (it) is?"),
        ('— "So," it is…', '— "So," it is…'),
        ("so \N{GRINNING FACE} it", "so it"),
        ("so привет it", None),
        ("so [pause 400ms] it *is* [breath] then.", "so it is then."),
        ("<speak>so <break time='300ms'/>it, <emphasis>is</emphasis>.</speak>", "so it, is."),
        ("<speak><p>so it</p><p>is</p></speak>", "so it is"),
        ("<speak>so &quot;it&quot; is</speak>", 'so "it" is'),
    ],
)
def test_what_is_shown_of_a_text(text: str, shown_as: str | None) -> None:
    spoken = re.finditer(r"\b(so|So|it|is|then|well|you|see)\b(?![^<]*>)", text)
    words = []
    for i, m in enumerate(spoken):
        (word,) = timed((m.group(), i * 0.3, i * 0.3 + 0.2)).words
        words.append(word.model_copy(update={"char_start": m.start(), "char_end": m.end()}))
    document = timed().model_copy(update={"words": tuple(words)})
    shown_lines = [line for cue in lines(document, text) for line in cue]
    assert " ".join(shown_lines) == (shown_as or "so it")


def test_markup_within_a_word_does_not_part_it() -> None:
    text = '<speak>AT&amp;T <mark name="x"/>har<mark name="y"/>bour</speak>'
    begin, end = text.index("har"), text.index("bour") + 4
    places = [("AT", 7, 9), ("&T", 13, 15), ("harbour", begin, end)]
    words = tuple(word_at(w, begin, end, i * 0.3) for i, (w, begin, end) in enumerate(places))
    document = timed().model_copy(update={"words": words})
    assert lines(document, text) == [["AT&T harbour"]]


def word_at(text: str, begin: int, end: int, at_s: float) -> TimedWord:
    (word,) = timed((text, at_s, at_s + 0.2)).words
    return word.model_copy(update={"char_start": begin, "char_end": end})


@pytest.mark.parametrize("text", ["Hold the harbour.", "", "We " + TEXT, TEXT[::-1]])
def test_a_text_that_is_not_the_takes_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        write(CONTENT, "vtt", text=text)
    assert refused.value.where == "text"


def test_words_that_were_said_in_place_of_others_are_shown() -> None:
    text = "We hold *the harbour*, she said."
    words = [("We", 0, 2), ("hold", 3, 7), ("an", 9, 20), ("old", 9, 20), ("port", 9, 20)]
    words += [("she", 23, 26), ("said", 27, 31)]
    document = timed().model_copy(
        update={"words": tuple(word_at(w, a, b, i * 0.3) for i, (w, a, b) in enumerate(words))}
    )
    assert lines(document, text) == [["We hold an old port, she said."]]


def test_a_text_of_the_words_alone_is_read_in_turn() -> None:
    written = "Hold the harbour, he said, until Dr. Smith's boats 3 of them bump moor; choose!"
    text = f"{written} We'll judge you. Bottle button."
    assert lines(timed_joe(), text)[0] == ["Hold the harbour, he said,"]


def test_typographic_signs_are_the_texts_own() -> None:
    text = TEXT.replace("'", "’")
    assert "until Dr. Smith’s boats" in lines(timed_joe(), text)[0][1]


# -- breaks --------------------------------------------------------------------------------------


def test_a_cue_ends_with_a_sentence_and_at_a_pause() -> None:
    text = "We hold the harbour now. The boats go out at dawn"
    assert lines(said(text), text) == [
        ["We hold the harbour now."],
        ["The boats go out at dawn"],
    ]
    slow = said(text, word_s=0.5, boats=PAUSE_S)
    assert lines(slow, text)[1:] == [["The boats"], ["go out at dawn"]]
    assert len(lines(said(text, word_s=0.5, boats=PAUSE_S - 0.01), text)) == 2


def test_a_sentence_that_trails_off_goes_on() -> None:
    text = "Well... we hold the harbour, she said, until the morning"
    assert len(lines(said(text), text)) == 1


def test_short_sentences_share_a_cue() -> None:
    text = "No. Never. We hold the harbour now and wait."
    assert lines(said(text), text) == [["No. Never.", "We hold the harbour now and wait."]]
    assert lines(said(text, Never=0.6), text)[0] == ["No. Never."]


def test_lines_break_where_a_subtitler_breaks_them() -> None:
    text = "I told her that nobody had seen the captain since the storm"
    assert lines(said(text), text) == [
        ["I told her that nobody had seen", "the captain since the storm"]
    ]
    text = (
        "When the boats come back in the morning we will know what happened out there, and nobody"
        " will have to ask me again why I did not go with them to the island."
    )
    assert lines(said(text), text) == [
        ["When the boats come back in the morning", "we will know what happened out there,"],
        ["and nobody will have to ask me again why", "I did not go with them to the island."],
    ]


WORDS = st.lists(
    st.tuples(
        st.text("abcdefg", min_size=1, max_size=14),
        st.sampled_from([" ", " ", " ", ", ", ". ", "—", " — ", "? "]),
        st.floats(0.0, 2.0),
        st.floats(0.0, 1.2),
    ),
    min_size=1,
    max_size=60,
)


@given(WORDS)
def test_any_text_is_whole_within_the_limits(
    parts: list[tuple[str, str, float, float]],
) -> None:
    words, text, at_s = [], "", 0.0
    for word, after, length_s, pause_s in parts:
        end_s = round(at_s + length_s, 6)
        words.append(word_at(word, len(text), len(text) + len(word), at_s))
        words[-1] = words[-1].model_copy(update={"end_s": end_s})
        text += word + after
        at_s = round(end_s + pause_s, 6)
    document = timed().model_copy(update={"words": tuple(words)})
    found = cues(shown(document, text, "plain"))
    assert [w.start_s for c in found for line in c.lines for w in line] == [
        w.start_s for w in words
    ]
    for cue in found:
        assert len(cue.lines) <= 2
        if sum(map(len, cue.lines)) > 1:
            assert cue.end_s - cue.start_s <= LONGEST_S
            written = ["".join(" " * w.spaced + w.text for w in line) for line in cue.lines]
            assert all(len(line.strip()) <= LINE_CHARS for line in written)
    for cue, later in pairwise(found):
        assert cue.end_s <= later.start_s


# -- files ---------------------------------------------------------------------------------------


def test_srt_times_are_the_words_to_the_millisecond() -> None:
    made = write(CONTENT, "srt", text=TEXT)[0].decode()
    edges = re.findall(r"^(\S+) --> (\S+)$", made, flags=re.MULTILINE)
    assert [tuple(map(ms, e)) for e in edges] == [
        (whole(JOE["words"][a]["start_s"], 1000), whole(JOE["words"][b]["end_s"], 1000))
        for a, b in ((0, 8), (9, 14), (15, 19))
    ]
    assert re.findall(r"^\d+$", made, flags=re.MULTILINE) == ["1", "2", "3"]


def test_ffmpeg_reads_both(tmp_path: Path) -> None:
    for format in ("srt", "vtt"):
        path = tmp_path / f"take.{format}"
        path.write_bytes(write(CONTENT, format, text=TEXT)[0])
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path)]
        done = subprocess.run(
            [*command, "-f", "srt", "-"], check=True, capture_output=True, text=True
        )
        assert done.stderr == ""
        assert len(re.findall("-->", done.stdout)) == 3
        assert "3 of them — bump moor; choose!" in done.stdout


def heard(path: Path) -> list[dict[str, Any]]:
    """What a browser makes of a WebVTT file: times, text, and the times within the text."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("WebVTT is tested in Chromium; install it with: apt-get install -y chromium")
    page_path = path.with_suffix(".html")
    page_path.write_text(f'<video><track default kind="subtitles" src="{path.name}"></video>')
    args = [*CHROMIUM_ARGS, "--allow-file-access-from-files"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=args)
        page = browser.new_page()
        page.goto(page_path.as_uri())
        page.evaluate("document.querySelector('track').track.mode = 'hidden'")
        page.wait_for_function("document.querySelector('track').readyState >= 2", timeout=20_000)
        found: list[dict[str, Any]] = page.evaluate(
            """[...document.querySelector("track").track.cues].map(c => ({
              start_s: c.startTime, end_s: c.endTime, text: c.getCueAsHTML().textContent,
              stamps: [...c.getCueAsHTML().childNodes]
                .filter(n => n.nodeType === Node.PROCESSING_INSTRUCTION_NODE).map(n => n.data)}))"""
        )
        browser.close()
    return found


def test_a_browser_reads_the_time_of_every_word(tmp_path: Path) -> None:
    path = tmp_path / "take.vtt"
    path.write_bytes(write(CONTENT, "vtt", text=TEXT)[0])
    found = heard(path)
    starts = []
    for cue in found:
        starts += [round(cue["start_s"] * 1000), *map(ms, cue["stamps"])]
    assert starts == [whole(w["start_s"], 1000) for w in JOE["words"]]
    assert [round(c["end_s"] * 1000) for c in found] == [3204, 5190, 7285]
    assert " ".join(c["text"].replace("\n", " ") for c in found) == TEXT


def test_signs_of_webvtt_in_a_text_are_text(tmp_path: Path) -> None:
    text = "AT&T <b>-->1 now"
    words = [("AT&T", 0, 4), ("<b>-->1", 5, 12), ("now", 13, 16)]
    document = timed().model_copy(
        update={"words": tuple(word_at(w, a, b, i * 0.3) for i, (w, a, b) in enumerate(words))}
    )
    path = tmp_path / "take.vtt"
    path.write_bytes(write(document, "vtt")[0])
    (cue,) = heard(path)
    assert cue["text"] == text
    assert cue["stamps"] == ["00:00:00.300", "00:00:00.600"]


def test_words_of_no_length_have_no_time_of_their_own() -> None:
    document = timed(("so", 0.0, 0.5), ("it", 0.5, 0.5), ("is", 0.5, 0.9), ("mute", 5.0, 5.0))
    made = write(document, "vtt")[0].decode()
    assert made == ("WEBVTT\n\n1\n00:00:00.000 --> 00:00:00.900\nso <00:00:00.500>it is\n")
    assert "mute" not in write(document, "srt")[0].decode()


def test_hours_are_counted() -> None:
    made = write(timed(("late", 3661.5, 3662.0)), "srt")[0].decode()
    assert made == "1\n01:01:01,500 --> 01:01:02,000\nlate\n"
