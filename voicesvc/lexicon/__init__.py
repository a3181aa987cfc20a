"""Words that are said as a person decided, not as the phoneme program would. Knows no markup.

`read_pls` and `read_json` read entries, `Lexicons` keeps them in files, `hits` finds them in a
text. What an entry sounds like depends on the voice: see `sounds`.
"""

from voicesvc.lexicon.entries import Entry, Lexicon, read_json, to_json
from voicesvc.lexicon.hits import hits
from voicesvc.lexicon.kept import Lexicons
from voicesvc.lexicon.pls import read_pls
from voicesvc.lexicon.sounds import phones_of

__all__ = (
    "Entry",
    "Lexicon",
    "Lexicons",
    "hits",
    "phones_of",
    "read_json",
    "read_pls",
    "to_json",
)
