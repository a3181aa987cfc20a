"""f0: right, without octave jumps where the fundamental is weak, and the same however cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt
from vowels import praat_f0, spoken, vowel

from voicesvc.dsp import Tracker, track
from voicesvc.dsp.tracker import FRAME_S, WHOLE_FRAMES


def cents(a: np.ndarray, b: np.ndarray | float) -> np.ndarray:
    return 1200 * np.log2(a / b)


@pytest.mark.parametrize("rate_hz", [16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("f0_hz", [62, 95, 140, 300, 490])
def test_a_steady_vowel(f0_hz: float, rate_hz: int) -> None:
    f0 = track(vowel(f0_hz, rate_hz), rate_hz)
    assert len(f0) == 200  # 1 s
    inner = f0[10:-10]
    assert (inner > 0).all()
    assert np.abs(cents(inner, f0_hz)).max() < 15


def test_a_glide_is_followed_in_time() -> None:
    asked = np.linspace(100, 220, 24000)
    f0 = track(vowel(asked, 24000), 24000)
    at = np.arange(10, 190)
    assert np.abs(cents(f0[at], asked[at * 120])).max() < 15


def test_a_weak_fundamental_is_no_octave() -> None:
    rate_hz = 22050
    sos = butter(4, 170, "high", fs=rate_hz, output="sos")
    f0 = track(sosfilt(sos, vowel(100, rate_hz)).astype(np.float32), rate_hz)[10:-10]
    assert np.abs(cents(f0, 100)).max() < 20


def test_noise_and_silence_are_unvoiced() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 24000).astype(np.float32)
    assert np.mean(track(noise, 24000) > 0) < 0.05
    assert not track(noise * 0, 24000).any()
    hum = vowel(100, 24000) * np.float32(0.01)  # -48 dBFS
    assert not track(hum, 24000).any()


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 26460), max_size=20), block_frames=st.integers(1, 60))
def test_chunked_is_whole(cuts: list[int], block_frames: int) -> None:
    pcm = spoken(120, 22050)
    tracker = Tracker(22050, block_frames)
    parts = [tracker.feed(part) for part in np.split(pcm, sorted(cuts))]
    chunked = np.concatenate([*parts, tracker.flush()])
    np.testing.assert_array_equal(chunked, track(pcm, 22050))
    assert len(chunked) == 240


def test_a_whole_recording_is_worked_on_in_steps_of_that_many_frames() -> None:
    calls: list[None] = []
    track(spoken(120, 22050), 22050, lambda: calls.append(None))
    assert len(calls) == -(-26460 // round(WHOLE_FRAMES * FRAME_S * 22050)) > 1


def test_the_real_voice_is_heard_as_praat_hears_it(joe_pcm: np.ndarray) -> None:
    f0 = track(joe_pcm, 22050)
    times, theirs = praat_f0(joe_pcm, 22050, floor_hz=55, ceiling_hz=600)
    ours = f0[np.minimum(np.round(times / 0.005).astype(int), len(f0) - 1)]
    both = (ours > 0) & (theirs > 0)
    off = np.abs(cents(ours[both], theirs[both]))
    assert both.sum() > 0.95 * (theirs > 0).sum()
    assert np.median(off) < 5
    assert np.mean(off > 300) < 0.03
