"""Energy, tilt, limiter: as many dB as asked, no clicks, nothing done where nothing is needed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vowels import spoken

from voicesvc.audio import Pcm
from voicesvc.dsp import Controls, Curve, Limiter, Shaper
from voicesvc.dsp.levels import CEILING_DB

RATE_HZ = 22050
CEILING = 10 ** (CEILING_DB / 20)


def shape(pcm: Pcm, controls: Controls, rate_hz: int = RATE_HZ) -> Pcm:
    return Shaper(controls, rate_hz, seed=0).feed(pcm)


def tone(freq_hz: float, rate_hz: int, level: float = 0.2) -> Pcm:
    t = np.arange(rate_hz) / rate_hz
    return (level * np.sin(2 * np.pi * freq_hz * t)).astype(np.float32)


def change_db(before: Pcm, after: Pcm) -> float:
    inner = slice(len(before) // 4, -len(before) // 4)
    return float(20 * np.log10(after[inner].std() / before[inner].std()))


@pytest.mark.parametrize("asked_db", [-12, -3, 2, 6])
def test_energy(asked_db: float) -> None:
    pcm = spoken(120, RATE_HZ)
    out = shape(pcm, Controls(energy_db=Curve.constant(asked_db)))
    assert change_db(pcm, out) == pytest.approx(asked_db, abs=0.01)


def test_a_step_of_energy_is_no_click() -> None:
    pcm = np.full(RATE_HZ, 0.5, np.float32)
    half = RATE_HZ / 2
    step = Curve(np.array([half, half]), np.array([0.0, -20.0]))
    out = shape(pcm, Controls(energy_db=step))
    assert np.abs(np.diff(out)).max() < 0.005
    np.testing.assert_array_equal(out[: RATE_HZ // 2 - 200], pcm[: RATE_HZ // 2 - 200])


@pytest.mark.parametrize("rate_hz", [16000, 22050, 48000])
@pytest.mark.parametrize("asked_db", [-6, -3, 3, 6])
def test_tilt_is_a_shelf(asked_db: float, rate_hz: int) -> None:
    controls = Controls(tilt_db=Curve.constant(asked_db))
    for freq_hz, expected_db, within in ((150, 0, 0.2), (1500, asked_db / 2, 0.6),
                                         (7000, asked_db, 0.5)):  # fmt: skip
        pcm = tone(freq_hz, rate_hz)
        out = shape(pcm, controls, rate_hz)
        assert change_db(pcm, out) == pytest.approx(expected_db, abs=within), freq_hz


def test_where_tilt_returns_to_nothing_the_input_does() -> None:
    pcm = spoken(120, RATE_HZ)
    bump = Curve(np.array([0.4, 0.5, 0.6]) * RATE_HZ, np.array([0.0, 6.0, 0.0]))
    out = shape(pcm, Controls(tilt_db=bump))
    changed = np.flatnonzero(out != pcm) / RATE_HZ
    assert 0.39 < changed[0] < changed[-1] < 0.61


def limited(pcm: Pcm, rate_hz: int = RATE_HZ, cuts: tuple[int, ...] = ()) -> Pcm:
    limiter = Limiter(rate_hz)
    return np.concatenate([*(limiter.feed(p) for p in np.split(pcm, cuts)), limiter.flush()])


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(0, 8000), max_size=20), gain=st.floats(0, 8))
def test_limiter_chunked_is_whole_and_within(cuts: list[int], gain: float) -> None:
    pcm = (gain * np.random.default_rng(2).normal(0, 0.3, 8000)).astype(np.float32)
    whole = limited(pcm)
    assert len(whole) == len(pcm)
    assert np.abs(whole).max() <= CEILING + 1e-6
    np.testing.assert_array_equal(limited(pcm, cuts=tuple(sorted(cuts))), whole)


def test_limiter_leaves_what_fits() -> None:
    pcm = spoken(120, RATE_HZ)
    np.testing.assert_array_equal(limited(pcm), pcm)


def test_limiter_acts_only_around_a_peak_and_without_steps() -> None:
    pcm = tone(100, RATE_HZ, 0.5)
    pcm[RATE_HZ // 2 : RATE_HZ // 2 + 300] *= 3
    out = limited(pcm)
    changed = np.flatnonzero(out != pcm) / RATE_HZ
    assert 0.5 - 0.011 < changed[0] < changed[-1] < 0.5 + 0.014 + 0.031
    quiet = np.abs(pcm) > 0.05
    gain = out[quiet] / pcm[quiet]
    assert gain.max() <= 1.0
    assert np.abs(np.diff(gain)).max() < 0.05
