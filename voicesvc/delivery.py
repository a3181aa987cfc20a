"""How a line is to be delivered, as numbers. Knows nothing of text, models or sound."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """What a stretch of speech is to be, against the model's own: factors, semitones, decibels."""

    rate: float = 1.0
    pause_scale: float = 1.0
    pitch_st: float = 0.0
    range: float = 1.0
    energy_db: float = 0.0
    tilt_db: float = 0.0
    breathiness: float = 0.0
    whisper: float = 0.0
    jitter_st: float = 0.0
