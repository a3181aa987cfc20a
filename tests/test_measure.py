"""What takes measure, against other people's meters and signals whose figures are known."""

import json
import subprocess
import sys
import tracemalloc

import numpy as np
import parselmouth
import pyebur128
import pyloudnorm
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly
from vowels import vowel

from voicesvc.audio import Pcm
from voicesvc.measure import RESOLUTION, Peaks, measure, peaks

JOE_HZ = 22050


def sine(freq_hz: float, level_dbfs: float, length_s: float, rate_hz: int = 48000) -> Pcm:
    """A sine whose peak is at `level_dbfs`."""
    t = np.arange(round(length_s * rate_hz)) / rate_hz
    return np.asarray(10 ** (level_dbfs / 20) * np.sin(2 * np.pi * freq_hz * t), np.float32)


def joined(*parts: Pcm) -> Pcm:
    return np.concatenate(parts)


def still(length_s: float, rate_hz: int = 48000) -> Pcm:
    return np.zeros(round(length_s * rate_hz), np.float32)


# -- loudness ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [16000, 22050, 24000, 44100, 48000, 96000])
def test_a_sine_of_997_hz_is_as_loud_as_the_standard_says(rate_hz: int) -> None:
    # BS.1770-4, annex 1: 0 dBFS in one front channel is -3.01 LKFS.
    found = measure(sine(997, -20 + 0.01, 20, rate_hz), rate_hz)
    assert found.loudness_lufs == pytest.approx(-23.0, abs=0.1)
    assert found.momentary_max_lufs == pytest.approx(-23.0, abs=0.1)
    assert found.short_term_max_lufs == pytest.approx(-23.0, abs=0.1)
    assert found.loudness_range_lu == pytest.approx(0.0, abs=0.1)
    assert found.true_peak_dbtp == pytest.approx(-20.0, abs=0.2)


def test_mono_counts_once() -> None:
    # EBU Tech 3341, case 1, has -23 dBFS in both of two channels: -23 LUFS. One channel has half.
    assert measure(sine(997, -23, 20), 48000).loudness_lufs == pytest.approx(-26.0, abs=0.1)
    twice = pyebur128.R128State(1, 48000, pyebur128.MeasurementMode.MODE_I)
    twice.set_channel(0, pyebur128.ChannelType.DUAL_MONO)
    twice.add_frames(sine(997, -23, 20), 20 * 48000)
    assert pyebur128.get_loudness_global(twice) == pytest.approx(-23.0, abs=0.1)


def test_what_is_10_lu_below_the_rest_does_not_count() -> None:
    # EBU Tech 3341, case 3: 10 s at -36, 60 s at -23, 10 s at -36, in one channel 3 LU less.
    levels = ((-36, 10), (-23, 60), (-36, 10))
    pcm = joined(*(sine(1000, level + 3.01, s) for level, s in levels))
    found = measure(pcm, 48000)
    assert found.loudness_lufs == pytest.approx(-23.0, abs=0.1)


def test_loudness_range_of_two_levels() -> None:
    # EBU Tech 3342, case 1: 20 s at -20, 20 s at -30: 10 LU.
    found = measure(joined(sine(1000, -20, 20), sine(1000, -30, 20)), 48000)
    assert found.loudness_range_lu == pytest.approx(10.0, abs=1.0)


def test_maxima_are_of_the_loudest_moment() -> None:
    # 0.5 s at -20 dBFS in the middle of 10 s at -40.
    pcm = joined(sine(1000, -40, 5), sine(1000, -20, 0.5), sine(1000, -40, 5))
    found = measure(pcm, 48000)
    assert found.momentary_max_lufs == pytest.approx(-23.0, abs=0.1)
    share = 10 * np.log10((0.5 + 2.5 * 0.01) / 3)
    assert found.short_term_max_lufs == pytest.approx(-23.0 + share, abs=0.1)


