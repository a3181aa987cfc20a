"""What the stretches around a moment ask for, put together into one shape."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast

from voicesvc.delivery.emotions import EMOTIONS, Rows, shape_of
from voicesvc.delivery.emphasis import EMPHASIS
from voicesvc.delivery.fields import Emotion, Named, Prosody, Span
from voicesvc.delivery.shape import Shape, compose
from voicesvc.directions import Contour, EmotionName, Style
from voicesvc.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Layer:
    """One stretch around a moment, and where in its time the moment is, 0 to 1."""

    asks: Prosody | Style
    position: float = 0.5


def shape_at(layers: Sequence[Layer], f0_median_hz: float, rows: Rows = EMOTIONS) -> Shape:
    """The shape at a moment; `layers` from the outermost to the innermost.

    Emotion and emphasis are the innermost's that names one, so a span replaces the line's, and
    "neutral" or "none" takes it away. All else composes. An absolute pitch wins over what lies
    around it; `f0_median_hz` is the voice's own.

    Raises:
        InvalidRequest: a shift in Hz leaves no pitch.
    """
    return shape_upon(felt(layers, rows), layers, f0_median_hz)


def felt(layers: Sequence[Layer], rows: Rows = EMOTIONS) -> tuple[Shape, Shape | None]:
    """Of `shape_at` what does not depend on the moment: emotion and emphasis."""
    emotion: Emotion | None = None
    emphasis = None
    for layer in layers:
        emotion = emotion_of(layer.asks) or emotion
        if isinstance(layer.asks, Style | Span):
            emphasis = layer.asks.emphasis or emphasis
    return shape_of(emotion, rows), EMPHASIS[emphasis].shape if emphasis else None


def shape_upon(
    felt: tuple[Shape, Shape | None], layers: Sequence[Layer], f0_median_hz: float
) -> Shape:
    """Of `shape_at` the rest. Raises as that."""
    shape, emphasis = felt
    for layer in layers:
        shape = compose(shape, _own(layer))
        if isinstance(layer.asks, Style):
            shape = _in_hz(shape, layer.asks, layer.position, f0_median_hz)
    return shape if emphasis is None else compose(shape, emphasis)


def emotion_of(asks: Prosody | Style) -> Emotion | None:
    """The emotion a stretch asks for itself."""
    if isinstance(asks, Prosody):
        return asks.emotion
    if asks.emotion is None:
        return None
    intensity = 1.0 if asks.intensity is None else asks.intensity
    return Named(name=cast(EmotionName, asks.emotion), intensity=intensity)


def at(value: float | Contour | None, position: float, unset: float) -> float:
    """A number, or a contour's value at `position`, or `unset` for None."""
    if value is None:
        return unset
    if isinstance(value, int | float):
        return float(value)
    for (x0, y0), (x1, y1) in pairwise(value):
        if position <= x0:
            return y0
        if position <= x1:
            return y0 + (y1 - y0) * (position - x0) / (x1 - x0)
    return value[-1][1]


def _own(layer: Layer) -> Shape:
    """What the stretch itself asks for, without its emotion and emphasis."""
    asks, position = layer.asks, layer.position
    return Shape(
        rate=at(asks.rate, position, 1.0),
        pause_scale=at(asks.pause_scale, position, 1.0),
        pitch_st=at(asks.pitch_st, position, 0.0),
        range=at(asks.range, position, 1.0),
        energy_db=at(asks.energy_db, position, 0.0),
        tilt_db=at(asks.tilt_db, position, 0.0),
        breathiness=at(asks.breathiness, position, 0.0),
    )


def _in_hz(shape: Shape, style: Style, position: float, f0_median_hz: float) -> Shape:
    pitch_st = shape.pitch_st
    if style.pitch_hz is not None:
        pitch_st = 12 * math.log2(style.pitch_hz / f0_median_hz)
    if style.pitch_delta_hz is not None:
        before_hz = f0_median_hz * 2 ** (pitch_st / 12)
        after_hz = before_hz + at(style.pitch_delta_hz, position, 0.0)
        if after_hz <= 0:
            raise InvalidRequest(
                f"a shift of {after_hz - before_hz:g} Hz leaves no pitch",
                where="text",
                valid=f"more than -{before_hz:.0f} Hz for this voice",
            )
        pitch_st += 12 * math.log2(after_hz / before_hz)
    return replace(shape, pitch_st=pitch_st)
