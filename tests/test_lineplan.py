"""The plan's document: what it says, what it refuses, and that nothing drifts on the way."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_plan import SO_IT

from voicesvc import lineplan
from voicesvc.errors import BadPlan
from voicesvc.lineplan import LinePlan, describe, read, words_of

FRAME_MS = 256 / 22.05
HEAD = {
    "actor": "ann",
    "model_sha256": "ab" * 32,
    "sample_rate_hz": 22050,
    "seed": 7,
}


def document(**changes: Any) -> LinePlan:
    return LinePlan(**{**HEAD, "sentences": (describe(SO_IT, 200.0),), **changes})


def test_a_sentence_is_described_word_by_word() -> None:
    said = describe(SO_IT, 200.0)
    assert [w.text for w in said.words] == ["so", "it"]
    assert (said.seed, said.pause_ms) == (1, 200.0)
    assert said.lead_ms == pytest.approx(5 * FRAME_MS, abs=1e-3)
    assert said.tail_ms == pytest.approx(9 * FRAME_MS, abs=1e-3)
    so, it = said.words
    assert [p.symbol for p in so.phonemes] == ["s", "ˈoː"]
    # the space after "so" is nobody's pause
    assert [p.duration_ms / FRAME_MS for p in so.phonemes] == pytest.approx([6, 25], abs=1e-4)
    assert (so.after, so.pause_ms, it.after) == (" ", 0.0, "")
    assert said.duration_ms == pytest.approx(52 * FRAME_MS + 200, abs=1e-2)


def test_a_description_gives_the_words_back() -> None:
    so, it = words_of(describe(SO_IT, 0.0))
    assert (so.text, so.start, so.end, so.phones, so.after) == ("so", 0, 2, tuple("sˈoː"), (" ",))
    assert (it.phones, it.after) == (("ɪ", "t"), ())


@given(
    st.lists(st.floats(0, 9999, allow_nan=False), min_size=3, max_size=3),
    st.floats(-4, 8),
    st.floats(-60, 24),
)
def test_json_does_not_drift(durations: list[float], pitch_st: float, energy_db: float) -> None:
    plain = json.loads(document().model_dump_json())
    phonemes = [p for w in plain["sentences"][0]["words"] for p in w["phonemes"]]
    for p, duration in zip(phonemes, durations, strict=False):
        p |= {"duration_ms": duration, "pitch_st": pitch_st, "energy_db": energy_db}
    once = read(json.dumps(plain))
    assert read(once.model_dump_json()) == once
    assert json.loads(once.model_dump_json()) == json.loads(
        read(json.dumps(plain)).model_dump_json()
    )
    assert once.sentences[0].words[0].phonemes[0].duration_ms == durations[0]


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("version",), 2, "plan.version"),
        (("tempo",), 1, "plan.tempo"),
        (("seed",), -1, "plan.seed"),
        (("seed",), "7", "plan.seed"),
        (("model_sha256",), "x", "plan.model_sha256"),
        (("sentences",), [], "plan.sentences"),
        (("sentences", 0, "words"), [], "plan.sentences.0.words"),
        (("sentences", 0, "words", 0, "pause_ms"), -1, "plan.sentences.0.words.0.pause_ms"),
        (("sentences", 0, "words", 0, "range"), 9, "plan.sentences.0.words.0.range"),
        (
            ("sentences", 0, "words", 0, "phonemes", 0, "duration_ms"),
            float("nan"),
            "plan.sentences.0.words.0.phonemes.0.duration_ms",
        ),
        (
            ("sentences", 0, "words", 0, "phonemes", 0, "energy_db"),
            "loud",
            "plan.sentences.0.words.0.phonemes.0.energy_db",
        ),
        (("sentences", 0, "words", 0, "phonemes", 0, "pitch_st"), 8.5, "plan"),
    ],
)
def test_what_is_no_plan_is_refused_by_place(path: tuple[Any, ...], value: Any, where: str) -> None:
    plain = json.loads(document().model_dump_json())
    at = plain
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(BadPlan) as refused:
        read(json.dumps(plain))
    assert refused.value.where == where


def test_more_pitch_than_usual_has_to_be_meant() -> None:
    plain = json.loads(document().model_dump_json())
    plain["sentences"][0]["words"][0]["phonemes"][0]["pitch_st"] = -9
    with pytest.raises(BadPlan, match="extreme"):
        read(json.dumps(plain))
    assert (
        read(json.dumps(plain | {"extreme": True})).sentences[0].words[0].phonemes[0].pitch_st == -9
    )


SYMBOLS = frozenset("sˈoːɪt ,.")


def test_a_plan_for_others_is_refused_with_what_differs() -> None:
    plan = document()
    lineplan.check(plan, "ann", "ab" * 32, SYMBOLS)
    lineplan.check(plan, None, "ab" * 32, SYMBOLS)
    with pytest.raises(BadPlan) as refused:
        lineplan.check(plan, "bob", "ab" * 32, SYMBOLS)
    assert (refused.value.where, refused.value.valid) == ("plan.actor", ["bob"])
    with pytest.raises(BadPlan, match=r"abababababab.*cdcdcdcdcdcd") as refused:
        lineplan.check(plan, "ann", "cd" * 32, SYMBOLS)
    assert (refused.value.where, refused.value.valid) == ("plan.model_sha256", ["cd" * 32])
    with pytest.raises(BadPlan, match="'ɪ'") as refused:
        lineplan.check(plan, "ann", "ab" * 32, SYMBOLS - {"ɪ"})
    assert refused.value.where == "plan.sentences.0.words.1.phonemes.0.symbol"


@pytest.mark.parametrize("symbols", [["so", "ˈoː"], ["s", "ˈ", "oː"], ["s", "ːˈo"]])
def test_a_phoneme_is_one_sound_with_its_marks(symbols: list[str]) -> None:
    plan = document()
    so = plan.sentences[0].words[0]
    phonemes = tuple(so.phonemes[0].model_copy(update={"symbol": s}) for s in symbols)
    words = (so.model_copy(update={"phonemes": phonemes}),)
    changed = plan.sentences[0].model_copy(update={"words": words})
    with pytest.raises(BadPlan) as refused:
        lineplan.check(document(sentences=(changed,)), "ann", "ab" * 32, SYMBOLS)
    assert refused.value.where == "plan.sentences.0.words.0.phonemes"
