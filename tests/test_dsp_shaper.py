"""Shaping a sentence: untouched where nothing is asked, the same however it is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicesvc.audio import Pcm
from voicesvc.dsp import Controls, Curve, Shaper


def voice(f0_hz: float, rate_hz: int, length_s: float = 1.0) -> Pcm:
    """Pulses through three formants, silence around: a vowel without breath."""
    n = round(length_s * rate_hz)
    f0 = np.full(n, f0_hz)
    f0[: n // 5] = f0[-n // 5 :] = 0.0
    phase = np.cumsum(f0 / rate_hz)
    pulses = np.diff(np.floor(phase), prepend=0.0)
    out = np.zeros(n)
    t = np.arange(round(0.03 * rate_hz)) / rate_hz
    for formant_hz, width_hz, level in ((600, 80, 1.0), (1400, 100, 0.5), (2600, 150, 0.3)):
        ring = np.exp(-np.pi * width_hz * t) * np.sin(2 * np.pi * formant_hz * t)
        out += level * np.convolve(pulses, ring)[:n]
    return (0.3 * out / np.abs(out).max()).astype(np.float32)


def shape(pcm: Pcm, controls: Controls, rate_hz: int, cuts: list[int] | None = None) -> Pcm:
    shaper = Shaper(controls, rate_hz, seed=3)
    parts = [shaper.feed(part) for part in np.split(pcm, cuts or [])]
    return np.concatenate([*parts, shaper.flush()])


def test_nothing_asked_is_nothing_done_and_nothing_waited_for() -> None:
    pcm = voice(110, 24000)
    shaper = Shaper(Controls(), 24000, seed=1)
    assert shaper.lookahead_s == 0
    assert shaper.feed(pcm) is pcm
    assert len(shaper.flush()) == 0


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(0, 24000), max_size=30))
@pytest.mark.parametrize("rate_hz", [22050, 24000])
def test_chunked_is_whole(rate_hz: int, cuts: list[int]) -> None:
    pcm = voice(140, rate_hz)
    rise = Curve(np.array([0.3, 0.5, 0.7]) * rate_hz, np.array([0.0, 5.0, 0.0]))
    controls = Controls(pitch_st=rise, range=Curve.constant(1.3), energy_db=rise)
    whole = shape(pcm, controls, rate_hz)
    assert len(whole) == len(pcm)
    np.testing.assert_array_equal(shape(pcm, controls, rate_hz, sorted(cuts)), whole)
