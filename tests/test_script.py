import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicesvc.directions import Said
from voicesvc.script import (
    CUT,
    LONGEST,
    PAUSE_PARAGRAPH_S,
    PAUSE_SENTENCE_S,
    SKIP_REASONS,
    Skipped,
    clean,
    sentences,
    skipped_header,
    speakable,
    written_words,
)

LOOSE_TEXT = st.one_of(
    st.text(st.characters()),  # surrogates too
    st.text(
        "ab AB.!?…,;:—-\"'()\n\r\t 0159$%&é\u0301\u2060\u200d\U0001f600\U0001f1ec\u20e3\ud800ж"
    ),
    st.lists(
        st.sampled_from(
            ("Dr.", "U.S.", "e.g.", "3.50", "end.", "he", "He", "J.", ",", "\n", "\n\n")
        )
    ).map(" ".join),
)


def texts(text: str) -> list[str]:
    return [s.text for s in sentences(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith met Mr. and Mrs. Jones at St. Mary's.",
        "He joined the U.S. Army in Jan. and left in Sept. of that year.",
        "Bring lamps, e.g. the blue one, i.e. the long one, etc. and go.",
        "J. R. R. Tolkien and C. S. Lewis were friends.",
        "J. I. Smith came.",
        "It costs $3.50 at 5:45, and 1,024 people came at 3.15 p.m. on Friday.",
        '"Stop!" he said.',
        '"Is it?" she asked (twice!) and left.',
        "Wait... what was that?",
        "Well… maybe not.",
        "No. 5 is in vol. 2, fig. 3b.",
        "1. The first point",
        "You did what?!",
        "See example.com or john@example.com for version 2.0 of it.",
    ],
)
def test_these_are_one_sentence(text: str) -> None:
    assert texts(text) == [text]


@pytest.mark.parametrize(
    "parts",
    [
        ["Come here.", "Sit down!", "Why?", "Because."],
        ['He said "no."', '"Then go," she said.'],
        ["We live in the U.S.", "They do not."],
        ["It ended at 5 p.m.", "Then we left."],
        ["Lamps, rope, etc.", "That is all."],
        ["Wait...", "What was that?"],
        ["You did what?!", "No!"],
        ["(It was late.)", "Nobody came."],
        ["It was plan B.", "The rest is history."],
        ["He ate a fig.", "Then one more rep.", "Now no.", "Yes."],
        ['"It is I."', '"Oh!"'],
    ],
)
def test_these_are_several(parts: list[str]) -> None:
    assert texts(" ".join(parts)) == parts


def test_a_newline_ends_a_sentence_unless_the_line_is_wrapped() -> None:
    assert texts("Hello there\nHow are you") == ["Hello there", "How are you"]
    assert texts("the quiet\nharbour") == ["the quiet\nharbour"]
    assert texts("Well,\nJohn came") == ["Well,\nJohn came"]
    wrapped = "When he had walked for a very long time along the river, he met\nJohn at the bridge."
    assert texts(wrapped) == [wrapped]
    assert texts(wrapped.replace("\n", "\n\n")) == wrapped.split("\n")


def test_pauses() -> None:
    spans = list(sentences("One. Two.\n\nThree\nFour. ... \n\n ... Five."))
    assert [(s.text, s.pause_s) for s in spans] == [
        ("One.", PAUSE_SENTENCE_S),
        ("Two.", PAUSE_PARAGRAPH_S),
        ("Three", PAUSE_SENTENCE_S),
        ("Four.", PAUSE_PARAGRAPH_S),
        ("Five.", 0.0),
    ]


def test_offsets_are_those_of_the_text() -> None:
    text = '  One.  "Two", he said.\n\nThree'
    assert [text[s.start : s.end] for s in sentences(text)] == texts(text)


