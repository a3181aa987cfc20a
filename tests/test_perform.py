"""What is asked for, laid on a neutral plan: durations, pitch, pauses, breaths, names."""

from typing import Any

import pytest

from voicesvc.delivery import EMOTIONS, EMPHASIS, Delivery, Span
from voicesvc.directions import Bookmark, Breath, Directed, Event, Pause, Style
from voicesvc.lineplan import PhonemePlan, SentencePlan, WordPlan
from voicesvc.perform import BREATH_MS, Asked, Performer, Stretch

TEXT = "Hold the harbour, now. So it is."


def word(text: str, *symbols: str, after: str = " ", pause_ms: float = 0.0, at: int) -> WordPlan:
    phonemes = tuple(PhonemePlan(symbol=s, duration_ms=100.0) for s in symbols)
    end = at + len(text)
    return WordPlan(text=text, start=at, end=end, phonemes=phonemes, after=after, pause_ms=pause_ms)


def sentence(*words: WordPlan) -> SentencePlan:
    return SentencePlan(seed=1, lead_ms=50.0, words=words, tail_ms=30.0, pause_ms=0.0)


FIRST = sentence(
    word("Hold", "h", "ˈoʊ", "l", "d", at=0),
    word("the", "ð", "ə", at=5),
    word("harbour", "h", "ˈɑː", "ɹ", "b", "ɚ", after=", ", pause_ms=200.0, at=9),
    word("now", "n", "ˈaʊ", after=".", pause_ms=120.0, at=18),
)
SECOND = sentence(
    word("So", "s", "ˈoʊ", at=23), word("it", "ɪ", "t", at=26), word("is", "ɪ", "z", at=29)
)


def performer(*layers: Stretch, events: tuple[Event, ...] = (), **asked: Any) -> Performer:
    return Performer(Asked(Directed(TEXT, events=events), layers, **asked))


def both(given: Performer) -> list[SentencePlan]:
    """Both sentences performed one after another, as a stream does it."""
    return [*given.perform([FIRST], 23), *given.perform([SECOND], None)]


def of(*values: Any) -> Any:
    return pytest.approx([float(v) for v in values], abs=1e-3)


def durations(word: WordPlan) -> list[float]:
    return [p.duration_ms for p in word.phonemes]


def whole(**style: Any) -> Stretch:
    return Stretch(0, len(TEXT), Style(**style))


def test_nothing_asked_changes_nothing() -> None:
    assert both(performer()) == [FIRST, SECOND]
    assert not performer().needs_whole


def test_rate_divides_durations_and_pauses_but_not_the_silence_around() -> None:
    first, _ = both(performer(whole(rate=2.0)))
    assert durations(first.words[0]) == of(50, 50, 50, 50)
    assert first.words[2].pause_ms == 100
    assert first.lead_ms == 50


def test_pause_scale_leaves_the_words_alone() -> None:
    first, second = both(given := performer(whole(pause_scale=0.5)))
    assert durations(first.words[2]) == durations(FIRST.words[2])
    assert first.words[2].pause_ms == 100
    assert given.pause_ms(first, second, 0.2) == 100


def test_nested_stretches_compose() -> None:
    inner = Stretch(9, 16, Style(rate=0.5, pitch_st=2.0, energy_db=-1.0, range=0.5, tilt_db=3.0))
    first, _ = both(performer(whole(rate=2.0, pitch_st=1.0, energy_db=4.0, range=0.5), inner))
    the, harbour = first.words[1:3]
    assert durations(harbour) == durations(FIRST.words[2])
    assert {p.pitch_st for p in harbour.phonemes} == {3.0}
    assert {p.energy_db for p in harbour.phonemes} == {3.0}
    assert (harbour.range, harbour.tilt_db) == (0.25, 3.0)
    assert (the.range, the.tilt_db, the.phonemes[0].pitch_st) == (0.5, 0.0, 1.0)


def test_pitch_in_hertz_is_against_the_voices_own() -> None:
    first, _ = both(performer(whole(pitch_hz=240.0), pivot_hz=120.0, extreme=True))
    assert first.words[0].phonemes[0].pitch_st == 12
    first, _ = both(performer(whole(pitch_delta_hz=-60.0), pivot_hz=120.0, extreme=True))
    assert first.words[0].phonemes[0].pitch_st == -12


def test_more_pitch_than_allowed_is_limited_and_noted() -> None:
    given = performer(whole(pitch_st=7.0), Stretch(0, 4, Style(pitch_st=5.0)))
    first, _ = both(given)
    assert first.words[0].phonemes[0].pitch_st == 8.0
    assert given.limited
    assert (
        both(performer(whole(pitch_st=12.0), extreme=True))[0].words[1].phonemes[0].pitch_st == 12
    )


