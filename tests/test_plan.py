"""Plans: what a symbol is, how seeds are derived, when words and phonemes are heard."""

import hashlib
import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicesvc.plan import (
    Kind,
    Plan,
    PlannedWord,
    Unit,
    after,
    derive_seed,
    groups,
    kind_of,
    share,
    timings,
)

FRAME_S = 256 / 22050


def unit(symbol: str, kind: Kind, frames: int) -> Unit:
    return Unit(symbol, ord(symbol), kind, float(frames), frames)


def plan(*words: PlannedWord) -> Plan:
    return Plan("ab" * 32, 22050, 256, 1, words)


def word(text: str, start: int, *units: Unit) -> PlannedWord:
    return PlannedWord(text, start, start + len(text), 0, units)


# As VITS lays out "so it": blanks between all symbols.
SO_IT = plan(
    word("", 0, unit("^", "blank", 2), unit("_", "blank", 3)),
    word(
        "so",
        0,
        *(unit("s", "phone", 5), unit("_", "blank", 1)),
        *(unit("ˈ", "mark", 1), unit("_", "blank", 1)),
        *(unit("o", "phone", 7), unit("_", "blank", 2)),
        *(unit("ː", "mark", 3), unit("_", "blank", 1)),
        *(unit(" ", "pause", 4), unit("_", "blank", 6)),
    ),
    word("it", 3, unit("ɪ", "phone", 4), unit("_", "blank", 1), unit("t", "phone", 2)),
    word("", 0, unit("$", "blank", 9)),
)


def frames(seconds: float) -> int:
    number = seconds / FRAME_S
    assert number == pytest.approx(round(number), abs=1e-3)
    return round(number)


def test_lengths_add_up() -> None:
    assert [w.frames for w in SO_IT.words] == [5, 31, 7, 9]
    assert SO_IT.frames == 52
    assert SO_IT.samples == 52 * 256
    assert sum(u.frames for u in SO_IT.units()) == 52


def test_words_are_timed_without_the_silence_around_them() -> None:
    so, it = timings(SO_IT)
    assert (so["text"], so["char_start"], so["char_end"]) == ("so", 0, 2)
    assert (frames(so["start_s"]), frames(so["end_s"])) == (5, 26)
    assert (it["text"], it["char_start"], it["char_end"]) == ("it", 3, 5)
    assert (frames(it["start_s"]), frames(it["end_s"])) == (36, 43)


def test_phonemes_take_their_marks_and_the_blanks_after_them() -> None:
    so, it = timings(SO_IT)
    heard = [(p["symbol"], frames(p["start_s"]), frames(p["end_s"])) for p in so["phonemes"]]
    assert heard == [("s", 5, 11), ("ˈoː", 11, 26)]
    heard = [(p["symbol"], frames(p["start_s"]), frames(p["end_s"])) for p in it["phonemes"]]
    assert heard == [("ɪ", 36, 41), ("t", 41, 43)]


def test_what_is_put_in_moves_what_comes_after_it() -> None:
    border = 36 * 256  # of the two words
    moved = timings(
        SO_IT, lambda at, begins: at + 22050 * (at > border or (begins and at == border))
    )
    (so, it), (still_so, still_it) = moved, timings(SO_IT)
    assert so == still_so
    assert it["start_s"] == pytest.approx(still_it["start_s"] + 1, abs=2e-6)
    assert it["phonemes"][1]["end_s"] == pytest.approx(still_it["end_s"] + 1, abs=2e-6)


def test_a_pause_inside_a_word_belongs_to_no_phoneme() -> None:
    (word_said,) = timings(
        plan(word("PM", 0, unit("p", "phone", 3), unit(" ", "pause", 2), unit("m", "phone", 4)))
    )
    heard = [(p["symbol"], frames(p["start_s"]), frames(p["end_s"])) for p in word_said["phonemes"]]
    assert heard == [("p", 0, 3), ("m", 5, 9)]


def test_a_word_without_a_phoneme_is_not_timed() -> None:
    silent = plan(word("x", 0, unit("ˈ", "mark", 3)), word("so", 2, unit("s", "phone", 1)))
    assert [w["text"] for w in timings(silent)] == ["so"]


