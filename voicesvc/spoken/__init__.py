"""How written English is read aloud. Knows nothing about phonemes.

`readings` finds what is said otherwise than its letters are ("$2.5m", "Henry VIII", "w-what");
`spoken` reads a short form that is one word ("Dr."); `shouted` finds what is in capitals for force.
"""

from voicesvc.spoken.acronyms import shouted
from voicesvc.spoken.forms import COUNTED, ENDINGS, INITIALS, TITLES, is_short_form, spoken
from voicesvc.spoken.readings import readings, with_readings

__all__ = (
    "COUNTED",
    "ENDINGS",
    "INITIALS",
    "TITLES",
    "is_short_form",
    "readings",
    "shouted",
    "spoken",
    "with_readings",
)
