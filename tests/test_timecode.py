"""Timecode against a count of every number in a day, and against known samples."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicesvc.errors import InvalidRequest
from voicesvc.timecode import (
    RATES,
    Rate,
    frame_at,
    frame_of,
    rate,
    sample_of,
    samples_of,
    timecode_of,
)

ANY_RATE = st.sampled_from(list(RATES.values()))
SAMPLE_RATES_HZ = (44_100, 48_000, 96_000)


def numbers(rate: Rate) -> list[str]:
    """Every number of 22 minutes, counted one after another as a clock would."""
    return [
        f"00:{minute:02}:{second:02}{rate.separator}{frame:02}"
        for minute in range(22)
        for second in range(60)
        for frame in range(rate.counted)
        if not (frame < rate.dropped and second == 0 and minute % 10)
    ]


@pytest.mark.parametrize("rate", RATES.values(), ids=lambda r: r.name)
def test_every_frame_has_the_number_that_counting_gives(rate: Rate) -> None:
    for frame, number in enumerate(numbers(rate)):
        assert timecode_of(frame, rate) == number
        assert frame_of(number, rate) == frame


@pytest.mark.parametrize(
    ("timecode", "fps", "rate_hz", "sample"),
    [
        ("10:00:00:00", "23.976", 48_000, 1_729_728_000),
        ("10:00:00:00", "24", 48_000, 1_728_000_000),
        ("10:00:00:00", "25", 48_000, 1_728_000_000),
        ("10:00:00:00", "29.97", 48_000, 1_729_728_000),
        ("10:00:00:00", "30", 48_000, 1_728_000_000),
        ("10:00:00:00", "48", 96_000, 3_456_000_000),
        ("10:00:00;00", "29.97df", 48_000, 1_727_998_272),
        ("01:00:00;00", "29.97df", 48_000, 172_799_827),  # 107892 frames, 3.6 ms short of an hour
        ("00:01:00;02", "29.97df", 48_000, 2_882_880),  # frame 1800
        ("00:00:00:01", "29.97", 48_000, 1_602),  # 1601.6
        ("00:00:00:01", "23.976", 48_000, 2_002),
        ("00:00:00:01", "25", 44_100, 1_764),
        ("23:59:59:23", "24", 48_000, 4_147_198_000),
    ],
)
def test_known_samples(timecode: str, fps: str, rate_hz: int, sample: int) -> None:
    assert samples_of(timecode, fps, rate_hz) == sample


@pytest.mark.parametrize(
    ("fps", "frames"),
    [("29.97df", 2_589_408), ("59.94df", 5_178_816), ("29.97", 2_592_000), ("24", 2_073_600)],
)
def test_a_day_ends_where_it_began(fps: str, frames: int) -> None:
    at = RATES[fps]
    assert at.frames_per_day == frames
    assert timecode_of(frames, at) == timecode_of(0, at)
    last = f"23:59:59{at.separator}{at.counted - 1}"
    assert timecode_of(frames - 1, at) == last
    assert frame_of(last, at) == frames - 1


def test_drop_frame_stays_beside_the_clock() -> None:
    at = RATES["29.97df"]
    assert 86_400 - at.frames_per_day / at.fps == Fraction(864, 10_000)  # 86.4 ms in a day
    for minute in range(1440):
        hours, minutes = divmod(minute, 60)
        frames = 2 if minutes % 10 else 0
        shown_s = minute * 60 + Fraction(frames, at.counted)
        real_s = frame_of(f"{hours:02}:{minutes:02}:00;{frames:02}", at) / at.fps
        assert abs(real_s - shown_s) < Fraction(864, 10_000) + Fraction(2, 30)


@given(at=ANY_RATE, data=st.data())
def test_frames_come_back_from_their_numbers(at: Rate, data: st.DataObject) -> None:
    frame = data.draw(st.integers(0, at.frames_per_day - 1))
    assert frame_of(timecode_of(frame, at), at) == frame
    assert timecode_of(frame + at.frames_per_day, at) == timecode_of(frame, at)


@given(
    at=ANY_RATE,
    frame=st.integers(0, 10**8),
    rate_hz=st.one_of(st.sampled_from(SAMPLE_RATES_HZ), st.integers(8_000, 192_000)),
)
def test_frames_come_back_from_their_samples(at: Rate, frame: int, rate_hz: int) -> None:
    sample = sample_of(frame, at, rate_hz)
    assert frame_at(sample, at, rate_hz) == frame
    assert frame_at(sample - 1, at, rate_hz) == frame - 1
    assert abs(sample - Fraction(frame * rate_hz) / at.fps) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("timecode", "fps", "valid"),
    [
        ("00:01:00;00", "29.97df", "00:01:00;02"),
        ("00:01:00;01", "29.97df", "00:01:00;02"),
        ("10:59:00;03", "59.94df", "10:59:00;04"),
        ("01:00:00:00", "29.97df", "HH:MM:SS;FF"),
        ("01:00:00;00", "29.97", "HH:MM:SS:FF"),
        ("01:00:00:24", "24", "00 to 23"),
        ("01:00:00:24", "23.976", "00 to 23"),
        ("24:00:00:00", "25", "00 to 23"),
        ("01:60:00:00", "25", "00 to 59"),
        ("01:00:60:00", "25", "00 to 59"),
        ("1:00:00:00", "25", "HH:MM:SS:FF"),
        ("01:00:00:00\n", "25", "HH:MM:SS:FF"),
        ("٠١:00:00:00", "25", "HH:MM:SS:FF"),
        ("-1:00:00:00", "25", "HH:MM:SS:FF"),
        ("", "25", "HH:MM:SS:FF"),
    ],
)
def test_numbers_that_no_frame_has_are_refused(timecode: str, fps: str, valid: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        frame_of(timecode, RATES[fps], "timecode_in")
    assert refused.value.where == "timecode_in"
    assert refused.value.valid == valid


@pytest.mark.parametrize("minute", [0, 10, 20, 50])
def test_tenth_minutes_drop_nothing(minute: int) -> None:
    at = RATES["29.97df"]
    assert frame_of(f"00:{minute:02}:00;00", at) == minute // 10 * 17_982


def test_unknown_rates_are_refused_with_those_there_are() -> None:
    assert rate("29.97df").dropped == 2
    for name in ("29.976", "24.0", "30df", "", "24000/1001"):
        with pytest.raises(InvalidRequest) as refused:
            rate(name)
        assert refused.value.valid == list(RATES)
        assert refused.value.where == "fps"


def test_nothing_is_before_midnight() -> None:
    with pytest.raises(ValueError, match="before midnight"):
        timecode_of(-1, RATES["24"])
