"""Text with light marks, or SSML 1.1, into a text without them and what they ask for.

Knows nothing about voices: what a style or an emotion does to the sound is decided elsewhere.
"""

import re
from typing import Literal

from voicesvc.directions import Directed
from voicesvc.markup.marks import parse_marks
from voicesvc.markup.ssml import parse_ssml

Kind = Literal["auto", "plain", "marks", "ssml"]

_SSML = re.compile(r"[\s\ufeff]*<(?:speak\b|\?xml\b)")


def parse(text: str, kind: Kind = "auto", *, lenient: bool = False) -> Directed:
    """The text without its markup, at the same length, and what the markup asks for.

    "auto" is "ssml" where the text begins with "<speak" or "<?xml", else "marks"; in "plain"
    nothing is markup. With `lenient`, elements, attributes and marks that are unknown or not
    done here are skipped and listed in `ignored`; what is inside them is still said. Raises
    errors.BadMarkup.
    """
    if kind == "auto":
        kind = "ssml" if _SSML.match(text) else "marks"
    if kind == "plain":
        return Directed(text)
    return parse_ssml(text, lenient) if kind == "ssml" else parse_marks(text, lenient)
