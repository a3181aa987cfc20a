"""Values of attributes and marks -> numbers with units. Knows nothing about where they stand.

Forms and meanings: SSML 1.1, 3.2.4 (prosody) and 3.2.3 (break), with those of SSML 1.0 and of
other services where they do not contradict it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from voicesvc.directions import Contour, Emphasis, Strength, Style

T = TypeVar("T")

LONGEST_PAUSE_S = 60.0
LONGEST_STRETCH_S = 600.0
RATES = (0.1, 10.0)  # factors
SEMITONES = (-24.0, 24.0)
MEAN_PITCH_HZ = (20.0, 1000.0)
PITCH_CHANGE_HZ = (-500.0, 500.0)
RANGES = (0.0, 5.0)  # factors
DECIBELS = (-96.0, 24.0)
SILENT_DB = DECIBELS[0]

RATE_LABELS = {
    "x-slow": 0.5,
    "slow": 0.64,
    "medium": 1.0,
    "fast": 1.55,
    "x-fast": 2.0,
    "default": 1.0,
}
PITCH_LABELS_ST = {
    "x-low": -4.0,
    "low": -2.0,
    "medium": 0.0,
    "high": 2.0,
    "x-high": 4.0,
    "default": 0.0,
}
RANGE_LABELS = {
    "x-low": 0.4,
    "low": 0.7,
    "medium": 1.0,
    "high": 1.4,
    "x-high": 1.8,
    "default": 1.0,
}
VOLUME_LABELS_DB = {
    "silent": SILENT_DB,
    "x-soft": -12.0,
    "soft": -6.0,
    "medium": 0.0,
    "loud": 3.0,
    "x-loud": 6.0,
    "default": 0.0,
}
EMPHASES: dict[str, Emphasis] = {
    "strong": "strong",
    "moderate": "moderate",
    "none": "none",
    "reduced": "reduced",
}
STRENGTHS: dict[str, Strength] = {
    "none": "none",
    "x-weak": "x-weak",
    "weak": "weak",
    "medium": "medium",
    "strong": "strong",
    "x-strong": "x-strong",
}

_TIME = re.compile(r"\+?(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})(ms|s)", re.ASCII)
_NUMBER = re.compile(r"([+-]?)(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})(%|st|hz|db)?", re.ASCII)
_TARGET = re.compile(r"\(\s*([^(),\s]*)\s*,\s*([^(),\s]*)\s*\)\s*")
_TARGETS = 100  # of one contour


class Invalid(Exception):
    """A value that cannot be read. `at` is the character in it.

    `attribute` is its name, once that is known. `skippable` says that it may be left out on
    request, as it names what is not known here.
    """

    def __init__(
        self, detail: str, valid: list[str] | str, at: int = 0, *, skippable: bool = False
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.valid = valid
        self.at = at
        self.attribute = ""
        self.skippable = skippable


@dataclass(frozen=True, slots=True)
class Level:
    """What is in force around a stretch. A label is a level of its own, not a change of it."""

    rate: float = 1.0
    pitch_st: float = 0.0
    range: float = 1.0
    energy_db: float = 0.0

    def within(self, style: Style) -> "Level":
        """The level inside a stretch of `style`; contours and pitches in Hz do not count."""
        return Level(
            self.rate * (style.rate or 1.0),
            self.pitch_st + (style.pitch_st if isinstance(style.pitch_st, float) else 0.0),
            self.range * (style.range if isinstance(style.range, float) else 1.0),
            self.energy_db + (style.energy_db if isinstance(style.energy_db, float) else 0.0),
        )


NEUTRAL = Level()


def seconds(value: str, longest_s: float) -> float:
    """ "0.4s", "400ms" -> 0.4. Raises Invalid."""
    forms = f"a time from 0 to {longest_s:g} s, such as 400ms or 0.4s"
    read = _TIME.fullmatch(value.strip().lower())
    if not read:
        raise Invalid(f"{value[:40]!r} is no time", forms)
    time_s = float(read[1]) / (1000.0 if read[2] == "ms" else 1.0)
    return _within(time_s, (0.0, longest_s), value, forms)


def one_of(value: str, valid: Mapping[str, T], listed: list[str] | None = None) -> T:
    """The entry of this name, in any case. Raises Invalid with the names, or those `listed`."""
    found = valid.get(value.strip().lower())
    if found is None:
        raise Invalid(f"{value[:40]!r} is not known here", listed or list(valid))
    return found


def plain(value: str, bounds: tuple[float, float]) -> float:
    """A number without sign or unit. Raises Invalid."""
    forms = f"a number from {bounds[0]:g} to {bounds[1]:g}"
    sign, number, unit = _number(value, [forms])
    if sign or unit:
        raise Invalid(f"{value[:40]!r} is no plain number", forms)
    return _within(number, bounds, value, forms)


def rate(value: str, around: Level = NEUTRAL) -> Style:
    """ "80%" and "0.8" are factors, "+10%" a change, "slow" a level. Raises Invalid."""
    forms = [*RATE_LABELS, "80% (100% is unchanged)", "+10%", "0.8"]
    if value.strip().lower() in RATE_LABELS:
        return Style(rate=one_of(value, RATE_LABELS) / around.rate)
    sign, number, unit = _number(value, forms)
    if unit not in ("", "%") or (sign and not unit):
        raise Invalid(f"{value[:40]!r} is no speaking rate", forms)
    factor = number / 100.0 if unit else number
    return Style(rate=_within(1.0 + factor if sign else factor, RATES, value, forms))


def pitch(value: str, around: Level = NEUTRAL) -> Style:
    """ "+2st", "+10%", "+10Hz" are changes, "120Hz" a mean, "high" a level. Raises Invalid."""
    forms = [*PITCH_LABELS_ST, "+2st", "+10%", "+10Hz", "120Hz"]
    if value.strip().lower() in PITCH_LABELS_ST:
        return Style(pitch_st=one_of(value, PITCH_LABELS_ST) - around.pitch_st)
    sign, number, unit = _number(value, forms)
    if unit == "hz" and not sign:
        return Style(pitch_hz=_within(number, MEAN_PITCH_HZ, value, forms))
    if unit == "hz":
        return Style(pitch_delta_hz=_within(number, PITCH_CHANGE_HZ, value, forms))
    return Style(pitch_st=_semitones(sign, number, unit, value, forms))


def span(value: str, around: Level = NEUTRAL) -> Style:
    """The range of the intonation: "+20%", "+2st" change it, "low" is a level. Raises Invalid.

    A range in Hz would have to be known beforehand, which no voice's is.
    """
    forms = [*RANGE_LABELS, "+20%", "+2st"]
    if value.strip().lower() in RANGE_LABELS:
        return Style(range=one_of(value, RANGE_LABELS) / around.range)
    sign, number, unit = _number(value, forms)
    if unit == "%" and sign:
        factor = 1.0 + number / 100.0
    elif unit == "st" and sign:
        factor = 2.0 ** (min(number, 99.0) / 12.0)
    else:
        raise Invalid(f"{value[:40]!r} is no change of the pitch range", forms)
    return Style(range=_within(factor, RANGES, value, forms))


def volume(value: str, around: Level = NEUTRAL) -> Style:
    """ "+6dB", "+10%" change it, "soft" is a level, "80" a share of full. Raises Invalid.

    SSML 1.0's scale from 0 to 100 is linear in amplitude: 50 is 20 log10(0.5) = -6.02 dB.
    """
    forms = [*VOLUME_LABELS_DB, "+6dB", "+10%", "0 to 100 (100 is unchanged)", "-10"]
    if value.strip().lower() in VOLUME_LABELS_DB:
        level_db = one_of(value, VOLUME_LABELS_DB)
        return Style(energy_db=max(level_db - around.energy_db, SILENT_DB))
    sign, number, unit = _number(value, forms)
    if unit == "db":
        return Style(energy_db=_within(number, DECIBELS, value, forms))
    if unit not in ("", "%") or (unit and not sign) or (not sign and number > 100.0):
        raise Invalid(f"{value[:40]!r} is no volume", forms)
    share = (100.0 + number if sign else number) / 100.0
    energy_db = 20.0 * math.log10(share) if share > 0.0 else SILENT_DB
    return Style(energy_db=_within(max(energy_db, SILENT_DB), DECIBELS, value, forms))


def contour(value: str, around: Level = NEUTRAL) -> Style:
    """ "(0%,+20Hz) (50%,-2st)" as positions from 0 to 1 with semitones, and with Hz where asked.

    A target in Hz has no semitones and the other way round, so that each target is met exactly
    and what lies between goes evenly from one to the next. Targets outside 0 % to 100 % are
    left out, and the first and last hold to the ends (SSML 1.1, 3.2.4). Raises Invalid.
    """
    forms = '"(0%,+2st) (50%,+10%) (100%,-20Hz)": positions in %, changes with a sign, or labels'
    changes: dict[float, tuple[float, float]] = {}  # position -> (semitones, Hz)
    at = len(value) - len(value.lstrip())
    while at < len(value):
        target = _TARGET.match(value, at)
        if not target or len(changes) == _TARGETS:
            raise Invalid(f"no contour target at {value[at : at + 20]!r}", forms, at)
        _, position, unit = _number(target[1], [forms], target.start(1))
        if unit != "%":
            raise Invalid(f"{target[1]!r} is no position", forms, target.start(1))
        try:
            style = pitch(target[2], around)
        except Invalid as error:
            raise Invalid(error.detail, error.valid, target.start(2)) from error
        if style.pitch_hz is not None:
            raise Invalid("a contour holds changes of the pitch", forms, target.start(2))
        if 0.0 <= position <= 100.0:
            st, hz = style.pitch_st or 0.0, style.pitch_delta_hz or 0.0
            assert isinstance(st, float)
            assert isinstance(hz, float)
            changes[position / 100.0] = (st, hz)
        at = target.end()
    if not changes:
        raise Invalid("a contour without a target between 0% and 100%", forms)
    points = sorted(changes.items())
    points = [(0.0, points[0][1]), *points, (1.0, points[-1][1])]
    by_st, by_hz = (tuple({at: v[i] for at, v in points}.items()) for i in (0, 1))
    return Style(pitch_st=_asked(by_st), pitch_delta_hz=_asked(by_hz))


def joined(style: Style, more: Style) -> Style:
    """Both, where they ask for different things; where for the same, `more`."""
    given = {n: v for n in Style.__slots__ if (v := getattr(more, n)) is not None}
    return replace(style, **given)


def _asked(points: Contour) -> Contour | None:
    return points if any(value for _, value in points) else None


def _number(value: str, forms: list[str], at: int = 0) -> tuple[str, float, str]:
    """(sign as written, number with its sign, unit in lower case or "")."""
    read = _NUMBER.fullmatch(value.strip().lower())
    if not read:
        raise Invalid(f"{value[:40]!r} cannot be read", forms, at)
    number = float(read[2])
    return read[1], -number if read[1] == "-" else number, read[3] or ""


def _semitones(sign: str, number: float, unit: str, value: str, forms: list[str]) -> float:
    """A change in % or st as semitones: 12 log2(1 + p / 100)."""
    if not sign or unit not in ("st", "%") or (unit == "%" and number <= -100.0):
        raise Invalid(f"{value[:40]!r} is no change of the pitch", forms)
    st = number if unit == "st" else 12.0 * math.log2(1.0 + number / 100.0)
    return _within(st, SEMITONES, value, forms)


def _within(
    number: float, bounds: tuple[float, float], value: str, forms: list[str] | str
) -> float:
    low, high = bounds
    if not low <= number <= high:
        raise Invalid(f"{value[:40]!r} is outside what is taken, {low:g} to {high:g}", forms)
    return number
