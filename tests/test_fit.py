"""Fitting a line to a length: exactly that length, and stretched as speech is."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from test_lineplan import document

from voicesvc.errors import CannotFit
from voicesvc.fit import Fit, fit
from voicesvc.lineplan import SentencePlan, length_of
from voicesvc.stretch import elasticity, stretched_by

LINE = list(document().sentences)


def made_ms(line: Any) -> float:
    """As if frames of 11.6 ms were whole for each phoneme, as they are in an engine."""
    frame_ms = 256 / 22.05
    frames = sum(round(p.duration_ms / frame_ms) for s in line for w in s.words for p in w.phonemes)
    silence = sum(s.lead_ms + s.tail_ms + s.pause_ms for s in line)
    return float(frames * frame_ms + silence + sum(w.pause_ms for s in line for w in s.words))


@given(st.floats(0.62, 1.68))
def test_the_length_is_met_and_the_rest_is_silence(factor: float) -> None:
    natural_ms = made_ms(LINE)
    seconds = round(natural_ms * factor / 1000, 4)
    done, target_s, report = fit(LINE, Fit(seconds=seconds), made_ms)
    assert target_s == Fraction(str(seconds))
    assert made_ms(done) == pytest.approx(seconds * 1000, abs=1e-3)
    assert report is not None
    assert report.stretch == pytest.approx(seconds * 1000 / natural_ms)
    order = [report.pauses, report.vowels, report.consonants, 1.0]
    assert order == sorted(order, reverse=report.vowels > 1)


def test_pauses_give_way_first_then_vowels_then_consonants() -> None:
    (sentence,) = stretched_by(LINE, 0.2)
    so, was = sentence.words[0], LINE[0].words[0]
    consonant, vowel = (
        a.duration_ms / b.duration_ms for a, b in zip(so.phonemes, was.phonemes, strict=True)
    )
    assert 1 < consonant < vowel < sentence.pause_ms / LINE[0].pause_ms
    assert elasticity("ˈoː") > elasticity("s") > 0
    assert elasticity(" ") > elasticity("ˈoː")
    assert stretched_by(LINE, 0.0) == LINE


@pytest.mark.parametrize("factor", [0.59, 1.71])
def test_beyond_the_limits_it_says_what_is_natural(factor: float) -> None:
    natural_s = made_ms(LINE) / 1000
    wanted = Fit(seconds=natural_s * factor)
    with pytest.raises(CannotFit, match=f"natural {natural_s:.3f} s"):
        fit(LINE, wanted, made_ms)
    wider = wanted.model_copy(update={"limits": (0.5, 2.0)})
    assert made_ms(fit(LINE, wider, made_ms)[0]) == pytest.approx(
        natural_s * factor * 1000, abs=1e-3
    )


def test_bounds_leave_alone_what_is_within_them() -> None:
    natural_s = made_ms(LINE) / 1000
    assert fit(LINE, Fit(max_seconds=natural_s + 0.1), made_ms) == (LINE, None, None)
    assert fit(LINE, Fit(min_seconds=natural_s - 0.1), made_ms) == (LINE, None, None)
    for wanted in (Fit(max_seconds=0.7), Fit(min_seconds=0.9)):
        done, target_s, report = fit(LINE, wanted, made_ms)
        assert target_s is not None
        assert report is not None
        assert made_ms(done) == pytest.approx(float(target_s * 1000), abs=1e-3)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"seconds": 2.4}, Fraction(12, 5)),
        ({"samples": 115200, "at_hz": 48000}, Fraction(12, 5)),
        ({"samples": 115201, "at_hz": 48000}, Fraction(115201, 48000)),
        ({"frames": 60, "fps": "24000/1001"}, Fraction(1001, 400)),
        ({"frames": 60, "fps": 23.976}, Fraction(1001, 400)),
        ({"frames": 50, "fps": 25}, Fraction(2)),
        ({"frames": 50, "fps": 25.0}, Fraction(2)),
    ],
)
def test_lengths_are_exact(wanted: dict[str, Any], expected: Fraction) -> None:
    target_s = Fit(**wanted).target(Fraction(3))
    assert target_s == expected
    length = length_of(expected)
    assert Fraction(length.samples, length.at_hz) == expected


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"seconds": 1, "frames": 24, "fps": 24},
        {"seconds": 1, "max_seconds": 2},
        {"samples": 100},
        {"at_hz": 48000, "seconds": 1},
        {"frames": 60, "fps": "24000/0"},
        {"frames": 60, "fps": "fast"},
        {"frames": 60, "fps": -24},
        {"frames": 60, "fps": 24.5},
        {"seconds": 0},
        {"seconds": float("nan")},
        {"seconds": "2.4"},
        {"max_seconds": 1, "min_seconds": 2},
        {"seconds": 1, "limits": [1.2, 1.7]},
        {"seconds": 1, "tolerance": 1},
    ],
)
def test_what_is_no_length_is_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Fit(**wanted)


def test_what_cannot_be_shorter_is_refused() -> None:
    def stubborn(line: list[SentencePlan]) -> float:
        return 1000.0

    with pytest.raises(CannotFit, match="as short as it can be"):
        fit(LINE, Fit(seconds=0.7), stubborn)
