"""SMPTE timecode <-> frames <-> samples, in whole numbers and exact fractions.

Knows nothing about files or lines. A frame is counted from midnight: 00:00:00:00 is frame 0. The
samples of a day begin there too.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from voicesvc.errors import InvalidRequest

_WRITTEN = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})([:;])([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Rate:
    """How many frames there are in a second, and how they are numbered.

    With `dropped` above 0, so many numbers are left out at the start of every minute but each
    tenth: 2 of 30, 4 of 60 (SMPTE ST 12-1, drop frame compensation). No frame is lost. The last
    field is then written after ";".
    """

    name: str
    fps: Fraction  # frames in a second of time
    counted: int  # frames in a second of timecode
    dropped: int = 0

    @property
    def separator(self) -> str:
        """What stands before the frames: ";" for drop frame, else ":"."""
        return ";" if self.dropped else ":"

    @property
    def frames_per_day(self) -> int:
        """Frames from 00:00:00:00 until it comes again."""
        return self.counted * 86_400 - self.dropped * (1440 - 144)


RATES: dict[str, Rate] = {
    r.name: r
    for r in (
        Rate("23.976", Fraction(24_000, 1001), 24),
        Rate("24", Fraction(24), 24),
        Rate("25", Fraction(25), 25),
        Rate("29.97", Fraction(30_000, 1001), 30),
        Rate("29.97df", Fraction(30_000, 1001), 30, dropped=2),
        Rate("30", Fraction(30), 30),
        Rate("48", Fraction(48), 48),
        Rate("50", Fraction(50), 50),
        Rate("59.94", Fraction(60_000, 1001), 60),
        Rate("59.94df", Fraction(60_000, 1001), 60, dropped=4),
        Rate("60", Fraction(60), 60),
    )
}


def rate(name: str, where: str = "fps") -> Rate:
    """The frame rate of this name.

    Raises:
        InvalidRequest: there is none; `where` is the field it came from.
    """
    if name not in RATES:
        raise InvalidRequest(f"there is no frame rate {name!r}", where=where, valid=RATES)
    return RATES[name]


def frame_of(timecode: str, rate: Rate, where: str = "timecode") -> int:
    """The frame that `timecode` is the number of.

    For drop frame: `dropped` numbers less for each minute that has passed, but for every tenth
    (SMPTE ST 12-1).

    Raises:
        InvalidRequest: it is not written as this rate is, or no frame has this number; `where` is
            the field it came from.
    """
    written = _WRITTEN.fullmatch(timecode)
    if written is None or written[4] != rate.separator:
        shown = f"HH:MM:SS{rate.separator}FF"
        raise InvalidRequest(
            f"{timecode!r} is no timecode at {rate.name} frames", where=where, valid=shown
        )
    hours, minutes, seconds, frames = (int(written[i]) for i in (1, 2, 3, 5))
    for name, value, end in (
        ("hours", hours, 24),
        ("minutes", minutes, 60),
        ("seconds", seconds, 60),
        ("frames", frames, rate.counted),
    ):
        if value >= end:
            detail = f"{timecode!r} at {rate.name} frames: {value} {name}"
            raise InvalidRequest(detail, where=where, valid=f"00 to {end - 1}")
    passed = hours * 60 + minutes
    if frames < rate.dropped and seconds == 0 and minutes % 10:
        first = f"{timecode[:-2]}{rate.dropped:02}"
        raise InvalidRequest(
            f"{timecode!r}: this number is dropped at {rate.name} frames", where=where, valid=first
        )
    counted = (passed * 60 + seconds) * rate.counted + frames
    return counted - rate.dropped * (passed - passed // 10)


def timecode_of(frame: int, rate: Rate) -> str:
    """The number of a frame; after a day it begins again at 00:00:00:00.

    Raises:
        ValueError: the frame is negative.
    """
    if frame < 0:
        raise ValueError(f"frame {frame} is before midnight")
    frame %= rate.frames_per_day
    if rate.dropped:
        frame += rate.dropped * _drops_before(frame, rate)
    seconds, frames = divmod(frame, rate.counted)
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours:02}:{minutes:02}:{seconds % 60:02}{rate.separator}{frames:02}"


def _drops_before(frame: int, rate: Rate) -> int:
    """How often numbers were dropped until a frame of the day."""
    minute = rate.counted * 60 - rate.dropped  # frames in a minute that drops
    tens, rest = divmod(frame, minute * 10 + rate.dropped)
    return tens * 9 + max(0, rest - rate.dropped) // minute


def sample_of(frame: int, rate: Rate, sample_rate_hz: int) -> int:
    """The sample at which a frame begins: frame * sample rate / fps, halves rounded up.

    10:00:00:00 at 23.976 frames is sample 1 729 728 000 at 48 kHz.
    """
    return math.floor(frame * sample_rate_hz / rate.fps + Fraction(1, 2))


def frame_at(sample: int, rate: Rate, sample_rate_hz: int) -> int:
    """The frame that is shown at a sample: the last whose `sample_of` is not after it."""
    return math.ceil((sample + Fraction(1, 2)) * rate.fps / sample_rate_hz) - 1


def samples_of(timecode: str, fps: str, sample_rate_hz: int, where: str = "timecode") -> int:
    """The sample since midnight at which `timecode` begins.

    Raises:
        InvalidRequest: the frame rate or the timecode is none; `where` is the timecode's field.
    """
    at = rate(fps)
    return sample_of(frame_of(timecode, at, where), at, sample_rate_hz)