def test_a_monster_is_cut_at_clause_borders_then_at_spaces_then_anywhere() -> None:
    clauses = list(sentences("and then we went to the harbour, " * 160))
    assert all(CUT - 40 < len(s.text) <= CUT for s in clauses[:-1])
    assert all(s.text.endswith(",") and s.pause_s == 0.0 for s in clauses)
    words = list(sentences("harbour " * 700))
    assert all(s.text.endswith("harbour") and CUT - 20 < len(s.text) <= CUT for s in words[:-1])
    assert texts("Oh, " + "harbour " * 60)[0].endswith("harbour")
    assert [len(s.text) for s in sentences("x" * 5000)] == [CUT] * 16 + [200]
    assert [len(s.text) for s in sentences("word " * 81 + "end.")] == [CUT - 1, 109]


def test_marks_without_end_cost_little() -> None:
    begin = time.perf_counter()
    for text in ("!" * 200_000 + "a", "a" + " " * 200_000 + "b", "\n \n" * 60_000, "' \"" * 60_000):
        list(sentences(text))
    assert time.perf_counter() - begin < 2.0


def test_the_first_sentence_of_a_long_text_is_found_at_once() -> None:
    for text in (
        "He went to the harbour, and saw 3.50 ships. " * 5000,
        "word " * 40000,
        "x" * 200000,
    ):
        took_s = []
        for _ in range(5):
            begin = time.perf_counter()
            next(sentences(text))
            took_s.append(time.perf_counter() - begin)
        assert min(took_s) < 1e-3


def test_nothing_speakable_gives_no_span() -> None:
    assert texts('... !!! "—" \n\n ?') == []
    assert texts("") == []
    assert not speakable("… — ' \"!?")
    assert speakable("&")
    assert speakable("7")


def test_written_words() -> None:
    text = "'Tis well-known: $3.50 for end.Next, 'em U.S. and/or x-1.5 -- - 'hi' 10:30 dogs' -5"
    assert " | ".join(m.group() for m in written_words(text)) == (
        "'Tis | well-known | $3.50 | for | end | Next | 'em | U.S | and/or | x-1.5 | hi | 10:30"
        " | dogs | -5"
    )


@pytest.mark.parametrize(
    ("text", "cleaned", "why"),
    [
        ("a👍🏽b", "a  b", "emoji"),
        ("a👨‍👩‍👧b", "a     b", "emoji"),
        ("a🇬🇧b", "a  b", "emoji"),
        ("a1️⃣b", "a   b", "emoji"),
        ("a❤️b", "a  b", "emoji"),
        ("aпривет мирb", "a          b", "script"),
        ("aꜣb", "a b", "script"),
        ("aשלוםb", "a    b", "script"),
        ("a日本語b", "a   b", "script"),
        ("a\x07b", "a b", "control"),
        ("a\u202e\u2066b", "a  b", "control"),
        ("a\ud800b", "a b", "control"),
        ("a\ue000b", "a b", "control"),
        ("a≈b", "a b", "symbol"),
    ],
)
def test_what_cannot_be_spoken_is_a_space_and_is_reported(
    text: str, cleaned: str, why: str
) -> None:
    got = clean(text)
    assert got.text == cleaned
    assert got.skipped == (Skipped(1, len(text) - 1, why),)


def test_typography_becomes_plain_at_the_same_length() -> None:
    text = "“Don’t”\u00a0– she said…\tＡＢ③ 10–15 ½ café 3⁄4 \u0661 co\u00adop"
    assert clean(text).text == '"Don\'t" — she said… AB3 10-15 ½ café 3/4 1 co\u2060op'
    assert clean(text).skipped == ()
    kept = "cafe\u0301 5µm"
    assert clean(kept).text == kept
    assert clean("one\r\ntwo\rthree\u2028four").text == "one \ntwo\nthree\nfour"


def test_scripts_of_another_voice() -> None:
    assert clean("привет hello é日", scripts=("CYRILLIC",)).text == "привет hello   "


