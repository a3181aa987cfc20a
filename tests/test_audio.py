"""Resampling: same samples however it is cut, exact length, nothing added, nothing aliased."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicesvc.audio import Pcm, Resampler, resampled_length, silence

RATES_HZ = (8000, 11025, 16000, 22050, 24000, 44100, 47952, 48000, 96000)


def tone(freq_hz: float, rate_hz: int, seconds_s: float) -> Pcm:
    t = np.arange(round(seconds_s * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * freq_hz * t)).astype(np.float32)


def level_db(pcm: Pcm) -> float:
    """Against `tone`, away from both ends."""
    middle = pcm[len(pcm) // 4 : -(len(pcm) // 4)].astype(np.float64)
    return float(20 * np.log10(np.sqrt(2 * np.mean(middle**2)) / 0.5 + 1e-12))


def resample(pcm: Pcm, rate_in_hz: int, rate_out_hz: int) -> Pcm:
    resampler = Resampler(rate_in_hz, rate_out_hz)
    return np.concatenate([resampler.feed(pcm), resampler.flush()])


@settings(max_examples=60)
@given(
    rate_in_hz=st.sampled_from((16000, 22050, 24000, 48000)),
    rate_out_hz=st.one_of(st.sampled_from(RATES_HZ), st.integers(8000, 96000)),
    chunks=st.lists(st.one_of(st.integers(0, 50), st.integers(0, 6000)), max_size=12),
)
def test_chunked_is_whole_and_length_is_exact(
    rate_in_hz: int, rate_out_hz: int, chunks: list[int]
) -> None:
    n = sum(chunks)
    pcm = np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)
    resampler = Resampler(rate_in_hz, rate_out_hz)
    parts = [resampler.feed(p) for p in np.split(pcm, np.cumsum(chunks)[:-1])] if chunks else []
    parts.append(resampler.flush())
    chunked = np.concatenate(parts)
    np.testing.assert_array_equal(chunked, resample(pcm, rate_in_hz, rate_out_hz))
    assert len(chunked) == resampled_length(n, rate_in_hz, rate_out_hz)
    assert chunked.dtype == np.float32


@pytest.mark.parametrize(
    ("n", "rate_in_hz", "rate_out_hz", "expected"),
    [
        (1, 48000, 24000, 1),  # 0.5 rounds up
        (3, 48000, 24000, 2),
        (2, 22050, 8000, 1),
        (0, 22050, 48000, 0),
        (22050, 22050, 47952, 47952),
    ],
)
def test_length_rule(n: int, rate_in_hz: int, rate_out_hz: int, expected: int) -> None:
    assert resampled_length(n, rate_in_hz, rate_out_hz) == expected
    assert len(resample(np.ones(n, np.float32), rate_in_hz, rate_out_hz)) == expected


def test_half_a_sample_is_rounded_up_where_soxr_rounds_down() -> None:
    pcm = np.random.default_rng(0).normal(0, 0.1, 12680).astype(np.float32)
    assert len(resample(pcm, 24000, 44100)) == 23300  # 12680 * 1.8375 = 23299.5


def test_equal_rates_change_nothing_and_wait_for_nothing() -> None:
    pcm = tone(440, 22050, 0.1)
    resampler = Resampler(22050, 22050)
    np.testing.assert_array_equal(resampler.feed(pcm), pcm)
    assert len(resampler.flush()) == 0


@pytest.mark.parametrize("rate_out_hz", RATES_HZ)
@pytest.mark.parametrize("rate_in_hz", [22050, 48000])
def test_level_is_kept_below_nyquist(rate_in_hz: int, rate_out_hz: int) -> None:
    freq_hz = 0.9 * min(rate_in_hz, rate_out_hz) / 2
    out = resample(tone(freq_hz, rate_in_hz, 1.0), rate_in_hz, rate_out_hz)
    assert abs(level_db(out)) < 0.05


@pytest.mark.parametrize("rate_out_hz", [8000, 12000, 16000, 22050, 24000, 44100])
def test_a_tone_above_the_new_nyquist_disappears(rate_out_hz: int) -> None:
    freq_hz = 1.02 * rate_out_hz / 2
    assert level_db(resample(tone(freq_hz, 48000, 1.0), 48000, rate_out_hz)) < -80


def test_no_image_appears_above_the_old_nyquist() -> None:
    out = resample(tone(10000, 22050, 1.0), 22050, 48000)[12000:36000]
    spectrum = np.abs(np.fft.rfft(out * np.blackman(len(out))))
    above = spectrum[np.fft.rfftfreq(len(out), 1 / 48000) > 11025]
    assert above.max() < 1e-4 * spectrum.max()  # -80 dB


@pytest.mark.parametrize("rate_out_hz", RATES_HZ)
def test_it_is_not_late(rate_out_hz: int) -> None:
    out = resample(tone(300, 22050, 0.8), 22050, rate_out_hz)
    expected = tone(300, rate_out_hz, 0.8)
    inner = slice(rate_out_hz // 10, -rate_out_hz // 10)  # a tone's start and stop ring
    np.testing.assert_allclose(out[inner], expected[inner], atol=1e-4)


@pytest.mark.parametrize(
    ("rate_in_hz", "rate_out_hz", "limit_ms"),
    [(22050, 48000, 43), (22050, 44100, 43), (22050, 96000, 43), (24000, 48000, 40),
     (22050, 16000, 43), (22050, 8000, 82)],
)  # fmt: skip
def test_first_samples_come_early(rate_in_hz: int, rate_out_hz: int, limit_ms: float) -> None:
    resampler = Resampler(rate_in_hz, rate_out_hz)
    out = resampler.feed(silence(limit_ms / 1000, rate_in_hz))
    assert len(out) > 0


def test_bad_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        Resampler(22050, 0)


def test_silence_is_as_long_as_asked() -> None:
    out = silence(0.1, 22050)
    assert out.dtype == np.float32
    assert len(out) == 2205
    assert not out.any()
    with pytest.raises(ValueError, match="negative"):
        silence(-1, 22050)
