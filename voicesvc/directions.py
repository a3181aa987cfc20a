"""What a text asks for beside its words: styles of stretches, events between words, readings.

Offsets are characters of the request's text. Knows nothing of how markup is written or obeyed.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Emphasis = Literal["none", "reduced", "moderate", "strong"]
Strength = Literal["none", "x-weak", "weak", "medium", "strong", "x-strong"]
EmotionName = Literal[
    "neutral",
    "happy",
    "excited",
    "sad",
    "angry",
    "angry-cold",
    "fearful",
    "disgusted",
    "surprised",
    "tender",
    "intimate",
    "whispered",
    "shouted",
]
EMOTION_NAMES: tuple[EmotionName, ...] = get_args(EmotionName)
Contour = tuple[tuple[float, float], ...]  # (position 0 to 1 in the stretch's time, value), rising


@dataclass(frozen=True, slots=True)
class Said:
    """A stretch of the text that is read otherwise than it is written, as one word.

    Exactly one of `text` (words to say instead) and `phones` (symbols, one each) is given.
    """

    start: int
    end: int
    text: str | None = None
    phones: tuple[str, ...] | None = None


def within(said: Sequence[Said], start: int, end: int) -> Sequence[Said]:
    """Those of `said` (in order, none overlapping another) that reach into [start, end)."""
    first = bisect_left(said, start + 1, key=lambda s: s.end)
    return said[first : bisect_left(said, end, key=lambda s: s.start)]


@dataclass(frozen=True, slots=True)
class Style:
    """What a stretch asks for; None leaves it as it is around the stretch.

    Nested stretches compose: factors multiply, `_st` and `_db` add, names are the innermost's.
    """

    emphasis: Emphasis | None = None
    rate: float | None = None  # factor: 2.0 is twice as fast
    pitch_st: float | Contour | None = None
    pitch_hz: float | None = None  # absolute mean pitch; wins over `pitch_st` at its level
    pitch_delta_hz: float | Contour | None = None  # added to the pitch as it is without it
    range: float | Contour | None = None  # factor of the intonation's span
    energy_db: float | Contour | None = None
    tilt_db: float | None = None
    breathiness: float | None = None  # 0 to 1
    pause_scale: float | None = None
    emotion: str | None = None
    intensity: float | None = None  # of `emotion`; 1.0 where only the emotion is given
    duration_s: float | None = None  # the stretch is to last exactly this long
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Styled:
    """A stretch of the text [start, end) and its style."""

    start: int
    end: int
    style: Style


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence at `at`. Exactly one of `length_s` and `strength` is given."""

    at: int
    length_s: float | None = None
    strength: Strength | None = None


@dataclass(frozen=True, slots=True)
class Breath:
    """An audible breath at `at`."""

    at: int


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A name whose time comes back in the timings."""

    at: int
    name: str


Event = Pause | Breath | Bookmark


@dataclass(frozen=True, slots=True)
class Ignored:
    """Markup that was skipped on request, and why."""

    start: int
    end: int
    why: str


@dataclass(frozen=True, slots=True)
class Directed:
    """A text without its markup, and what the markup asked for.

    `text` has the request's length: markup is spaces in it (and one "," or "\\n" where it makes a
    pause or ends a paragraph), so every offset is one of the request.
    """

    text: str
    said: tuple[Said, ...] = ()  # in order, none overlapping another
    styled: tuple[Styled, ...] = ()  # outer ones before those inside them
    events: tuple[Event, ...] = ()  # in order
    ignored: tuple[Ignored, ...] = ()
