"""Breaths and room tone: as loud as asked, of the floor's spectrum, the same every time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from voicesvc.dsp import Floor, RoomTone, breath, floor_of


def level_db(pcm: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(pcm.astype(np.float64) ** 2))))


@pytest.mark.parametrize("rate_hz", [16000, 22050, 48000])
def test_a_breath_swells_and_fades(rate_hz: int) -> None:
    pcm = breath(rate_hz, seed=1, length_s=0.5, level_db=-40)
    assert pcm.dtype == np.float32
    assert len(pcm) == rate_hz // 2
    assert level_db(pcm) == pytest.approx(-40, abs=0.01)
    tenths = [level_db(part + 1e-9) for part in np.array_split(pcm, 10)]
    assert np.argmax(tenths) in (5, 6, 7)
    assert tenths[0] < max(tenths) - 10 > tenths[-1] - 5
    assert np.abs(pcm[:5]).max() < 1e-4


def test_a_breath_has_no_pitch_and_its_spectrum_falls() -> None:
    pcm = breath(22050, seed=2)
    power = np.abs(np.fft.rfft(pcm)) ** 2
    freq_hz = np.fft.rfftfreq(len(pcm), 1 / 22050)
    shares = [power[(freq_hz > a) & (freq_hz <= b)].mean() for a, b in
              ((500, 2500), (2500, 5000), (5000, 10000))]  # fmt: skip
    assert shares[0] > shares[1] > shares[2]


def test_breaths_differ_by_seed_alone() -> None:
    np.testing.assert_array_equal(breath(22050, 1), breath(22050, 1))
    assert not np.array_equal(breath(22050, 1), breath(22050, 2))
    with pytest.raises(ValueError, match="breath"):
        breath(22050, 1, length_s=0)


def recording(rate_hz: int) -> np.ndarray:
    """Loud, then a floor of falling noise at about -70 dBFS, then digital silence."""
    random = np.random.default_rng(3)
    floor = random.normal(0, 1, 2 * rate_hz)
    floor = sosfilt(butter(1, 500, fs=rate_hz, output="sos"), floor)
    floor *= 10 ** (-70 / 20) / floor.std()
    loud = random.normal(0, 0.1, rate_hz)
    return np.concatenate([loud, floor, np.zeros(rate_hz)]).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [16000, 22050, 48000])
def test_room_tone_is_like_the_floor_it_was_made_for(rate_hz: int) -> None:
    floor = floor_of(recording(rate_hz), rate_hz)
    assert floor is not None
    assert floor.level_db == pytest.approx(-70, abs=2)
    tone = RoomTone(floor, rate_hz, seed=1).between(0, 4 * rate_hz)
    assert level_db(tone) == pytest.approx(floor.level_db, abs=0.5)
    made = floor_of(tone, rate_hz)
    assert made is not None
    heard = np.array(floor.bands_db) > floor.level_db - 25
    heard[0] = False  # 63 Hz is two bins
    assert np.abs(np.array(made.bands_db) - floor.bands_db)[heard].max() < 5


def test_digital_silence_has_no_floor() -> None:
    assert floor_of(np.zeros(22050, np.float32), 22050) is None
    assert floor_of(np.zeros(3, np.float32), 22050) is None


@settings(max_examples=30)
@given(start=st.integers(0, 9000), n=st.integers(0, 5000))
def test_room_tone_at_a_place_is_always_the_same(start: int, n: int) -> None:
    room = RoomTone(
        Floor(-60.0, (-70.0, -65.0, -66.0, -70.0, -75.0, -80.0, -85.0, -90.0)), 22050, 5
    )
    np.testing.assert_array_equal(
        room.between(start, start + n), room.between(0, 14000)[start:][:n]
    )