KINDS: st.SearchStrategy[tuple[str, Kind]] = st.sampled_from(
    [("a", "phone"), ("ˈ", "mark"), ("ː", "mark"), (" ", "pause"), ("_", "blank")]
)
UNITS = st.tuples(KINDS, st.integers(0, 5)).map(lambda t: unit(t[0][0], t[0][1], t[1]))


@given(st.lists(st.lists(UNITS, max_size=8), max_size=5))
def test_times_never_go_back_nor_past_the_end(words: list[list[Unit]]) -> None:
    laid = plan(*(word(f"w{i}", 3 * i, *units) for i, units in enumerate(words)))
    edges = [t for w in timings(laid) for p in w["phonemes"] for t in (p["start_s"], p["end_s"])]
    assert edges == sorted(edges)
    assert all(0 <= t <= laid.frames * FRAME_S + 1e-6 for t in edges)


@pytest.mark.parametrize(
    ("symbol", "kind"),
    [
        ("a", "phone"),
        ("ə", "phone"),
        ("ǃ", "phone"),
        ("ˈ", "mark"),
        ("ˌ", "mark"),
        ("ː", "mark"),
        ("ʰ", "mark"),
        ("\u0303", "mark"),
        (" ", "pause"),
        (",", "pause"),
        ("1", "phone"),  # a figure or a tone: what reads letters says it
    ],
)
def test_kinds(symbol: str, kind: Kind) -> None:
    assert kind_of(symbol, "phone") == kind
    assert kind_of(symbol, "pause") == "pause"
    assert kind_of(symbol, "blank") == "blank"


def test_seeds_are_the_first_63_bits_of_a_hash() -> None:
    digest = hashlib.sha256(b"7\0sentence\x002").digest()
    assert derive_seed(7, "sentence", 2) == int.from_bytes(digest[:8], "big") >> 1
    assert derive_seed("a", "b") != derive_seed("ab")
    assert 0 <= derive_seed("x") < 2**63


def test_noise_is_keyed_by_the_word_and_how_often_it_came() -> None:
    assert PlannedWord("The", 0, 3, 1, ()).key == PlannedWord("the", 9, 12, 1, ()).key
    assert PlannedWord("the", 0, 3, 0, ()).key != PlannedWord("the", 0, 3, 1, ()).key


@given(st.lists(st.floats(0.0, 40), min_size=1, max_size=60), st.randoms())
def test_whole_frames_keep_the_sum_and_every_phoneme(
    durations: list[float], random: Random
) -> None:
    kinds: list[Kind] = [random.choice(("phone", "blank")) for _ in durations]
    given = share(durations, kinds)
    heard = [kind == "phone" and d > 0 for kind, d in zip(kinds, durations, strict=True)]
    assert all(n >= must for n, must in zip(given, heard, strict=True))
    blanks = share(durations, ["blank"] * len(durations))
    assert sum(blanks) == round(sum(durations))
    ends = np.cumsum(blanks) - np.cumsum(durations)
    assert np.abs(ends).max() <= 0.5 + 1e-6
    whole = [float(math.ceil(d)) for d in durations]
    assert share(whole, kinds) == whole


def test_phonemes_are_grouped_with_their_marks_and_pauses_stand_alone() -> None:
    so, it = SO_IT.words[1:3]
    assert [(g.symbol, g.kind, g.begin, g.end) for g in groups(so)] == [
        ("s", "phone", 0, 2),
        ("ˈoː", "phone", 2, 10),  # a mere space is nobody's pause
    ]
    assert after(so) == " "
    ended = word("it", 3, *it.units, unit(",", "pause", 4), unit(" ", "pause", 2))
    assert [(g.symbol, g.kind) for g in groups(ended)] == [
        ("ɪ", "phone"),
        ("t", "phone"),
        (", ", "pause"),
    ]
    assert after(ended) == ", "
    parts = word("PM", 0, unit("p", "phone", 3), unit(" ", "pause", 2), unit("m", "phone", 4))
    assert [(g.symbol, g.kind) for g in groups(parts)] == [
        ("p", "phone"),
        (" ", "gap"),
        ("m", "phone"),
    ]


@given(st.lists(UNITS, max_size=12))
def test_groups_cover_a_word_without_overlap(units: list[Unit]) -> None:
    found = groups(word("w", 0, *units))
    assert [i for g in found for i in range(g.begin, g.end)] == list(range(len(units)))
