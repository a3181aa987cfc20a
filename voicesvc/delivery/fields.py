"""What a caller may ask of a line's delivery: the fields, their units and their bounds."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator as After
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from voicesvc.delivery.shape import EXTREME_PITCH_ST, LIMITS
from voicesvc.directions import EmotionName, Emphasis
from voicesvc.errors import InvalidRequest

MAX_POINTS = 1000
MAX_INTENSITY = 2.0
_SUM_SLACK = 1e-6  # 0.7 + 0.2 + 0.1 is not quite 1
_AS = "as "  # what alternatives' names begin with in a validation error's location


def _finite(low: float, high: float) -> Any:
    return Field(ge=low, le=high, allow_inf_nan=False)


def _rising(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    if any(a[0] >= b[0] for a, b in pairwise(points)):
        raise ValueError("the positions of a contour rise")
    return points


def _kind(value: object) -> str:
    return _AS + ("contour" if isinstance(value, list | tuple) else "number")


Position = Annotated[float, _finite(0.0, 1.0)]
Rate = Annotated[float, _finite(0.5, 2.0)]
PitchSt = Annotated[float, _finite(*EXTREME_PITCH_ST)]
Range = Annotated[float, _finite(0.0, 2.5)]
EnergyDb = Annotated[float, _finite(-24.0, 12.0)]

_LAX = Field(strict=False)  # JSON has arrays, not tuples
_POINTS = Field(strict=False, min_length=2, max_length=MAX_POINTS)
_Number, _Contour, _By = Tag(_AS + "number"), Tag(_AS + "contour"), Discriminator(_kind)
RateCurve = Annotated[tuple[Annotated[tuple[Position, Rate], _LAX], ...], _POINTS, After(_rising)]
PitchCurve = Annotated[
    tuple[Annotated[tuple[Position, PitchSt], _LAX], ...], _POINTS, After(_rising)
]
RangeCurve = Annotated[tuple[Annotated[tuple[Position, Range], _LAX], ...], _POINTS, After(_rising)]
EnergyCurve = Annotated[
    tuple[Annotated[tuple[Position, EnergyDb], _LAX], ...], _POINTS, After(_rising)
]


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Named(_Fields):
    """One emotion of the table, more or less of it."""

    name: EmotionName = Field(description="an emotion of the table")
    intensity: float = Field(
        1.0,
        ge=0.0,
        le=MAX_INTENSITY,
        allow_inf_nan=False,
        description="0 is neutral, 1 the table's, up to 2 exaggerates",
    )


class Dimensions(_Fields):
    """A place among emotions, each axis from -1 to 1; (0, 0, 0) is neutral."""

    valence: float = Field(0.0, ge=-1.0, le=1.0, description="unpleasant -1 to pleasant 1")
    arousal: float = Field(0.0, ge=-1.0, le=1.0, description="calm -1 to agitated 1")
    dominance: float = Field(0.0, ge=-1.0, le=1.0, description="submissive -1 to dominant 1")


def _at_most_one(weights: dict[Any, float]) -> dict[Any, float]:
    if not weights or sum(weights.values()) > 1.0 + _SUM_SLACK:
        raise ValueError("the weights of a mixture, of one emotion or more, add up to 1 at most")
    return weights


Mixture = Annotated[
    dict[EmotionName, Annotated[float, _finite(0.0, 1.0)]],
    After(_at_most_one),
]


def _form(value: object) -> str:
    if isinstance(value, str):
        return _AS + "name"
    keys = value.keys() if isinstance(value, dict) else set()
    if isinstance(value, Named) or "name" in keys or "intensity" in keys:
        return _AS + "emotion"
    if isinstance(value, Dimensions) or keys & Dimensions.model_fields.keys():
        return _AS + "dimensions"
    return _AS + "mixture"


Emotion = Annotated[
    Annotated[EmotionName, Tag(_AS + "name")]
    | Annotated[Named, Tag(_AS + "emotion")]
    | Annotated[Dimensions, Tag(_AS + "dimensions")]
    | Annotated[Mixture, Tag(_AS + "mixture")],
    Discriminator(_form),
]


class Prosody(_Fields):
    """What a line or a span of it may ask for; null leaves it as it is around it.

    A contour is [[position, value], ...]: positions from 0 to 1 of the stretch's time, rising;
    straight lines between, constant beyond the ends.
    """

    emotion: Emotion | None = Field(
        None,
        description="a name; a name and an intensity; a mixture of weights that add up to 1 at "
        "most; or valence, arousal and dominance, each -1 to 1",
        examples=["sad", {"name": "sad", "intensity": 0.6}, {"angry": 0.7, "fearful": 0.3}],
    )
    rate: Annotated[Annotated[Rate, _Number] | Annotated[RateCurve, _Contour], _By] | None = Field(
        None,
        description="speaking rate, factor or contour, 0.5 to 2.0, in the model's durations: "
        "2.0 halves them",
    )
    pitch_st: (
        Annotated[Annotated[PitchSt, _Number] | Annotated[PitchCurve, _Contour], _By] | None
    ) = Field(
        None,
        description="shift of f0 in semitones, number or contour: -4 to 8, with `extreme` -12 "
        "to 12",
    )
    range: Annotated[Annotated[Range, _Number] | Annotated[RangeCurve, _Contour], _By] | None = (
        Field(
            None,
            description="factor of the intonation's span, number or contour, 0 (monotone) to 2.5",
        )
    )
    energy_db: (
        Annotated[Annotated[EnergyDb, _Number] | Annotated[EnergyCurve, _Contour], _By] | None
    ) = Field(None, description="gain in dB, number or contour, -24 to 12")
    tilt_db: float | None = Field(
        None, ge=-12.0, le=12.0, description="gain above 1.5 kHz in dB, -12 to 12"
    )
    breathiness: float | None = Field(
        None, ge=0.0, le=1.0, description="breath noise in the voice, 0 to 1"
    )
    pause_scale: float | None = Field(
        None, ge=0.0, le=4.0, description="factor of the pauses' lengths, 0 to 4"
    )


class Span(Prosody):
    """A stretch of the text and what it asks for; nested spans compose."""

    start: int = Field(ge=0, description="first character of the text, counted from 0")
    end: int = Field(ge=1, description="the character after the last")
    emphasis: Emphasis | None = Field(None, description="strong, moderate, reduced or none")


class Variability(_Fields):
    """How much a take differs from the next: factors of the model's noise."""

    sound: float = Field(1.0, ge=0.0, le=1.5, description="of timbre and intonation, 0 to 1.5")
    timing: float = Field(1.0, ge=0.0, le=1.5, description="of durations, 0 to 1.5")


