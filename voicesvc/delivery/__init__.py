"""How a line is said: emotion, prosody and emphasis, as numbers for each stretch of it.

Knows nothing of engines, durations in frames or sound.
"""

from voicesvc.delivery.emotions import EMOTIONS, Row, emotions_of, rows_of, shape_of, source_of
from voicesvc.delivery.emphasis import EMPHASIS, Accent, nucleus
from voicesvc.delivery.fields import Delivery, Emotion, Prosody, Span, Variability, check, place_of
from voicesvc.delivery.layers import Layer, emotion_of, shape_at
from voicesvc.delivery.shape import LIMITS, Shape, check_limits, compose

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
    "check_limits",
    "compose",
    "emotion_of",
    "emotions_of",
    "nucleus",
    "place_of",
    "rows_of",
    "shape_at",
    "shape_of",
    "source_of",
]
