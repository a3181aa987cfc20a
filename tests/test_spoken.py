from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicesvc.directions import Said
from voicesvc.phonemes import Espeak
from voicesvc.script import clean, sentences
from voicesvc.spoken import is_short_form, readings, shouted, spoken

DATA = Path(__file__).parent / "data"
# Written, a tab, and the same with what is said instead in angle brackets.
ROWS = [row.split("\t") for row in (DATA / "readings_en.tsv").read_text("utf-8").splitlines()]
LINES = (DATA / "lines_en.txt").read_text("utf-8").splitlines()
LOOSE_TEXT = st.one_of(
    st.text(st.characters()),
    st.text("aAbIVX mpk0159 $%#@&'\".,:;/-—()\n°½é"),
    st.lists(
        st.sampled_from(
            (
                "Henry",
                "VIII",
                "10",
                "km",
                "$",
                "-",
                "May",
                "5",
                ":30",
                "pm",
                "w-",
                "NO",
                "1/2",
                "’",
                "x",
            )
        )
    ).map(" ".join),
)


def read(text: str, taken: tuple[Said, ...] = (), language: str = "en-us") -> str:
    """The text with what is said instead in angle brackets."""
    out, at = "", 0
    for s in readings(text, 0, taken, language):
        out += f"{text[at : s.start]}<{s.text}>"
        at = s.end
    return out + text[at:]


@pytest.mark.parametrize(("text", "said"), ROWS, ids=[row[0] for row in ROWS])
def test_readings(text: str, said: str) -> None:
    assert read(text) == said


def test_the_table_is_long() -> None:
    assert len(ROWS) >= 150


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("on 3/4/2024", "on <the third of april twenty twenty four>"),
        ("1,024 men", "<one thousand and twenty four> men"),
        ("2024-03-14", "<the fourteenth of march twenty twenty four>"),
    ],
)
def test_british_readings(text: str, said: str) -> None:
    assert read(text, language="en-gb") == said


def test_other_languages_are_left_alone() -> None:
    assert readings("5 km, w-what", 0, (), "de") == ()
    assert readings("5 km", 0, (), "en_US")


def test_what_is_taken_is_left_alone() -> None:
    text = "$5 and 6 km at 7 pm"
    taken = (Said(100, 102, text="x"), Said(107, 108, text="y"))
    found = readings(text, 100, taken, "en-us")
    assert [(s.start, s.end, s.text) for s in found] == [(115, 119, "seven PM")]


def test_plain_lines_have_no_readings() -> None:
    assert [line for line in LINES[:60] if readings(line, 0, (), "en-us")] == []


@given(LOOSE_TEXT, st.integers(0, 50))
@example("1" * 400, 0)
@example("I thou—", 3)
def test_readings_of_any_text(text: str, start: int) -> None:
    taken = (Said(start + 2, start + 4, text="x"),)
    for t in (text, clean(text).text):
        found = readings(t, start, taken, "en-us")
        assert all(start <= s.start < s.end <= start + len(t) for s in found)
        assert all(a.end <= b.start for a, b in pairwise(found))
        assert all(s.end <= start + 2 or s.start >= start + 4 for s in found)
        assert all(s.text and s.phones is None for s in found)
        ranges = shouted(t, start)
        assert all(start <= a < b <= start + len(t) for a, b in ranges)
        assert all(a[1] <= b[0] for a, b in pairwise(ranges))


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "A",
        "1",
        "1,",
        "1-",
        "a-",
        "I-",
        "$5 ",
        "a@",
        "a.",
        "A.",
        "(5",
        "01:",
        "a/",
        "A1-",
        "w-",
    ],
)
def test_pages_of_anything_are_read(unit: str) -> None:
    # Quadratic rules would not end within the time that a test may take.
    text = (unit * 160_000)[:160_000]
    readings(text, 0, (), "en-us")
    shouted(text, 0)


@pytest.mark.parametrize(
    ("text", "loud"),
    [
        ("Get OUT of here, you FOOL!", ["OUT", "FOOL"]),
        ("GET OUT now", ["GET OUT"]),
        ("GET OUT! NOW! I mean it.", ["GET OUT! NOW"]),
        ("I AM THE FBI!", ["I AM THE FBI"]),
        ("The FBI and NASA said OK.", []),
        ("I know. I", []),
        ("INT. HOUSE - DAY", []),
        ("CUT TO:", []),
        ("JOHN: I never said that.", []),
        ("JOHN (CONT'D)", []),
        ("Henry VIII", []),
        ("quiet\nDON'T MOVE\nquiet", ["DON'T MOVE"]),
        ("quiet\nRUN\nHIDE", ["RUN", "HIDE"]),
        ("Tell US that the US is IN IT", ["IN IT"]),
    ],
)
def test_shouted(text: str, loud: list[str]) -> None:
    assert [text[a - 7 : b - 7] for a, b in shouted(text, 7)] == loud


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("48kHz", "fˈɔːɹɾi ˈeɪt kˈɪləhˌɜːts"),
        ("apt. 4C", "ɐpˈɑːɹtmənt fˈɔːɹ sˈiː"),
        ("I want IT now", "aɪ wˈɔnt ɪt nˈaʊ"),
        ("w-what", "wˈʌ wˈʌt"),
        ("I thou—", "aɪ θˈɔː;"),
        ("10.30pm", "tˈɛn θˈɜːɾi pˌiːˈɛm"),
    ],
)
def test_readings_are_heard(text: str, heard: str) -> None:
    espeak = Espeak("en-us")
    words = espeak.words(text, 0, readings(text, 0, (), "en-us"))
    espeak.close()
    assert "".join("".join(w.phones + w.after) for w in words) == heard


@pytest.mark.parametrize(
    ("word", "after", "said"),
    [
        ("harbour", "", "harbour"),
        ("Dr.", "Smith", "doctor"),
        ("Ms", "Hart", "miz"),
        ("U.S.", "Army", "US"),
        ("J.", "R.", "J"),
        ("Ph.D.", "student", "P H D"),
        ("St.", "near", "street"),
        ("St.", "Mary's", "saint"),
        ("INT.", "KITCHEN", "interior"),
        ("No.", "5", "number"),
        ("No.", "", "No."),
    ],
)
def test_spoken(word: str, after: str, said: str) -> None:
    assert spoken(word, after) == said


@given(st.sampled_from(ROWS))
def test_what_is_said_is_not_read_again(row: list[str]) -> None:
    for s in readings(row[0], 0, (), "en-us"):
        assert s.text
        words = s.text.split()
        assert [spoken(w, after) for w, after in zip(words, [*words[1:], ""], strict=True)] == words


def test_lines_are_read_sentence_by_sentence() -> None:
    text = "He is 5. Mr. Ray has 6 km."
    found = [s for p in sentences(text) for s in readings(p.text, p.start, (), "en-us")]
    assert [text[s.start : s.end] for s in found] == ["5", "6 km"]


def test_short_forms() -> None:
    assert all(map(is_short_form, ("Dr.", "etc.", "U.S.", "J.", "e.g.")))
    assert not any(map(is_short_form, ("end.", "Dr", "3.", "No.")))
    assert is_short_form("No.", "5")
