"""Text as it is typed: a sentence is spoken once it ended, a clause where somebody waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicesvc.errors import TextTooLong
from voicesvc.typed import Piece, Typed


def spoken(typed: Typed, *, hungry: bool = False) -> list[str]:
    found = []
    while (piece := typed.next(hungry=hungry)) is not None:
        found.append(piece.text.strip())
    return found


def typed(text: str, **options: bool) -> Typed:
    one = Typed(1000, **options)
    one.feed(text)
    return one


def test_a_sentence_is_spoken_once_what_follows_it_shows_that_it_ended() -> None:
    one = typed("Hold the line")
    assert spoken(one, hungry=True) == []
    one.feed(".")
    assert spoken(one, hungry=True) == []  # "line.5" may come
    one.feed(" ")
    assert spoken(one) == ["Hold the line."]


@pytest.mark.parametrize(
    "text", ["Ask Dr. ", "On Baker St. ", "It is no. ", "By J. ", "It was 1. "]
)
def test_a_dot_that_ends_no_sentence_is_waited_behind(text: str) -> None:
    one = typed(text)
    assert spoken(one) == []
    one.feed("7 of them said so! ")
    assert len(spoken(one)) == 1


def test_a_clause_is_spoken_where_somebody_waits() -> None:
    one = typed("We hold the harbour, and then the boats go")
    assert spoken(one) == []
    assert spoken(one, hungry=True) == ["We hold the harbour,"]
    assert spoken(typed("Well, we hold"), hungry=True) == []
    assert spoken(typed("We *hold the harbour, and* go", clauses=False), hungry=True) == []


def test_what_is_flushed_is_spoken_as_it_is_and_its_last_piece_says_so() -> None:
    one = typed("Hold. Then")
    one.flush()
    one.feed(" more")
    pieces = [one.next(hungry=False), one.next(hungry=False), one.next(hungry=False)]
    assert pieces == [
        Piece("Hold. ", 0, 0.2),
        Piece("Then", 6, 0.0, flushed=True),
        None,
    ]
    one.clear()
    one.flush()
    assert one.next(hungry=False) == Piece("", 15, 0.0, flushed=True)
    assert one.next(hungry=False) is None


def test_paragraphs_are_further_apart_and_signs_alone_are_not_spoken() -> None:
    one = typed("We hold the harbour\n\n... ?! Then we go. ")
    assert one.next(hungry=False) == Piece("We hold the harbour\n\n", 0, 0.6)
    assert spoken(one) == ["Then we go."]


def test_endless_text_is_cut_at_a_space_and_what_waits_is_bounded() -> None:
    one = typed("word " * 100)
    assert max(map(len, spoken(one))) <= 400
    with pytest.raises(TextTooLong, match="wait to be spoken"):
        one.feed("x" * 1000)


@given(
    st.lists(st.sampled_from(["We ", "hold. ", "Dr. ", "a, b ", "...", "\n\n", "x" * 90, "?! "]))
)
def test_all_that_is_typed_is_spoken_in_order_however_it_comes(parts: list[str]) -> None:
    one, pieces = Typed(10_000), []
    for part in parts:
        one.feed(part)
        pieces += spoken(one, hungry=len(part) % 2 == 0)
    one.flush()
    pieces += spoken(one)
    said = "".join(c for c in "".join(pieces) if c.isalnum())
    assert said == "".join(c for c in "".join(parts) if c.isalnum())
