"""Emphasis: what leaning on a word does to its stressed syllable, and which symbols that is.

Directions are those of Cooper, Eady & Mueller (1985, JASA 77): a word in focus is longer and
higher. Sluijter & van Heuven (1996, JASA 100) add that stress lifts the upper spectrum more than
the level. Sizes are within what they report, chosen so that strong differs from moderate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from voicesvc.delivery.shape import Shape
from voicesvc.directions import Emphasis
from voicesvc.plan import STRESS, Unit

VOWELS = frozenset("aeiouyæøœɐɑɒɔɘəɚɛɜɝɞɤɨɪɯɵɶʉʊʌʏᵻε")


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


def nucleus(units: Sequence[Unit]) -> tuple[int, int]:
    """The units [begin, end) of a word's most stressed vowel, with its blanks and length marks.

    That is the first vowel after a primary stress mark, else after a secondary one, else the
    word's first vowel. (0, 0) where there is none.
    """
    for mark in (*STRESS, ""):
        stressed = not mark
        for i, unit in enumerate(units):
            if unit.symbol == mark:
                stressed = True
            if stressed and unit.kind == "phone" and unit.symbol[0] in VOWELS:
                return i, _end(units, i + 1)
    return 0, 0


def _end(units: Sequence[Unit], at: int) -> int:
    """Where what belongs to the vowel before `at` ends: a diphthong's second half is in it."""
    while at < len(units):
        unit = units[at]
        vowel = unit.kind == "phone" and unit.symbol[0] in VOWELS
        sign = unit.kind == "mark" and unit.symbol not in STRESS
        if not (vowel or sign or unit.kind == "blank"):
            break
        at += 1
    return at
