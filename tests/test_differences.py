"""What differs between two plans: every field, words aligned, and what is said of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from voicesvc import differences
from voicesvc.differences import Differences, between
from voicesvc.lineplan import (
    Length,
    LinePlan,
    PhonemePlan,
    SentencePlan,
    VariabilityPlan,
    WordPlan,
)


def word(text: str, start: int, *phonemes: tuple[str, float]) -> WordPlan:
    made = tuple(PhonemePlan(symbol=s, duration_ms=d) for s, d in phonemes or (("a", 100.0),))
    return WordPlan(
        text=text, start=start, end=start + len(text), phonemes=made, after=" ", pause_ms=0.0
    )


def sentence(*words: WordPlan, **changes: Any) -> SentencePlan:
    return SentencePlan(
        **{"seed": 5, "lead_ms": 50.0, "tail_ms": 20.0, "pause_ms": 0.0, "words": words, **changes}
    )


def spoken(text: str, **changes: Any) -> LinePlan:
    """A plan of these words; a bar ends a sentence."""
    at, sentences = 0, []
    for said in text.split(" | "):
        words = []
        for w in said.split():
            words.append(word(w, at))
            at += len(w) + 1
        sentences.append(sentence(*words))
    return line(*sentences, **changes)


def line(*sentences: SentencePlan, **changes: Any) -> LinePlan:
    head = {"actor": "ann", "model_sha256": "ab" * 32, "sample_rate_hz": 22050, "seed": 7}
    return LinePlan(**{**head, "sentences": sentences, **changes})


HARBOUR = word("harbour", 9, ("h", 40.0), ("ˈɑː", 160.0), ("ɹ", 50.0), ("b", 50.0), ("ɚ", 100.0))
HOLD = line(sentence(word("Hold", 0), word("the", 5), HARBOUR), sentence(word("Now", 18)))


def edited(**changes: Any) -> LinePlan:
    """HOLD with *harbour* changed."""
    first = HOLD.sentences[0]
    words = (*first.words[:2], first.words[2].model_copy(update=changes))
    return HOLD.model_copy(
        update={"sentences": (first.model_copy(update={"words": words}), HOLD.sentences[1])}
    )


def lasting(change: Callable[[PhonemePlan], dict[str, Any]]) -> LinePlan:
    """HOLD with every phoneme of *harbour* changed."""
    return edited(
        phonemes=tuple(p.model_copy(update=change(p)) for p in HARBOUR.phonemes),
    )


def test_a_plan_does_not_differ_from_itself() -> None:
    same = between(HOLD, HOLD)
    assert same == Differences((), (), ())
    assert same.same
    assert same.json() == {"same": True, "said": [], "line": [], "sentences": [], "words": []}


def test_a_word_that_lasts_longer_and_is_higher() -> None:
    plan = lasting(lambda p: {"duration_ms": p.duration_ms * 1.3, "pitch_st": 2.0})
    found = between(HOLD, plan)
    assert found.said == ("the line: 120 ms longer", "*harbour*: 120 ms longer, 2 st higher")
    (harbour,) = found.words
    assert (harbour.kind, harbour.text, harbour.before) == ("changed", "harbour", harbour.after)
    assert harbour.after is not None
    assert harbour.after.json() == {"index": 2, "sentence": 0, "word": 2, "start": 9, "end": 16}
    assert [(c.field, c.before, c.after, c.by) for c in harbour.changes] == [
        ("duration_ms", 400.0, 520.0, 120.0),
        ("pitch_st", 0.0, 2.0, 2.0),
    ]
    back = between(plan, HOLD)
    assert back.said == ("the line: 120 ms shorter", "*harbour*: 120 ms shorter, 2 st lower")


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"pause_ms": 80.0}, "pause_ms", "80 ms more pause after it"),
        ({"breath": True}, "breath", "with a breath"),
        ({"range": 1.5}, "range", "intonation wider by 0.5"),
        ({"tilt_db": -3.0}, "tilt_db", "3 dB duller"),
        ({"breathiness": 0.25}, "breathiness", "breathier by 0.25"),
        ({"whisper": 1.0}, "whisper", "whispered more by 1"),
        ({"after": ", "}, "after", '", " after it in place of " "'),
        ({"after": "."}, "after", '"." after it in place of " "'),
        ({"marks": ("x", "y")}, "marks", "marks x, y in place of none"),
        ({"text": "Harbour"}, "text", "in place of harbour"),
    ],
)
def test_every_field_of_a_word(changes: dict[str, Any], field: str, said: str) -> None:
    (found,) = between(HOLD, edited(**changes)).words
    (change,) = found.changes
    assert (change.field, change.said) == (field, said)
    assert change.after == json.loads(json.dumps(changes[field]))


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"duration_ms": 10.0}, "duration_ms", "350 ms shorter"),
        ({"pitch_st": -1.5}, "pitch_st", "1.5 st lower"),
        ({"energy_db": 3.0}, "energy_db", "3 dB louder"),
        ({"symbol": "æ"}, "phonemes", "said æ æ æ æ æ in place of h ˈɑː ɹ b ɚ"),
    ],
)
def test_every_field_of_a_phoneme(changes: dict[str, Any], field: str, said: str) -> None:
    (found,) = between(HOLD, lasting(lambda _: changes)).words
    (change,) = found.changes
    assert (change.field, change.said) == (field, said)


def test_no_field_goes_uncompared() -> None:
    compared = {"text", "pause_ms", "breath", "range", "tilt_db", "breathiness", "whisper"}
    compared |= {"after", "marks", "phonemes"}
    assert set(WordPlan.model_fields) == compared | {"start", "end", "own_pause_ms"}
    assert set(PhonemePlan.model_fields) == {"symbol", "duration_ms", "pitch_st", "energy_db"}


def test_phonemes_that_differ_where_their_mean_does_not() -> None:
    swapped = (("h", 50.0), ("ˈɑː", 150.0), ("ɹ", 50.0), ("b", 50.0), ("ɚ", 100.0))
    plan = edited(phonemes=word("harbour", 9, *swapped).phonemes)
    (found,) = between(HOLD, plan).words
    assert found.said == "*harbour*: phonemes timed otherwise, by up to 10 ms"
    assert found.changes[0].field == "phonemes.duration_ms"
    assert found.changes[0].after == [50.0, 150.0, 50.0, 50.0, 100.0]
    moved = {"ɹ": 2.0, "b": -2.0}  # both last 50 ms
    (found,) = between(HOLD, lasting(lambda p: {"pitch_st": moved.get(p.symbol, 0.0)})).words
    assert found.said == "*harbour*: pitch moves otherwise, by up to 2 st"


def test_a_mean_is_weighted_by_time_and_no_duration_changes_it() -> None:
    high = lasting(lambda p: {"pitch_st": 4.0 if p.symbol == "ˈɑː" else 0.0})
    (found,) = between(HOLD, high).words
    assert found.said == "*harbour*: 1.6 st higher"  # 160 of 400 ms
    slower = high.model_copy(deep=True)
    first = slower.sentences[0]
    longer = tuple(
        p.model_copy(update={"duration_ms": p.duration_ms * (2 if p.symbol == "b" else 1)})
        for p in first.words[2].phonemes
    )
    words = (*first.words[:2], first.words[2].model_copy(update={"phonemes": longer}))
    slower = slower.model_copy(
        update={"sentences": (first.model_copy(update={"words": words}), slower.sentences[1])}
    )
    (found,) = between(high, slower).words
    assert found.said == "*harbour*: 50 ms longer"


def test_words_of_no_length_are_compared_too() -> None:
    silent = lasting(lambda _: {"duration_ms": 0.0})
    loud = lasting(lambda _: {"duration_ms": 0.0, "energy_db": 2.0})
    assert between(silent, loud).said == ("*harbour*: 2 dB louder",)


# -- alignment -----------------------------------------------------------------------------------


def test_a_word_put_in_makes_no_other_word_differ() -> None:
    before = spoken("Hold the harbour until the morning | Now go")
    after = spoken("Hold the old harbour until the morning | Now go")
    found = between(before, after)
    assert found.said == ("the line: 100 ms longer", "*old*: added")
    (old,) = found.words
    assert old.before is None
    assert old.after is not None
    assert (old.after.index, old.after.sentence, old.after.word, old.after.start) == (2, 0, 2, 9)
    assert between(after, before).said == ("the line: 100 ms shorter", "*old*: removed")


def test_a_word_in_place_of_another() -> None:
    found = between(spoken("Hold the port until dawn"), spoken("Hold the harbour until dawn"))
    assert found.said == ("*harbour*: in place of port",)
    assert [w.kind for w in found.words] == ["replaced"]
    longer = found.words[0].json()
    assert (longer["before"]["start"], longer["after"]["end"]) == (9, 16)


def test_many_words_in_place_of_one() -> None:
    found = between(spoken("Hold port now"), spoken("Hold the old harbour now"))
    assert [(w.kind, w.text) for w in found.words] == [
        ("replaced", "the"),
        ("added", "old"),
        ("added", "harbour"),
    ]


def test_small_and_capital_letters_are_the_same_word() -> None:
    found = between(spoken("so it is"), spoken("So it is"))
    assert found.said == ("*So*: in place of so",)
    assert found.words[0].kind == "changed"


def test_a_word_of_another_sound_in_place_of_another_does_not_say_so_twice() -> None:
    before = line(sentence(word("port", 0, ("p", 100.0))))
    after = line(sentence(word("bay", 0, ("b", 140.0))))
    assert between(before, after).words[0].said == "*bay*: 40 ms longer, in place of port"
    assert "phonemes" in [c.field for c in between(before, after).words[0].changes]


# -- line and sentences --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"actor": "bob"}, "actor bob in place of ann"),
        ({"model_sha256": "cd" * 32}, "model cdcdcdcdcdcd… in place of abababababab…"),
        ({"sample_rate_hz": 44100}, "44100 Hz in place of 22050"),
        ({"seed": 2**53 - 1}, "seed 9007199254740991 in place of 7"),
        (
            {"variability": VariabilityPlan(sound=0.5)},
            "variability sound 0.5, timing 1 in place of sound 1, timing 1",
        ),
        ({"pivot_hz": 110.5}, "range about 110.5 Hz in place of 120"),
        ({"room_tone": True}, "with room tone"),
        ({"style": {"sad": 0.5}}, "style sad 0.5 in place of none"),
        ({"extreme": True}, "large shifts of pitch are meant"),
        ({"length": Length(samples=52920, at_hz=22050)}, "length 2.4 s in place of none"),
    ],
)
def test_every_field_of_the_line(changes: dict[str, Any], said: str) -> None:
    found = between(HOLD, HOLD.model_copy(update=changes))
    assert found.said == (f"the line: {said}",)
    (change,) = found.line
    assert change.field in changes
    json.dumps(found.json())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 6}, "seed 6 in place of 5"),
        ({"lead_ms": 10.0}, "40 ms less silence before it"),
        ({"tail_ms": 30.0}, "10 ms more silence at its end"),
        ({"pause_ms": 200.0}, "200 ms more pause after it"),
        ({"breath": True}, "with a breath"),
        ({"jitter_st": 0.1}, "0.1 st more jitter"),
        ({"marks": ("end",)}, "marks end in place of none"),
    ],
)
def test_every_field_of_a_sentence(changes: dict[str, Any], said: str) -> None:
    second = HOLD.sentences[1].model_copy(update=changes)
    found = between(HOLD, HOLD.model_copy(update={"sentences": (HOLD.sentences[0], second)}))
    assert found.said[-1] == f"sentence 2: {said}"
    (sentence,) = found.sentences
    assert (sentence.before, sentence.after) == (1, 1)
    assert sentence.json()["changes"][0]["field"] in changes


def test_no_field_of_line_and_sentence_goes_uncompared() -> None:
    head = {"actor", "model_sha256", "sample_rate_hz", "seed", "variability", "pivot_hz"}
    head |= {"room_tone", "extreme", "length", "style", "language"}
    assert set(LinePlan.model_fields) == head | {"version", "sentences"}  # one version is read
    said = {"seed", "lead_ms", "tail_ms", "pause_ms", "breath", "jitter_st", "marks"}
    assert set(SentencePlan.model_fields) == said | {"words"}


def test_seeds_of_sentences_follow_the_lines() -> None:
    other = tuple(s.model_copy(update={"seed": 9}) for s in HOLD.sentences)
    found = between(HOLD, HOLD.model_copy(update={"seed": 8, "sentences": other}))
    assert found.said == ("the line: seed 8 in place of 7",)


def test_a_sentence_put_before_others_leaves_them_as_they_are() -> None:
    before, after = spoken("Hold on | Now go"), spoken("Wait there | Hold on | Now go")
    found = between(before, after)
    assert found.sentences == ()
    assert found.said[0] == "the line: 3 sentences in place of 2"
    assert [(w.kind, w.text) for w in found.words] == [("added", "Wait"), ("added", "there")]


def test_numbers_are_said_to_three_figures() -> None:
    found = between(HOLD, edited(pause_ms=11.6099))
    assert found.words[0].said == "*harbour*: 11.6 ms more pause after it"
    assert found.words[0].changes[0].by == 11.6099
    assert between(HOLD, edited(pause_ms=12345.0)).words[0].said.startswith("*harbour*: 12300 ms")


def test_every_kind_of_number_has_words_for_more_and_less() -> None:
    numbers = set(differences._NUMBERS) - {"duration_ms"}
    fields: set[str] = set()
    for record in (WordPlan, SentencePlan, PhonemePlan):
        for name, field in record.model_fields.items():
            if str(field.annotation) in ("<class 'float'>",) and name != "duration_ms":
                fields.add(name)
    assert fields == numbers
