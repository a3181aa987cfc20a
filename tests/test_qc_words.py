"""Asked words against heard ones: what is the same, what is not, and where it is shown."""

import re
from pathlib import Path

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

from voicesvc.directions import Said
from voicesvc.qc.compare import Compared, compare
from voicesvc.qc.spelling import spelled
from voicesvc.qc.tokens import asked
from voicesvc.script import sentences

DATA = Path(__file__).parent / "data"
LINES = (DATA / "lines_en.txt").read_text("utf-8").splitlines()


def of(text: str, transcript: str, language: str = "en-us") -> Compared:
    return compare(text, transcript, language)


def wrong(found: Compared) -> list[tuple[str, str, str | None]]:
    return [(w.text, w.status, w.heard) for w in found.words if w.status != "ok"]


def inserted(found: Compared) -> list[tuple[int, str]]:
    return [(i.at, i.heard) for i in found.inserted]


@pytest.mark.parametrize(
    ("text", "transcript"),
    [
        ("The harbour's grey.", "The harbors gray"),
        ("Your honour travelled to the theatre.", "Your honor traveled to the theater."),
        ("He realised the defence organised it.", "He realized the defense organized it"),
        ("It is over. I cannot go, I will not.", "It's over. I can't go. I won't."),
        ("We're late, they'd gone and she'll wait.", "Were late, they had gone and she will wait."),
        ("I'm gonna go.", "I am going to go."),
        ("In 1984 we had 2,500 boats.", "In nineteen eighty-four, we had two thousand 500 boats."),
        ("It costs $2.5m, i.e. a lot.", "It costs two point five million dollars, that is, a lot."),
        ("Meet at 4:30 p.m. on the 3rd.", "Meet at four thirty PM on the third."),
        ("A hundred and twenty men", "120 men"),
        ("nineteen oh five", "1905"),
        ("Call 555-0199.", "Call five five five oh one nine nine."),
        ("Dr. Brown and Mrs. Hill", "Doctor Brown and missus Hill"),
        ("Henry VIII of the FBI, a VIP", "Henry the eighth of the F.B.I., a V.I.P."),
        ("Who left the back door open? Goodbye.", "Who left the backdoor open? Good bye."),
        ("a well-known light house", "a well known lighthouse"),
        ("OK, Café Nöel", "Okay, cafe Noel"),
        ("“Don’t” — she said…", "don't she said"),
        ("W-what? Nooo, I thou— I mean it.", "What? No, I, I mean it."),
        ("W-what? Nooo, I thou— I mean it.", "We what? No, I thought I mean it."),
        ("W-what?", "W-What?"),
        ("Hmm, well, um, yes.", "Well, yes."),
        ("Shh! Psst, here.", "Here."),
        ("well", "Um, well."),
        ("Fifty per cent off the programme", "50% off the program"),
        ("Don't stop! 👍", "dont stop"),
    ],
)
def test_what_is_said_alike_is_no_error(text: str, transcript: str) -> None:
    found = of(text, transcript)
    assert wrong(found) == inserted(found) == []
    assert found.wer == 0.0


@pytest.mark.parametrize(
    ("text", "transcript", "errors", "inserted_at"),
    [
        (
            "Hold the line, they are here.",
            "Hold a line, they're near.",
            [("the", "substituted", "a"), ("here", "substituted", "near")],
            [],
        ),
        ("Do not go there now.", "Do go there now.", [("not", "missing", None)], []),
        ("Do go there now.", "Do not go there now, sir.", [], [(1, "not"), (4, "sir")]),
        ("From Kraków now.", "From crack out now.", [("Kraków", "substituted", "crack out")], []),
        ("We had 250 men.", "We had 215 men.", [("250", "substituted", "215")], []),
        (
            "We had two hundred and fifty men.",
            "We had 215 men.",
            [(w, "substituted", "215") for w in ("two", "hundred", "and", "fifty")],
            [],
        ),
        ("filled with flour", "filed with flower", [
            ("filled", "substituted", "filed"), ("flour", "substituted", "flower")], []),
        ("Four hours of woe.", "For ours of we.", [
            ("Four", "substituted", "For"), ("hours", "substituted", "ours"),
            ("woe", "substituted", "we")], []),
        ("Hmm, stay.", "Hmm, go.", [("stay", "substituted", "go")], []),
        ("Speak.", "", [("Speak", "missing", None)], []),
    ],
)  # fmt: skip
def test_what_is_not_alike_is_shown(
    text: str,
    transcript: str,
    errors: list[tuple[str, str, str | None]],
    inserted_at: list[tuple[int, str]],
) -> None:
    found = of(text, transcript)
    assert wrong(found) == errors
    assert inserted(found) == inserted_at
    assert found.wer
    for word in found.words:
        assert text[word.start : word.end] == word.text


