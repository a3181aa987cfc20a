"""Emphasis: what leaning on a word does to its stressed syllable.

Directions are those of Cooper, Eady & Mueller (1985, JASA 77): a word in focus is longer and
higher. Sluijter & van Heuven (1996, JASA 100) add that stress lifts the upper spectrum more than
the level. Sizes are within what they report, chosen so that strong differs from moderate.
"""

from dataclasses import dataclass

from voicesvc.delivery.shape import Shape
from voicesvc.directions import Emphasis


@dataclass(frozen=True, slots=True)
class Accent:
    """What emphasis does to a word: its stressed vowel lasts longer, all of it is shaped."""

    vowel_scale: float  # factor of the duration of the stressed syllable's vowel
    shape: Shape


EMPHASIS: dict[Emphasis, Accent] = {
    "none": Accent(1.0, Shape()),
    "reduced": Accent(0.85, Shape(pitch_st=-1.0, energy_db=-2.0, tilt_db=-1.0)),
    "moderate": Accent(1.2, Shape(pitch_st=1.5, energy_db=1.5, tilt_db=1.0)),
    "strong": Accent(1.4, Shape(pitch_st=3.0, energy_db=3.0, tilt_db=2.0)),
}
