"""How a line is said: emotion, prosody and emphasis, as numbers for each stretch of it.

Knows nothing of engines, durations in frames or sound.
"""

from voicesvc.delivery.emotions import (
    EMOTIONS,
    Row,
    emotions_of,
    rows_of,
    shape_of,
    source_of,
    styled,
)
from voicesvc.delivery.emphasis import EMPHASIS, Accent
from voicesvc.delivery.fields import Delivery, Emotion, Prosody, Span, Variability, check, place_of
from voicesvc.delivery.layers import Layer, emotion_of, felt, shape_at, shape_upon
from voicesvc.delivery.shape import LIMITS, Shape, compose, within

__all__ = [
    "EMOTIONS",
    "EMPHASIS",
    "LIMITS",
    "Accent",
    "Delivery",
    "Emotion",
    "Layer",
    "Prosody",
    "Row",
    "Shape",
    "Span",
    "Variability",
    "check",
    "compose",
    "emotion_of",
    "emotions_of",
    "felt",
    "place_of",
    "rows_of",
    "shape_at",
    "shape_of",
    "shape_upon",
    "source_of",
    "styled",
    "within",
]