class Delivery(Prosody):
    """How a line is to be said."""

    language: str | None = Field(
        None,
        max_length=35,
        description="of the text, one of those that /v1/actors lists for the actor; unset: its own",
    )
    extreme: bool = Field(False, description="allow pitch_st beyond -4 to 8, to -12 to 12")
    variability: Variability = Field(
        Variability(), description="factors of the model's noise scales"
    )
    breaths: Literal["none", "auto", "marked"] = Field(
        "marked", description="marked: where the text says [breath]; auto: at phrases too; none"
    )
    room_tone: bool = Field(False, description="whether pauses have the voice's own noise floor")
    spans: tuple[Span, ...] = Field(
        (),
        strict=False,
        max_length=1000,
        description="stretches of the text with a delivery of their own",
    )


def place_of(location: Iterable[int | str]) -> str:
    """The dotted path of a validation error's location, without the alternative that was tried."""
    return ".".join(str(p) for p in location if not str(p).startswith(_AS))


def check(delivery: Delivery, text_length: int) -> None:
    """The cross-checks of fields, before anything is computed.

    Raises:
        InvalidRequest: a span is empty or ends beyond the text, or two spans cross without one
            being inside the other, or a pitch needs `extreme`.
    """
    stretches: list[tuple[str, Prosody]] = [("", delivery)]
    stretches += [(f"spans.{i}.", span) for i, span in enumerate(delivery.spans)]
    for where, prosody in stretches:
        _check_pitch(prosody, where, extreme=delivery.extreme)
    open_ends: list[int] = []
    for i, span in sorted(enumerate(delivery.spans), key=lambda s: (s[1].start, -s[1].end)):
        if not span.start < span.end <= text_length:
            raise InvalidRequest(
                f"the span [{span.start}, {span.end}) is no stretch of the text",
                where=f"spans.{i}",
                valid=f"start < end, end up to {text_length}",
            )
        while open_ends and open_ends[-1] <= span.start:
            open_ends.pop()
        if open_ends and span.end > open_ends[-1]:
            raise InvalidRequest(
                f"the span [{span.start}, {span.end}) crosses the end of another",
                where=f"spans.{i}",
                valid="spans inside one another, or apart",
            )
        open_ends.append(span.end)


def _check_pitch(prosody: Prosody, where: str, *, extreme: bool) -> None:
    asked = prosody.pitch_st
    if asked is None or extreme:
        return
    low, high = LIMITS["pitch_st"]
    values = [asked] if isinstance(asked, float) else [value for _, value in asked]
    if not all(low <= value <= high for value in values):
        raise InvalidRequest(
            "a pitch shift this large costs quality",
            where=f"{where}pitch_st",
            valid=f"{low:g} to {high:g}, or with extreme: true {EXTREME_PITCH_ST[0]:g} to "
            f"{EXTREME_PITCH_ST[1]:g}",
        )
