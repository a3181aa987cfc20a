"""Shaping: untouched where nothing is asked, whole however cut, local, and as much as asked."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter1d
from vowels import praat_f0, praat_formants, spoken, vowel

from voicesvc.audio import Pcm
from voicesvc.dsp import ZONE_MS, Controls, Curve, Shaper, track

RATE_HZ = 22050


def curve(*points: tuple[float, float], rate_hz: int = RATE_HZ) -> Curve:
    """From pairs of seconds and value."""
    at, value = zip(*points, strict=True)
    return Curve(np.array(at) * rate_hz, np.array(value, float))


def shape(pcm: Pcm, controls: Controls, rate_hz: int = RATE_HZ, cuts: tuple[int, ...] = ()) -> Pcm:
    shaper = Shaper(controls, rate_hz, seed=3)
    parts, fed, given = [], 0, 0
    for part in np.split(pcm, cuts):
        parts.append(shaper.feed(part))
        fed += len(part)
        given += len(parts[-1])
        assert fed - given <= shaper.lookahead_samples
    return np.concatenate([*parts, shaper.flush()])


def moved_cents(before: Pcm, after: Pcm, rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Praat's times at which both are voiced, and by how much f0 was moved there."""
    times, old = praat_f0(before, rate_hz)
    _, new = praat_f0(after, rate_hz, floor_hz=45, ceiling_hz=900)
    new = np.interp(times, _, new)
    both = (old > 0) & (new > 40)
    return times[both], 1200 * np.log2(new[both] / old[both])


EVERYTHING = Controls(
    pitch_st=curve((0.1, 0), (0.3, 5), (0.5, 0), (0.7, 0), (0.9, -4)),
    range=curve((0.6, 1), (0.7, 1.5)),
    energy_db=curve((0.2, 0), (0.4, -6)),
    tilt_db=curve((0.2, 0), (0.4, 4), (0.6, -4)),
    breathiness=curve((0.3, 0), (0.5, 0.6)),
    whisper=curve((0.8, 0), (0.9, 1)),
    jitter_st=0.2,
)
LEVELS = Controls(energy_db=EVERYTHING.energy_db, tilt_db=EVERYTHING.tilt_db)


def test_nothing_asked_is_nothing_done_and_nothing_waited_for() -> None:
    shaper = Shaper(Controls(), RATE_HZ, seed=1)
    pcm = spoken(110, RATE_HZ)
    assert shaper.lookahead_s == 0
    assert shaper.feed(pcm) is pcm
    assert len(shaper.flush()) == 0


@settings(max_examples=12)
@given(cuts=st.lists(st.integers(0, 26460), max_size=30))
@pytest.mark.parametrize("controls", [EVERYTHING, LEVELS])
def test_chunked_is_whole(controls: Controls, cuts: list[int]) -> None:
    pcm = spoken(140, RATE_HZ)
    whole = shape(pcm, controls)
    assert len(whole) == len(pcm)
    assert whole.dtype == np.float32
    chunked = shape(pcm, controls, cuts=tuple(sorted(cuts)))
    np.testing.assert_array_equal(chunked, whole)


def test_samples_one_by_one() -> None:
    pcm = spoken(140, RATE_HZ)[:9000]
    cuts = tuple(range(1, 9000))
    np.testing.assert_array_equal(shape(pcm, EVERYTHING, cuts=cuts), shape(pcm, EVERYTHING))


@pytest.mark.parametrize("n", [0, 1, 50, 441, 3000])
def test_short_input(n: int) -> None:
    assert len(shape(vowel(120, RATE_HZ)[:n], EVERYTHING)) == n


def test_threads_do_not_disturb_one_another() -> None:
    pcms = [spoken(f0_hz, RATE_HZ) for f0_hz in (90, 140, 210, 300)]
    alone = [shape(pcm, EVERYTHING) for pcm in pcms]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pcm: shape(pcm, EVERYTHING, cuts=(5000,)), pcms))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_lookahead_is_a_third_of_a_second_at_most() -> None:
    for rate_hz in (16000, 22050, 24000, 48000):
        assert 0 < Shaper(EVERYTHING, rate_hz, seed=0).lookahead_s <= 0.32
    assert Shaper(LEVELS, RATE_HZ, seed=0).lookahead_s == 0


@pytest.mark.parametrize("rate_hz", [24000, 48000])
@pytest.mark.parametrize("f0_hz", [90, 150, 300])
@pytest.mark.parametrize("asked_st", [-4, 3, 8])
def test_pitch_is_moved_as_asked(asked_st: float, f0_hz: float, rate_hz: int) -> None:
    pcm = spoken(f0_hz, rate_hz)
    out = shape(pcm, Controls(pitch_st=Curve.constant(asked_st)), rate_hz)
    _, moved = moved_cents(pcm, out, rate_hz)
    assert len(moved) > 100
    assert np.median(np.abs(moved - 100 * asked_st)) < 10
    change_db = 20 * np.log10(out.std() / pcm.std())
    assert abs(change_db) < 0.3


def test_pitch_follows_a_contour() -> None:
    pcm = vowel(130, RATE_HZ, 1.5)
    rise = curve((0.2, -3), (0.7, 5), (1.3, 1))
    times, moved = moved_cents(pcm, shape(pcm, Controls(pitch_st=rise)), RATE_HZ)
    assert np.median(np.abs(moved - 100 * rise(times * RATE_HZ))) < 10


@pytest.mark.parametrize("asked_st", [-4, 4, 8])
def test_formants_stay(asked_st: float) -> None:
    pcm = vowel(110, RATE_HZ)
    out = shape(pcm, Controls(pitch_st=Curve.constant(asked_st)))
    before, after = praat_formants(pcm, RATE_HZ), praat_formants(out, RATE_HZ)
    assert np.abs(after / before - 1).max() < 0.05