def test_the_header_is_short_and_ascii() -> None:
    skipped = clean("Hey 😀, привет!").skipped
    assert skipped_header(skipped) == "4-5 emoji, 7-13 script"
    many = clean("a😀" * 500).skipped
    assert len(many) == 500
    assert skipped_header(many).endswith(", 39-40 emoji, +480 more")
    assert skipped_header([]) == ""


@given(LOOSE_TEXT)
@example("\ud800")
@example("1\u20e3\u20e3")
@example("x" * 1000)
def test_clean_keeps_the_length_and_says_what_it_took(text: str) -> None:
    got = clean(text)
    assert len(got.text) == len(text)
    got.text.encode()  # no surrogate is left
    assert all(a.end <= b.start for a, b in pairwise(got.skipped))
    assert all(s.start < s.end and s.why in SKIP_REASONS for s in got.skipped)
    for s in got.skipped:
        assert not got.text[s.start : s.end].strip()
    assert clean(got.text).text == got.text
    assert not clean(got.text).skipped


@given(LOOSE_TEXT)
def test_every_speakable_character_is_in_exactly_one_span(text: str) -> None:
    cleaned = clean(text).text
    spans = list(sentences(cleaned))
    assert all(a.end <= b.start for a, b in pairwise(spans))
    outside, at = "", 0
    for s in spans:
        assert s.text == cleaned[s.start : s.end] == s.text.strip()
        assert 0 < len(s.text) <= LONGEST
        assert speakable(s.text)
        outside += cleaned[at : s.start]
        at = s.end
    assert not any(speakable(c) for c in outside + cleaned[at:])


@pytest.mark.parametrize(
    ("text", "stretch", "split"),
    [
        ("I saw Dr. Who! Then I left.", "Dr. Who!", ["I saw Dr. Who! Then I left."]),
        ("The Yahoo! Office. It burns.", "Yahoo!", ["The Yahoo! Office.", "It burns."]),
        ("See W3C. Then go.", "W3C.", ["See W3C.", "Then go."]),
        ("The U.S. Army came.", "U.S.", ["The U.S. Army came."]),
        ("one\nTwo", "one\nTwo", ["one\nTwo"]),
        ("He said. :-) Good.", ":-)", ["He said.", ":-) Good."]),
        ("Oh. ### Good.", "###", ["Oh.", "### Good."]),
    ],
)
def test_what_is_read_as_one_is_not_split(text: str, stretch: str, split: list[str]) -> None:
    at = text.index(stretch)
    assert [s.text for s in sentences(text, [Said(at, at + len(stretch), text="x")])] == split


def test_a_blank_stretch_that_is_read_is_kept_whole() -> None:
    assert [s.start for s in sentences("Oh.     ", [Said(4, 7, phones=("a",))])] == [0, 4]


@pytest.mark.parametrize("filler", ["b", "b c. D "])
def test_a_cut_is_never_within_what_is_read_as_one(filler: str) -> None:
    text = "a " + filler * (1000 // len(filler)) + " e. " + filler * 100
    for start in range(0, 600, 37):
        said = [Said(start, start + 250, text="x")]
        spans = list(sentences(text, said))
        assert any(s.start <= start and start + 250 <= s.end for s in spans)
        assert all(s.text == text[s.start : s.end] for s in spans)


@given(LOOSE_TEXT, st.lists(st.integers(0, 60), max_size=6))
def test_stretches_stay_whole_whatever_the_text(text: str, borders: list[int]) -> None:
    cleaned = clean(text).text
    ordered = sorted({min(b, len(cleaned)) for b in borders})
    said = [Said(a, b, text="x") for a, b in zip(ordered[::2], ordered[1::2], strict=False)]
    spans = list(sentences(cleaned, said))
    for s in said:
        inside = [p for p in spans if p.start < s.end and s.start < p.end]
        assert len(inside) <= 1
    assert all(a.end <= b.start for a, b in pairwise(spans))
