"""Deliveries: what may be asked, what an emotion does, and how stretches add up."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from voicesvc.delivery import (
    EMOTIONS,
    EMPHASIS,
    LIMITS,
    Delivery,
    Emotion,
    Layer,
    Shape,
    Span,
    check,
    compose,
    emotions_of,
    place_of,
    rows_of,
    shape_at,
    shape_of,
    source_of,
    within,
)
from voicesvc.directions import EMOTION_NAMES, Style
from voicesvc.errors import InvalidRequest
from voicesvc.manifest import Change, EmotionOverride

F0_HZ = 100.0
EMOTION: TypeAdapter[Any] = TypeAdapter(Emotion)
shares = st.floats(0.0, 1.0, allow_nan=False)
shapes = st.builds(
    Shape,
    rate=st.floats(0.5, 2.0),
    pause_scale=st.floats(0.1, 4.0),
    pitch_st=st.floats(-4.0, 8.0),
    range=st.floats(0.25, 2.5),
    energy_db=st.floats(-24.0, 12.0),
    tilt_db=st.floats(-12.0, 12.0),
    breathiness=shares,
    whisper=shares,
    jitter_st=shares,
)


def close(a: Shape, b: Shape) -> bool:
    names = Shape.__dataclass_fields__
    return all(math.isclose(getattr(a, n), getattr(b, n), abs_tol=1e-9) for n in names)


def asked(**fields: Any) -> Delivery:
    return Delivery.model_validate_json(json.dumps(fields))


def emotion(value: Any) -> Any:
    return EMOTION.validate_python(value)


# -- what may be asked -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"emotion": "angry-cold"},
        {"emotion": {"name": "sad", "intensity": 0.6}},
        {"emotion": {"angry": 0.7, "fearful": 0.3}},
        {"emotion": {"valence": -0.4, "arousal": 0.2, "dominance": 0}},
        {"rate": 1, "pitch_st": [[0, 1], [0.5, -2.5], [1, 0]], "range": 0, "energy_db": -24},
        {"variability": {"sound": 0, "timing": 1.5}, "breaths": "auto", "room_tone": True},
        {"spans": [{"start": 0, "end": 4, "emphasis": "strong", "emotion": "sad", "rate": 0.9}]},
    ],
)
def test_a_delivery_round_trips(fields: dict[str, Any]) -> None:
    delivery = asked(**fields)
    assert Delivery.model_validate(fields) == delivery  # as FastAPI reads a body
    assert Delivery.model_validate_json(delivery.model_dump_json()) == delivery


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"emotion": "sadly"}, "emotion"),
        ({"emotion": 3}, "emotion"),
        ({"emotion": {}}, "emotion"),
        ({"emotion": {"intensity": 0.5}}, "emotion.name"),
        ({"emotion": {"name": "sad", "intensity": 2.1}}, "emotion.intensity"),
        ({"emotion": {"angry": 0.8, "fearful": 0.3}}, "emotion"),
        ({"emotion": {"angery": 0.8}}, "emotion.angery.[key]"),
        ({"emotion": {"valence": -1.1}}, "emotion.valence"),
        ({"emotion": {"valence": 0, "sad": 1}}, "emotion.sad"),
        ({"rate": 2.1}, "rate"),
        ({"rate": True}, "rate"),
        ({"pitch_st": 12.5}, "pitch_st"),
        ({"pitch_st": [[0, 1]]}, "pitch_st"),
        ({"pitch_st": [[0.5, 1], [0.5, 2]]}, "pitch_st"),
        ({"range": [[0, 1], [1, 2.6]]}, "range.1.1"),
        ({"energy_db": [[0, 1], [1.5, 2]]}, "energy_db.1.0"),
        ({"tilt_db": [[0, 1], [1, 2]]}, "tilt_db"),
        ({"tilt": 1.0}, "tilt"),
        ({"variability": {"sound": 1.6}}, "variability.sound"),
        ({"breaths": "some"}, "breaths"),
        ({"spans": [{"start": 0}]}, "spans.0.end"),
        ({"spans": [{"start": 0, "end": 1, "emphasis": "very"}]}, "spans.0.emphasis"),
        ({"spans": [{"start": 0, "end": 1, "extreme": True}]}, "spans.0.extreme"),
    ],
)
def test_what_is_refused_and_where(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError) as refused:
        asked(**fields)
    assert place_of(refused.value.errors()[0]["loc"]) == where


def test_no_number_is_endless() -> None:
    for name in ("rate", "pitch_st", "range", "energy_db", "tilt_db", "breathiness", "pause_scale"):
        for value in (math.nan, math.inf):
            with pytest.raises(ValidationError):
                Delivery.model_validate({name: value})


def test_every_field_says_what_it_is() -> None:
    schema = Delivery.model_json_schema()
    models = [schema, *(d for d in schema["$defs"].values() if d.get("type") == "object")]
    for model in models:
        for name, field in model["properties"].items():
            assert field.get("description"), name


@pytest.mark.parametrize("pitch_st", [-4.5, 8.5, [[0, 0], [1, 9]]])
def test_large_shifts_are_asked_for_explicitly(pitch_st: Any) -> None:
    for fields, where in (
        ({"pitch_st": pitch_st}, "pitch_st"),
        ({"spans": [{"start": 1, "end": 2, "pitch_st": pitch_st}]}, "spans.0.pitch_st"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            check(asked(**fields), 10)
        assert refused.value.where == where
        assert "extreme" in str(refused.value.valid)
        check(asked(extreme=True, **fields), 10)


def test_spans_lie_in_the_text_and_do_not_cross() -> None:
    def spans(*ends: tuple[int, int]) -> Delivery:
        return asked(spans=[{"start": a, "end": b} for a, b in ends])

    check(spans((5, 8), (0, 10), (0, 4), (4, 5), (0, 10), (8, 10)), 10)
    for wrong, index in (((3, 3), 1), ((4, 2), 1), ((5, 11), 1), ((4, 9), 1)):
        with pytest.raises(InvalidRequest) as refused:
            check(spans((0, 5), wrong), 10)
        assert refused.value.where == f"spans.{index}"


# -- the table -------------------------------------------------------------------------------------


def test_the_table_has_every_name_and_says_who_says_so() -> None:
    assert tuple(EMOTIONS) == EMOTION_NAMES
    for name, row in EMOTIONS.items():
        assert bool(row.sources) == (name != "neutral")
        assert (row.shape == Shape()) == (name == "neutral")


@pytest.mark.parametrize("name", EMOTION_NAMES)
def test_a_row_claims_no_side_that_half_of_it_would_not_reach(name: Any) -> None:
    """The spread of lines decides: see docs/decisions.md."""
    shape = EMOTIONS[name].shape
    assert shape.range == 1.0 or abs(math.log(shape.range)) >= 0.44
    assert shape.pitch_st == 0.0 or abs(shape.pitch_st) >= 1.0
    assert shape.energy_db == 0.0 or abs(shape.energy_db) >= 2.0


@pytest.mark.parametrize("name", EMOTION_NAMES)
def test_twice_an_emotion_is_within_the_limits(name: Any) -> None:
    assert not within(shape_of(emotion({"name": name, "intensity": 2.0})), extreme=True)[1]
    assert not within(shape_of(emotion(name)))[1]


@given(st.sampled_from(EMOTION_NAMES), shares, shares)
def test_intensity_goes_from_neutral_to_the_table(name: str, low: float, high: float) -> None:
    low, high = sorted((low, high))
    row = shape_of(emotion(name))
    a, b = (shape_of(emotion({"name": name, "intensity": k})) for k in (low, high))
    for field in Shape.__dataclass_fields__:
        neutral, whole = getattr(Shape(), field), getattr(row, field)
        away = [abs(getattr(s, field) - neutral) for s in (a, b)]
        assert away[0] <= away[1] + 1e-12 <= abs(whole - neutral) + 1e-9
        assert (getattr(b, field) - neutral) * (whole - neutral) >= 0
    assert shape_of(emotion({"name": name, "intensity": 0})) == Shape()


def test_half_a_factor_is_its_root() -> None:
    half = shape_of(emotion({"name": "sad", "intensity": 0.5}))
    assert half.range == pytest.approx(math.sqrt(EMOTIONS["sad"].shape.range))
    assert half.pitch_st == EMOTIONS["sad"].shape.pitch_st / 2


def test_a_mixture_is_weighed() -> None:
    angry, fearful = (EMOTIONS[n].shape for n in ("angry", "fearful"))
    mixed = shape_of(emotion({"angry": 0.7, "fearful": 0.3}))
    assert mixed.energy_db == pytest.approx(0.7 * angry.energy_db + 0.3 * fearful.energy_db)
    assert mixed.rate == pytest.approx(angry.rate**0.7 * fearful.rate**0.3)
    assert close(
        shape_of(emotion({"sad": 0.6})), shape_of(emotion({"name": "sad", "intensity": 0.6}))
    )
    assert close(shape_of(emotion({"neutral": 0.4, "sad": 0.6})), shape_of(emotion({"sad": 0.6})))


def test_places_among_emotions() -> None:
    def at(valence: float, arousal: float, dominance: float) -> Shape:
        return shape_of(emotion({"valence": valence, "arousal": arousal, "dominance": dominance}))

    assert at(0, 0, 0) == Shape()
    for row in EMOTIONS.values():
        if row.place is not None:
            assert close(at(*row.place), row.shape)
    for valence in (-0.6, 0.0, 0.6):
        agitated, calm = at(valence, 0.8, 0.2), at(valence, -0.8, 0.2)
        assert agitated.rate > calm.rate
        assert agitated.pitch_st > calm.pitch_st
        assert agitated.energy_db > calm.energy_db
    assert at(-0.5, 0.6, 0.9).energy_db > 0 > at(-0.6, 0.6, -0.9).energy_db  # anger, fear


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_no_place_is_beyond_the_table(valence: float, arousal: float, dominance: float) -> None:
    value = {"valence": valence, "arousal": arousal, "dominance": dominance}
    assert not within(shape_of(emotion(value)))[1]


def test_a_pack_overrides_only_what_it_names() -> None:
    rows = rows_of({"sad": EmotionOverride(rate=0.9, range=0.5)})
    sad = shape_of(emotion("sad"), rows)
    assert (sad.rate, sad.range) == (0.9, 0.5)
    assert sad.pitch_st == EMOTIONS["sad"].shape.pitch_st
    assert shape_of(emotion("happy"), rows) == EMOTIONS["happy"].shape


def test_where_an_emotion_comes_from_and_how_good_it_is() -> None:
    good = Change(dnsmos_change=-0.1, distillmos_change=-0.2, wer_change=0.0)
    bad = Change(dnsmos_change=-0.31, distillmos_change=-0.2, wer_change=0.0)
    unclear = Change(dnsmos_change=0.0, distillmos_change=0.0, wer_change=0.03)
    assert source_of(None, {}) == {"source": "none", "quality": None}
    assert source_of(emotion("neutral"), {}) == {"source": "none", "quality": None}
    assert source_of(emotion("sad"), {}) == {"source": "prosody", "quality": "good"}
    assert source_of(emotion("whispered"), {})["quality"] == "experimental"
    assert source_of(emotion("whispered"), {"whispered": good})["quality"] == "good"
    for change in (bad, unclear):
        assert source_of(emotion({"sad": 0.5, "happy": 0.2}), {"sad": change}) == {
            "source": "prosody",
            "quality": "experimental",
        }
    told = emotions_of({"sad": EmotionOverride(rate=0.9)}, {"sad": bad})
    assert tuple(told) == EMOTION_NAMES
    assert told["sad"]["rule"]["rate"] == 0.9
    assert told["sad"]["quality"] == "experimental"
    assert told["sad"]["measured"]["dnsmos_change"] == -0.31
    assert told["happy"]["measured"] is None


# -- stretches within one another ------------------------------------------------------------------


@given(shapes, shapes, shapes)
def test_shapes_compose_in_any_grouping(a: Shape, b: Shape, c: Shape) -> None:
    assert close(compose(compose(a, b), c), compose(a, compose(b, c)))
    assert compose(a, Shape()) == compose(Shape(), a) == a


def test_factors_multiply_and_the_rest_adds() -> None:
    layers = [
        Layer(asked(rate=0.8, pitch_st=2, energy_db=-3, breathiness=0.7, pause_scale=0.5)),
        Layer(Span(start=0, end=9, rate=1.5, pitch_st=1.0, breathiness=0.7)),
        Layer(Style(rate=0.5, energy_db=-1.0, range=2.0, tilt_db=1.0, pause_scale=3.0)),
    ]
    whole = Shape(
        0.8 * 1.5 * 0.5, 1.5, 3.0, range=2.0, energy_db=-4.0, tilt_db=1.0, breathiness=1.0
    )
    assert close(shape_at(layers, F0_HZ), whole)


def test_a_contour_is_read_where_the_moment_is() -> None:
    line = asked(pitch_st=[[0.2, 0], [0.6, 4], [1, -2]], rate=[[0, 1], [1, 0.5]])
    for position, pitch_st in ((0.0, 0.0), (0.2, 0.0), (0.4, 2.0), (0.6, 4.0), (0.8, 1.0), (1, -2)):
        shape = shape_at([Layer(line, position)], F0_HZ)
        assert shape.pitch_st == pytest.approx(pitch_st)
        assert shape.rate == pytest.approx(1 - position / 2)


def test_the_innermost_emotion_and_emphasis_are_the_ones_that_count() -> None:
    line = Layer(asked(emotion="sad", pitch_st=1))
    angry = Layer(Span(start=0, end=4, emotion="angry", emphasis="strong"))
    plain = Layer(Style(emotion="neutral", emphasis="none"))
    half = Layer(Style(emotion="happy", intensity=0.5))
    up = Shape(pitch_st=1.0)
    assert close(shape_at([line], F0_HZ), compose(EMOTIONS["sad"].shape, up))
    loud = compose(compose(EMOTIONS["angry"].shape, up), EMPHASIS["strong"].shape)
    assert close(shape_at([line, angry], F0_HZ), loud)
    assert shape_at([line, angry, plain], F0_HZ) == up
    happy = shape_of(emotion({"name": "happy", "intensity": 0.5}))
    assert close(shape_at([line, half], F0_HZ), compose(happy, up))


def test_an_absolute_pitch_wins_over_what_is_around_it() -> None:
    line = Layer(asked(emotion="happy", pitch_st=1))
    octave = Layer(Style(pitch_hz=200.0))
    assert shape_at([line, octave], F0_HZ).pitch_st == pytest.approx(12.0)
    inside = Layer(Style(pitch_st=-2.0))
    assert shape_at([line, octave, inside], F0_HZ).pitch_st == pytest.approx(10.0)
    higher = Layer(Style(pitch_delta_hz=100.0))
    assert shape_at([higher], F0_HZ).pitch_st == pytest.approx(12.0)
    assert shape_at([octave, higher], F0_HZ).pitch_st == pytest.approx(12 * math.log2(3))
    with pytest.raises(InvalidRequest, match="leaves no pitch"):
        shape_at([Layer(Style(pitch_delta_hz=-100.0))], F0_HZ)


@pytest.mark.parametrize("name", list(LIMITS))
def test_too_much_in_sum_is_brought_within_the_limits(name: str) -> None:
    low, high = LIMITS[name]
    for value in (low, high):
        assert within(Shape(**{name: value})) == (Shape(**{name: value}), frozenset())
    for value, kept in ((low - 0.01, low), (high + 0.01, high)):
        assert within(Shape(**{name: value})) == (Shape(**{name: kept}), frozenset({name}))
    assert not within(Shape(pitch_st=12.0), extreme=True)[1]


# -- emphasis --------------------------------------------------------------------------------------


def test_emphasis_has_an_order() -> None:
    levels = [EMPHASIS[e] for e in ("reduced", "none", "moderate", "strong")]
    assert sorted(levels, key=lambda a: a.vowel_scale) == levels
    assert sorted(levels, key=lambda a: a.shape.pitch_st) == levels
    assert sorted(levels, key=lambda a: a.shape.energy_db) == levels
    assert EMPHASIS["none"].shape == Shape()