def test_range_is_scaled_about_the_pivot() -> None:
    t = np.arange(round(1.5 * RATE_HZ)) / RATE_HZ
    pcm = vowel(120 * 2 ** (3 * np.sin(4 * np.pi * t) / 12), RATE_HZ, 1.5)
    for asked in (0.5, 1.5, 2.0):
        out = shape(pcm, Controls(range=Curve.constant(asked), pivot_hz=120))
        _, f0 = praat_f0(out, RATE_HZ, floor_hz=60)
        st_ = 12 * np.log2(f0[f0 > 0] / 120)
        assert np.ptp(np.percentile(st_, [2, 98])) / 6 == pytest.approx(asked, rel=0.1)
        assert abs(np.mean(st_)) < 0.3


def test_the_real_voice(joe_pcm: Pcm) -> None:
    for asked_st in (-4, 8):
        out = shape(joe_pcm, Controls(pitch_st=Curve.constant(asked_st)))
        _, moved = moved_cents(joe_pcm, out, RATE_HZ)
        assert np.median(np.abs(moved - 100 * asked_st)) < 10
        assert abs(20 * np.log10(out.std() / joe_pcm.std())) < 0.3


@pytest.mark.parametrize("controls", [
    Controls(pitch_st=Curve.constant(8)),
    Controls(pitch_st=Curve.constant(-4)),
    Controls(range=Curve.constant(2), pivot_hz=90),
    Controls(pitch_st=curve((0.5, 0), (0.5, 5), (0.9, 5), (0.9, -3), (1.4, -3), (1.4, 0))),
])  # fmt: skip
def test_no_clicks(controls: Controls, joe_pcm: Pcm) -> None:
    out = shape(joe_pcm, controls)
    bend = np.abs(np.diff(out, 2))
    around = maximum_filter1d(np.abs(np.diff(joe_pcm, 2)), round(0.03 * RATE_HZ)) + 1e-3
    assert (bend / around).max() < 2


def test_where_nothing_is_asked_the_samples_are_the_inputs(joe_pcm: Pcm) -> None:
    zone = ZONE_MS / 1000
    bump = curve((0.8, 0), (0.85, 4), (1.0, 4), (1.05, 0))
    rest = curve((0.8, 0), (0.85, 0.8), (1.0, 0.8), (1.05, 0))
    controls = Controls(pitch_st=bump, energy_db=bump, tilt_db=bump, breathiness=rest)
    for pcm in (joe_pcm, vowel(80, RATE_HZ, 2.0)):  # the vowel is voiced throughout
        out = shape(pcm, controls)
        changed = np.flatnonzero(out != pcm) / RATE_HZ
        assert len(changed) > 0.2 * RATE_HZ
        assert changed[0] > 0.8 - zone
        assert changed[-1] < 1.05 + zone


def test_a_change_goes_no_further_than_its_voiced_stretch(joe_pcm: Pcm) -> None:
    other = Controls(pitch_st=Curve.constant(3), range=Curve.constant(1.3), jitter_st=0.2)
    bump = Controls(pitch_st=curve((0.5, 3), (0.55, 5), (0.6, 3)), range=other.range, jitter_st=0.2)
    unvoiced_s = np.flatnonzero(track(joe_pcm, RATE_HZ) == 0) * 0.005
    end_s = unvoiced_s[unvoiced_s > 0.6][0]
    before = shape(joe_pcm, other)
    changed = np.flatnonzero(shape(joe_pcm, bump) != before) / RATE_HZ
    assert changed[0] > 0.5 - ZONE_MS / 1000
    assert changed[-1] < end_s + ZONE_MS / 1000
    edited = joe_pcm.copy()
    edited[round(0.5 * RATE_HZ) : round(0.55 * RATE_HZ)] *= 0.5
    changed = np.flatnonzero(shape(edited, other) != before) / RATE_HZ
    assert changed[0] > 0.5 - ZONE_MS / 1000
    assert changed[-1] < end_s + ZONE_MS / 1000


def test_sound_that_comes_later_by_whole_frames_stays_the_same(joe_pcm: Pcm) -> None:
    def shaped(pcm: Pcm) -> Pcm:
        controls = Controls(pitch_st=Curve.constant(3), breathiness=Curve.constant(0.5))
        shaper = Shaper(controls, RATE_HZ, seed=1, grid_samples=128)
        return np.concatenate([shaper.feed(pcm), shaper.flush()])

    late = np.concatenate([np.zeros(3 * 256, np.float32), joe_pcm])
    np.testing.assert_allclose(shaped(late)[3 * 256 :], shaped(joe_pcm), atol=1e-5)


def test_jitter_roughens_without_moving_the_pitch() -> None:
    pcm = vowel(120, RATE_HZ)
    _, moved = moved_cents(pcm, shape(pcm, Controls(jitter_st=0.4)), RATE_HZ)
    assert abs(np.median(moved)) < 10
    assert np.std(moved) > 3
    assert not np.array_equal(
        shape(pcm, Controls(jitter_st=0.4)),
        np.concatenate(
            [(s := Shaper(Controls(jitter_st=0.4), RATE_HZ, seed=9)).feed(pcm), s.flush()]
        ),
    )


@pytest.mark.parametrize("grid_samples", [0, -5])
def test_a_senseless_grid_is_refused(grid_samples: int) -> None:
    with pytest.raises(ValueError, match="grid"):
        Shaper(EVERYTHING, RATE_HZ, 0, grid_samples)
