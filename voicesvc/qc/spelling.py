"""One spelling for words that are written in several ways and said in one.

Only for comparing: both sides are spelled so, and what comes out need not be a word.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

# American, as recognisers write; the words that no rule below reaches.
_SAME = {
    "ageing": "aging", "alright": "allright", "analogue": "analog", "artefact": "artifact",
    "axe": "ax", "cannot": "cant", "cheque": "check", "cos": "because", "cosy": "cozy",
    "cuz": "because", "draught": "draft", "enrol": "enroll", "fulfil": "fulfill",
    "goodby": "goodbye", "grey": "gray", "greyer": "grayer", "greys": "grays", "hallo": "hello",
    "hullo": "hello", "jewellery": "jewelry", "judgement": "judgment", "kerb": "curb",
    "miz": "miss", "mould": "mold", "moustache": "mustache", "mrs": "missus", "o": "oh",
    "ok": "okay", "plough": "plow", "practise": "practice", "practised": "practiced",
    "practises": "practices", "practising": "practicing", "programme": "program",
    "programmes": "programs", "pyjamas": "pajamas", "sceptical": "skeptical", "skilful": "skillful",
    "smoulder": "smolder", "storey": "story", "sulphur": "sulfur", "til": "till", "tyre": "tire",
    "tyres": "tires", "whisky": "whiskey", "woah": "whoa", "woollen": "woolen", "yea": "yeah",
}  # fmt: skip
_RULES = tuple(
    (re.compile(pattern), american)
    for pattern, american in (
        # harbour, coloured, favourite; not "hour" or "tour"
        (r"(?<=[a-z]{2})our(?=(?:s|ed|ing|ers?|abl[ey]|ful|less|ites?|hood|ly|y)?$)", "or"),
        # realise, organisation
        (r"(?<=[a-z]{2})is(?=(?:e|ed|es|ing|ers?|ations?)$)", "iz"),
        (r"(?<=[a-z]{2})ys(?=(?:e|ed|es|ing|ers?)$)", "yz"),  # analyse
        (r"(?<=[a-z]{2})([tbv])re(?=[sd]?$)", r"\1er"),  # centre, fibre, manoeuvre
        (r"ogue(?=s?$)", "og"),  # dialogue
        (r"ence(?=[sd]?$)", "ense"),  # defence
        (r"([aeiouy]\w*[^aeiou][aeiou])ll(?=(?:ed|ing|ers?|ors?|ous)$)", r"\1l"),  # travelled
        (r"^(an|encyclop|arch|h|leuk|p)ae(?=[a-z]{3})", r"\1e"),  # archaeology
        (r"^(am|diarrh|man|subp)oe", r"\1e"),  # manoeuvre
    )
)
# The second of two words as it is written when it leans on the first: "it is", "its".
_LEANING = {
    "am": ("m",), "are": ("re",), "had": ("d",), "has": ("s",), "have": ("ve", "a"), "is": ("s",),
    "not": ("nt", "t"), "us": ("s",), "will": ("ll",), "would": ("d",), "of": ("a",),
}  # fmt: skip
_IRREGULAR = {
    ("dont", "know"): ("dunno",), ("give", "me"): ("gimme",), ("going", "to"): ("gonna",),
    ("got", "to"): ("gotta",), ("let", "me"): ("lemme",), ("shall", "not"): ("shant",),
    ("want", "to"): ("wanna",), ("will", "not"): ("wont",),
}  # fmt: skip


@lru_cache(maxsize=16384)
def spelled(word: str) -> str:
    """A word as it is compared: in lower case, American, without marks; "it's" is "its"."""
    plain = unicodedata.normalize("NFKD", word.lower())
    plain = "".join(c for c in plain if c.isalnum())
    if plain in _SAME:
        return _SAME[plain]
    for pattern, american in _RULES:
        plain = pattern.sub(american, plain)
    return plain


def as_one(words: Sequence[str]) -> list[str]:
    """How neighbouring words, as `spelled`, are written together, in every way that is usual.

    ("good", "bye") -> "goodbye"; ("it", "is") -> "itis", "its".
    """
    ways = ["".join(words)]
    if len(words) == 2:
        ways += [words[0] + short for short in _LEANING.get(words[1], ())]
        ways += _IRREGULAR.get((words[0], words[1]), ())
    return ways