@pytest.mark.parametrize("emphasis", ["reduced", "moderate", "strong"])
def test_emphasis_is_in_length_pitch_and_level(emphasis: Any) -> None:
    accent = EMPHASIS[emphasis]
    for asks in (Style(emphasis=emphasis), Span(start=9, end=16, emphasis=emphasis)):
        first, _ = both(performer(Stretch(9, 16, asks)))
        h, vowel, *rest = first.words[2].phonemes
        assert vowel.duration_ms == pytest.approx(100 * accent.vowel_scale)
        assert {p.duration_ms for p in (h, *rest)} == {100.0}
        assert {(p.pitch_st, p.energy_db) for p in (h, vowel, *rest)} == {
            (accent.shape.pitch_st, accent.shape.energy_db)
        }
        assert first.words[1] == FIRST.words[1]


def test_the_innermost_emotion_wins() -> None:
    given = performer(
        Stretch(0, len(TEXT), Delivery(emotion="sad")),
        Stretch(18, 21, Style(emotion="whispered", intensity=1.0)),
    )
    first, second = both(given)
    sad = EMOTIONS["sad"].shape
    assert first.words[0].phonemes[0].pitch_st == sad.pitch_st
    assert first.words[0].breathiness == sad.breathiness
    assert (first.words[0].whisper, first.words[3].whisper) == (0.0, 1.0)
    assert first.words[3].phonemes[0].pitch_st == 0.0
    assert durations(first.words[0]) == of(*[100 / sad.rate] * 4)
    assert first.words[2].pause_ms == pytest.approx(200 * sad.pause_scale / sad.rate, abs=1e-3)
    assert first.jitter_st == second.jitter_st == sad.jitter_st


def test_a_contour_runs_through_its_stretch_in_time() -> None:
    given = performer(Stretch(0, 16, Style(pitch_st=((0.0, 0.0), (1.0, 2.2)))))
    assert given.needs_whole
    first, _ = given.perform([FIRST, SECOND], None)
    pitches = [p.pitch_st for w in first.words[:3] for p in w.phonemes]
    assert pitches == of(*((i + 0.5) * 0.2 for i in range(11)))
    assert first.words[3].phonemes[0].pitch_st == 0


def test_a_stretch_lasts_as_long_as_it_is_asked_to() -> None:
    given = performer(Stretch(0, 16, Style(duration_s=2.0)))
    first, _ = given.perform([FIRST, SECOND], None)
    said = sum(d for w in first.words[:3] for d in durations(w))
    assert said + first.words[0].pause_ms + first.words[1].pause_ms == pytest.approx(2000, abs=0.1)
    assert first.words[2].pause_ms == 200
    assert first.words[3] == FIRST.words[3]


def test_a_pause_is_all_of_the_silence_at_its_place() -> None:
    events = (Pause(5, length_s=0.3), Pause(17, length_s=0.05), Pause(25, strength="medium"))
    first, second = both(performer(events=events))
    assert [w.pause_ms for w in first.words] == [300, 0, 50, 120]
    assert [w.pause_ms for w in second.words] == [500, 0, 0]


def test_a_pause_between_sentences_counts_what_the_model_leaves_there() -> None:
    given = performer(events=(Pause(22, length_s=1.0),))
    first, second = both(given)
    assert given.pause_ms(first, second, 0.2) == 1000 - 120 - 30 - 50
    assert performer().pause_ms(FIRST, SECOND, 0.2) == 200


def test_pauses_at_the_edges_of_the_line() -> None:
    first, second = both(performer(events=(Pause(0, length_s=0.5), Pause(32, length_s=0.4))))
    assert first.lead_ms == 500
    assert second.pause_ms == 400 - 30


def test_a_breath_adds_its_time_to_the_pause() -> None:
    first, second = both(performer(events=(Breath(16), Breath(22))))
    assert (first.words[2].breath, first.words[2].pause_ms) == (True, 200 + BREATH_MS)
    assert (second.breath, second.lead_ms) == (True, 50 + BREATH_MS)
    assert not any(w.breath for w in (*first.words[:2], *second.words))


def test_breaths_of_their_own_come_at_phrase_borders_after_a_while() -> None:
    slow = sentence(*(w.model_copy(update={"pause_ms": 150.0}) for w in FIRST.words))
    given = performer(whole(rate=1.0), breaths="auto")
    long = [p for _ in range(3) for p in given.perform([slow], 23)]
    assert sum(w.breath for s in long for w in s.words) + sum(s.breath for s in long) == 1


def test_names_are_those_of_the_word_they_stand_before() -> None:
    events = (Bookmark(0, "a"), Bookmark(16, "b"), Bookmark(22, "c"), Bookmark(32, "d"))
    first, second = both(performer(events=events))
    assert [w.marks for w in first.words] == [("a",), (), (), ("b",)]
    assert second.words[0].marks == ("c",)
    assert second.marks == ("d",)