def test_the_rate_counts_every_kind_of_error_and_is_1_at_most() -> None:
    assert of("one man and a dog", "one man and the dog").wer == 0.2
    assert of("one man and a dog", "one man a dog").wer == 0.2
    assert of("one man and a dog", "one man and a big dog").wer == 0.2
    assert of("Kraków it is", "crack out it is").wer == pytest.approx(2 / 3, abs=1e-4)
    assert of("Stop", "never stop this boat please").wer == 1.0
    assert of("um, dog", "the cat").wer == 1.0


def test_a_text_without_a_word_that_can_be_judged_has_no_rate() -> None:
    found = of("Hmm… psst!", "What?")
    assert found.wer is None
    assert [w.status for w in found.words] == ["ok", "ok"]
    assert of("…", "").words == ()


def test_stretches_that_are_read_otherwise_are_judged_as_read() -> None:
    text = "The SQL said MARLOW."
    said = (Said(4, 7, text="sequel"), Said(13, 19, phones=("m", "ɑ")))
    assert compare(text, "The sequel said Marlow.", "en-us", said).wer == 0
    found = compare(text, "The equal said Marlow.", "en-us", said)
    assert wrong(found) == [("SQL", "substituted", "equal")]


def test_language_decides_how_figures_are_read() -> None:
    assert of("on 3/4/2024", "on the third of April twenty twenty-four", "en-gb").wer == 0
    assert of("on 3/4/2024", "on March fourth, twenty twenty-four", "en-us").wer == 0


def test_a_line_is_equal_to_itself() -> None:
    assert [line for line in LINES if of(line, line).wer] == []


def test_written_and_read_out_are_equal() -> None:
    rows = (DATA / "readings_en.tsv").read_text("utf-8").splitlines()
    pairs = [tuple(row.split("\t")[:2]) for row in rows]
    judged = [
        (written, re.sub("[<>]", "", said))
        for written, said in pairs
        # A sentence that ends in a short form is no sentence; "eye" and "eh" are for espeak.
        if len(list(sentences(written))) == 1 and not re.search(r"\b(eye|eh)\b", said)
    ]
    assert len(judged) > 300
    assert [pair for pair in judged if of(*pair).wer] == []


def test_what_is_read_for_espeak_is_letters_here() -> None:
    assert [t.text for t in asked("A VIP in 4A", "en-us").tokens] == ["a", "vip", "in", "4", "a"]


WORDS = ["bell", "tower", "ringing", "under", "water", "never", "said"]


@given(
    text=st.lists(st.sampled_from(WORDS), min_size=1),
    changes=st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from(["", "apple", "bell", "said never"])),
        max_size=6,
    ),
)
def test_the_rate_is_that_of_jiwer_where_nothing_has_to_be_made_alike(
    text: list[str], changes: list[tuple[int, str]]
) -> None:
    heard = list(text)
    for at, word in changes:
        heard[at % len(heard)] = word
    reference, hypothesis = " ".join(text), " ".join(" ".join(heard).split())
    rate = jiwer.wer(reference, hypothesis)
    found = of(reference, hypothesis)
    assert found.wer == pytest.approx(min(1.0, rate), abs=1e-4)
    assert len(found.words) == len(text)


def test_no_stricter_than_whispers_own_normaliser() -> None:
    normalise = EnglishTextNormalizer({"grey": "gray"})
    for line in LINES:
        written = normalise(line)
        plain = re.fullmatch(r"[A-Z]?[a-z',—-]+( [A-Z]?[a-z',—-]+)*[.?!]", line)
        if plain and not re.search(r"\d", written):  # to it, "oh" is 0
            assert not of(line, written).wer, (line, written)


@pytest.mark.parametrize("word", ["four", "hour", "tour", "rise", "wise", "shoe", "acre"])
def test_words_that_only_look_british_stay(word: str) -> None:
    assert spelled(word) == word


def test_long_texts_take_little_time() -> None:
    text = " ".join(LINES) * 2
    found = of(text, text.replace(" the ", " a "))
    assert found.wer
    assert found.wer < 0.1
