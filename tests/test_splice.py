"""Joining two renderings: what is kept is kept to the bit, and nothing clicks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicesvc.audio import Pcm
from voicesvc.splice import FADE_S, SEARCH_S, Part, fitted, joined

RATE_HZ = 22050
FADE = round(FADE_S * RATE_HZ)


def sine(n: int, f0_hz: float, phase: float = 0.0) -> Pcm:
    t = np.arange(n) / RATE_HZ
    return (0.5 * np.sin(2 * np.pi * f0_hz * t + phase)).astype(np.float32)


KEPT = sine(20_000, 150.0)
NEW = sine(20_000, 150.0, 1.9)  # the same sound at another phase


def test_kept_parts_have_their_samples() -> None:
    parts = [Part("kept", 0, 5000), Part("new", 5000, 9000), Part("kept", 8000, 20_000)]
    out = joined(parts, KEPT, NEW, RATE_HZ)
    assert len(out) == 5000 + 4000 + 12_000
    assert np.array_equal(out[:5000], KEPT[:5000])
    assert np.array_equal(out[9000:], KEPT[8000:])
    inner = slice(5000 + FADE, 9000 - FADE)
    assert np.array_equal(out[inner], NEW[inner])


def test_joints_are_put_where_the_waveforms_go_on() -> None:
    parts = [Part("kept", 0, 5000), Part("new", 5000, 9000), Part("kept", 8000, 20_000)]
    placed = fitted(parts, KEPT, NEW, RATE_HZ)
    assert placed != parts
    assert [p for p in placed if p.source == "kept"] == [parts[0], parts[2]]
    for was, is_ in zip(parts, placed, strict=True):
        assert abs(is_.begin - was.begin) <= SEARCH_S * RATE_HZ
        assert abs(is_.end - was.end) <= SEARCH_S * RATE_HZ

    def worst(given: list[Part]) -> float:
        """The second difference, which a sine has little of and a jump much."""
        return float(np.abs(np.diff(joined(given, KEPT, NEW, RATE_HZ), 2)).max())

    smooth = float(np.abs(np.diff(KEPT, 2)).max())
    assert worst(placed) < 1.3 * smooth


def test_what_is_taken_out_leaves_no_click() -> None:
    parts = [Part("kept", 0, 5000), Part("kept", 9037, 20_000)]
    out = joined(parts, KEPT, NEW, RATE_HZ)
    assert np.array_equal(out[:5000], KEPT[:5000])
    assert np.array_equal(out[5000 + FADE :], KEPT[9037 + FADE :])
    assert np.abs(np.diff(out)).max() < 2 * np.abs(np.diff(KEPT)).max()


@pytest.mark.parametrize("n", [0, 1, 2, FADE, 2 * FADE + 1])
def test_short_new_part_is_joined(n: int) -> None:
    parts = [Part("kept", 0, 3000), Part("new", 100, 100 + n), Part("kept", 3000, 6000)]
    out = joined(fitted(parts, KEPT, NEW, RATE_HZ), KEPT, NEW, RATE_HZ)
    assert len(out) == 6000 + n
    assert np.isfinite(out).all()
    assert np.array_equal(out[3000 + n :], KEPT[3000:6000])


def test_silence_is_joined_where_it_is() -> None:
    still = np.zeros(20_000, np.float32)
    parts = [Part("kept", 0, 5000), Part("new", 5000, 9000), Part("kept", 8000, 20_000)]
    assert fitted(parts, still, still, RATE_HZ) == parts


@given(st.lists(st.tuples(st.integers(0, 8000), st.integers(0, 9000)), min_size=1, max_size=6))
def test_any_parts_are_as_long_as_they_say(ranges: list[tuple[int, int]]) -> None:
    parts: list[Part] = []
    for i, (begin, length) in enumerate(ranges):
        parts.append(Part("kept" if i % 2 else "new", begin, begin + length))
    placed = fitted(parts, KEPT, NEW, RATE_HZ)
    out = joined(placed, KEPT, NEW, RATE_HZ)
    assert len(out) == sum(p.samples for p in placed)
    assert np.abs(out).max(initial=0) <= 0.5 + 1e-6