@pytest.mark.parametrize("gain_db", [0.0, -20.0])
def test_loudness_agrees_with_pyloudnorm(joe_pcm: Pcm, gain_db: float) -> None:
    # At 48 kHz, where pyloudnorm has the standard's own filters.
    pcm = resample_poly(joe_pcm, 48000 // 150, JOE_HZ // 150) * np.float32(10 ** (gain_db / 20))
    other = pyloudnorm.Meter(48000).integrated_loudness(pcm.astype(np.float64))
    assert measure(pcm, 48000).loudness_lufs == pytest.approx(other, abs=0.1)


def test_loudness_does_not_depend_on_the_rate(joe_pcm: Pcm) -> None:
    own = measure(joe_pcm, JOE_HZ)
    high = measure(resample_poly(joe_pcm, 48000 // 150, JOE_HZ // 150), 48000)
    assert own.loudness_lufs == pytest.approx(high.loudness_lufs, abs=0.1)
    assert own.momentary_max_lufs == pytest.approx(high.momentary_max_lufs, abs=0.2)


def test_short_takes_have_no_integrated_loudness() -> None:
    found = measure(sine(1000, -20, 0.399), 48000)
    for name in ("loudness_lufs", "momentary_max_lufs"):
        assert getattr(found, name) is None
        assert found.not_measured[name] == "the take is shorter than 400 ms"
    assert "3000 ms" in found.not_measured["short_term_max_lufs"]
    assert "4000 ms" in found.not_measured["loudness_range_lu"]
    assert found.true_peak_dbtp == pytest.approx(-20.0, abs=0.2)
    assert measure(sine(1000, -20, 0.401), 48000).loudness_lufs == pytest.approx(-23.0, abs=0.2)


def test_silence_has_no_loudness_and_says_why() -> None:
    found = measure(still(5), 48000)
    assert found.loudness_lufs is found.loudness_range_lu is found.true_peak_dbtp is None
    assert "-70 LUFS" in found.not_measured["loudness_lufs"]
    assert found.head_ms is found.tail_ms is found.f0_median_hz is found.floor_dbfs is None


def test_every_figure_that_is_missing_has_its_reason() -> None:
    for pcm in (still(0), still(0.01), still(5), sine(1000, -20, 0.2), sine(100, -20, 5)):
        found = measure(pcm, 48000)
        assert {n for n, v in found.json().items() if v is None} == set(found.not_measured)
        assert all(found.not_measured.values())


# -- peaks in dB ---------------------------------------------------------------------------------


def test_true_peak_lies_between_samples() -> None:
    # A quarter of the rate, sampled at 45 degrees: every sample is 3.01 dB below the wave's top.
    t = np.arange(48000)
    pcm = np.asarray(0.5 * np.sin(np.pi / 2 * t + np.pi / 4), np.float32)
    assert 20 * np.log10(np.abs(pcm).max()) == pytest.approx(-9.03, abs=0.01)
    assert measure(pcm, 48000).true_peak_dbtp == pytest.approx(-6.02, abs=0.3)


def test_true_peak_agrees_with_oversampling(joe_pcm: Pcm) -> None:
    over = 20 * np.log10(np.abs(resample_poly(joe_pcm, 16, 1)).max())
    assert measure(joe_pcm, JOE_HZ).true_peak_dbtp == pytest.approx(over, abs=0.2)


def test_true_peak_of_the_last_samples_counts() -> None:
    pcm = still(1)
    pcm[-2:] = 0.5, 0.5  # interpolated, the top between them is higher
    found = measure(pcm, 48000).true_peak_dbtp
    assert found is not None
    assert found > -6.02 + 1


# -- pitch ---------------------------------------------------------------------------------------


def test_pitch_of_a_glide() -> None:
    # From 100 to 200 Hz, evenly in semitones: 12 st, of which the middle 90 % are 10.8.
    rate_hz, n = 24000, 24000 * 4
    hz = 100 * 2 ** (np.arange(n) / n)
    found = measure(vowel(hz, rate_hz, 4), rate_hz)
    assert found.f0_median_hz == pytest.approx(100 * 2**0.5, rel=0.01)
    assert found.f0_low_hz == pytest.approx(100 * 2**0.05, rel=0.01)
    assert found.f0_high_hz == pytest.approx(100 * 2**0.95, rel=0.01)
    assert found.f0_range_st == pytest.approx(10.8, abs=0.1)


def test_pitch_agrees_with_praat(joe_pcm: Pcm) -> None:
    found = measure(joe_pcm, JOE_HZ)
    sound = parselmouth.Sound(joe_pcm.astype(np.float64), JOE_HZ)
    hz = sound.to_pitch_ac(0.005, 55.0, pitch_ceiling=300.0).selected_array["frequency"]
    low, median, high = np.percentile(hz[hz > 0], [5, 50, 95])
    assert found.f0_median_hz == pytest.approx(median, rel=0.02)
    assert found.f0_low_hz == pytest.approx(low, rel=0.06)
    assert found.f0_high_hz == pytest.approx(high, rel=0.06)


def test_hiss_taken_for_a_high_voice_does_not_widen_the_range() -> None:
    rate_hz = 24000
    low = vowel(100, rate_hz, 2)
    high = vowel(520, rate_hz, 0.25)
    found = measure(joined(low, high), rate_hz)
    assert found.f0_high_hz == pytest.approx(100, rel=0.01)


def test_noise_has_no_pitch() -> None:
    noise = np.random.default_rng(1).standard_normal(48000).astype(np.float32) * np.float32(0.1)
    found = measure(noise, 48000)
    assert found.f0_median_hz is found.f0_range_st is None
    assert "voiced" in found.not_measured["f0_range_st"]


# -- clipping and silence ------------------------------------------------------------------------


def test_clipping_is_counted_in_runs() -> None:
    pcm = sine(100, 6.02, 0.1)  # twice full scale: each half wave is cut for two thirds
    cut = np.clip(pcm, -1, 1)
    found = measure(cut, 48000)
    assert found.clipped_runs == 20
    assert found.clipped_longest == pytest.approx(48000 / 100 / 2 * 2 / 3, abs=2)
    assert found.clipped_samples == pytest.approx(20 * found.clipped_longest, abs=20)
    assert measure(pcm, 48000).clipped_runs == 20  # above it counts as well


@pytest.mark.parametrize(("top", "clipped"), [(0.9999, 0), (32767 / 32768, 1), (1.0, 1), (-1.0, 1)])
def test_full_scale_is_that_of_16_bits(top: float, clipped: int) -> None:
    pcm = sine(100, -20, 0.5)
    pcm[1000] = top
    found = measure(pcm, 48000)
    assert (found.clipped_samples, found.clipped_runs, found.clipped_longest) == (clipped,) * 3


def test_clipping_at_the_very_ends() -> None:
    pcm = np.array([1, 1, 0, 0, 1], np.float32)
    found = measure(pcm, 48000)
    assert (found.clipped_samples, found.clipped_runs, found.clipped_longest) == (3, 2, 2)


@pytest.mark.parametrize("level_dbfs", [-6.0, -40.0])
def test_silence_is_found_at_both_ends_at_any_level(level_dbfs: float) -> None:
    speech = sine(300, level_dbfs, 1)
    noise = np.random.default_rng(1).standard_normal(48000 * 2).astype(np.float32)
    noise *= np.float32(10 ** ((level_dbfs - 50) / 20))
    noise[12000 : 12000 + len(speech)] += speech
    found = measure(noise, 48000)
    assert found.head_ms == pytest.approx(250, abs=5)
    assert found.tail_ms == pytest.approx(750, abs=5)
    assert found.floor_dbfs == pytest.approx(level_dbfs - 50, abs=1)


def test_a_click_is_not_the_level_of_the_voice() -> None:
    speech = sine(300, -30, 1)
    quiet = sine(300, -60, 1)
    click = still(0.01)
    click[:5] = 1.0
    found = measure(joined(click, speech, quiet, still(1)), 48000)
    assert found.tail_ms == pytest.approx(1000, abs=5)


def test_the_voice_begins_where_its_first_word_does(joe_pcm: Pcm) -> None:
    found = measure(joined(still(0.7, JOE_HZ), joe_pcm, still(1.2, JOE_HZ)), JOE_HZ)
    own = measure(joe_pcm, JOE_HZ)
    assert own.head_ms is not None
    assert own.tail_ms is not None
    assert 0 <= own.head_ms < 100
    assert 0 <= own.tail_ms < 300
    assert found.head_ms == pytest.approx(own.head_ms + 700, abs=5)
    assert found.tail_ms == pytest.approx(own.tail_ms + 1200, abs=5)


@pytest.mark.parametrize("pcm", [np.zeros((2, 5)), np.array([0.0, np.nan]), np.array([np.inf])])
def test_what_is_no_take_is_refused(pcm: Pcm) -> None:
    with pytest.raises(ValueError, match="no take"):
        measure(pcm.astype(np.float32), 48000)
    for rate_hz in (0, 7_999, 1_000_000):
        with pytest.raises(ValueError, match="no take"):
            measure(still(1), rate_hz)


def test_it_may_give_way_every_100_ms_of_loudness_and_every_200_ms_of_pitch() -> None:
    calls: list[None] = []
    pcm = sine(120, -20, 3.0, JOE_HZ)
    assert measure(pcm, JOE_HZ, lambda: calls.append(None)) == measure(pcm, JOE_HZ)
    assert len(calls) == 30 + 15


def test_figures_go_through_json(joe_pcm: Pcm) -> None:
    found = measure(joe_pcm, JOE_HZ)
    assert json.loads(json.dumps(found.json())) == found.json()
    assert found.duration_s == pytest.approx(len(joe_pcm) / JOE_HZ, abs=1e-6)
    assert set(found.not_measured) == {"short_term_max_lufs", "loudness_range_lu"}


def test_measuring_imports_no_torch() -> None:
    code = "import sys, voicesvc.measure; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# -- waveforms -----------------------------------------------------------------------------------


def expected(pcm: Pcm, n_points: int) -> tuple[list[int], list[int]]:
    """Each point's own samples, and no more."""
    n = len(pcm)
    spans = [(i * n // n_points, -(-(i + 1) * n // n_points)) for i in range(n_points)]
    at = np.rint(np.clip(pcm, -1, 1) * 127).astype(int)
    return [int(at[b:e].min()) for b, e in spans], [int(at[b:e].max()) for b, e in spans]


@pytest.mark.parametrize(("n", "points"), [(1, 5), (7, 3), (100, 100), (101, 100), (1600, 100)])
def test_points_of_a_short_stream_are_exact(n: int, points: int) -> None:
    pcm = np.random.default_rng(n).uniform(-1.2, 1.2, n).astype(np.float32)
    low, high = peaks(pcm, points)
    assert (low.dtype, high.dtype) == (np.int8, np.int8)
    assert (low.tolist(), high.tolist()) == expected(pcm, points)


def test_points_of_a_long_stream_reach_no_further_than_an_eighth_over(joe_pcm: Pcm) -> None:
    points = 250
    low, high = peaks(joe_pcm, points)
    n = len(joe_pcm)
    at = np.rint(np.clip(joe_pcm, -1, 1) * 127).astype(int)
    for i in range(points):
        begin, end = i * n / points, (i + 1) * n / points
        own = at[int(begin) : int(np.ceil(end))]
        over = n / points / 8
        wide = at[max(0, int(begin - over)) : int(np.ceil(end + over))]
        assert wide.min() <= low[i] <= own.min()
        assert own.max() <= high[i] <= wide.max()


def test_a_stream_of_nothing_is_flat() -> None:
    low, high = peaks(np.zeros(0, np.float32), 4)
    assert low.tolist() == high.tolist() == [0, 0, 0, 0]
    with pytest.raises(ValueError, match="0 points"):
        Peaks(0)


@given(
    cuts=st.lists(st.integers(0, 5000), max_size=12),
    points=st.integers(1, 40),
    n=st.integers(0, 5000),
)
def test_points_of_chunks_are_those_of_the_whole(cuts: list[int], points: int, n: int) -> None:
    pcm = np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)
    drawn = Peaks(points)
    for chunk in np.split(pcm, sorted(min(c, n) for c in cuts)):
        drawn.feed(chunk)
    whole = peaks(pcm, points)
    assert [p.tolist() for p in drawn.flush()] == [p.tolist() for p in whole]


def test_memory_of_points_does_not_grow_with_the_stream() -> None:
    chunk = sine(100, -6, 1.0)

    def held_bytes(seconds: int) -> int:
        tracemalloc.start()
        drawn = Peaks(500)
        for _ in range(seconds):
            drawn.feed(chunk)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert drawn.flush()[1].min() > 60
        return held

    for seconds in (6, 600):  # of 192 kB each
        assert held_bytes(seconds) < 4 * RESOLUTION * 500
