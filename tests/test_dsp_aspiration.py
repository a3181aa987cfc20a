"""Breathiness and whisper: noise where the voice is, in its own spectrum, and nowhere else."""

import numpy as np
import parselmouth
import pytest
from parselmouth.praat import call
from vowels import praat_f0, praat_formants, spoken, vowel

from voicesvc.audio import Pcm
from voicesvc.dsp import ZONE_MS, Controls, Curve, Shaper


def shape(pcm: Pcm, rate_hz: int, **controls: float) -> Pcm:
    asked = Controls(**{name: Curve.constant(value) for name, value in controls.items()})
    shaper = Shaper(asked, rate_hz, seed=4)
    return np.concatenate([shaper.feed(pcm), shaper.flush()])


def harmonicity_db(pcm: Pcm, rate_hz: int) -> float:
    sound = parselmouth.Sound(pcm.astype(np.float64), rate_hz)
    values = call(sound, "To Harmonicity (cc)", 0.01, 60, 0.1, 1.0).values
    return float(np.median(values[values > -100]))


@pytest.mark.parametrize("rate_hz", [16000, 24000, 48000])
def test_more_breathiness_is_less_harmonic(rate_hz: int) -> None:
    pcm = vowel(120, rate_hz)
    steps = [harmonicity_db(shape(pcm, rate_hz, breathiness=b), rate_hz) for b in (0, 0.3, 1)]
    assert steps[0] > steps[1] + 2 > steps[2] + 4


def test_breath_is_above_the_first_formants_only() -> None:
    pcm = vowel(120, 24000)
    added = shape(pcm, 24000, breathiness=1.0) - pcm
    power = np.abs(np.fft.rfft(added)) ** 2
    freq_hz = np.fft.rfftfreq(len(added), 1 / 24000)
    assert power[freq_hz < 900].sum() < 0.05 * power.sum()


@pytest.mark.parametrize("rate_hz", [16000, 24000, 48000])
def test_a_whisper_has_no_pitch_but_the_vowel(rate_hz: int) -> None:
    pcm = vowel(120, rate_hz)
    out = shape(pcm, rate_hz, whisper=1.0)
    _, f0 = praat_f0(out, rate_hz, floor_hz=60, ceiling_hz=400)
    assert np.mean(f0 > 0) < 0.1
    formants = praat_formants(out, rate_hz) / praat_formants(pcm, rate_hz)
    assert np.abs(formants - 1).max() < 0.2  # a first formant is higher in a whisper


@pytest.mark.parametrize("control", ["breathiness", "whisper"])
def test_nothing_is_added_where_nobody_speaks(control: str) -> None:
    pcm = spoken(120, 24000)
    out = shape(pcm, 24000, **{control: 1.0})
    changed = np.flatnonzero(out != pcm) / 24000
    zone = ZONE_MS / 1000
    assert changed[0] > 0.12 - zone
    assert changed[-1] < 1.08 + zone
    gap = (changed > 0.54 + zone / 2) & (changed < 0.72 - zone / 2)  # between the two vowels
    assert not gap.any()
