"""How speech is written down: stutters, words broken off, drawn-out letters, noises."""

import re

from voicesvc.spoken.rules import Rule, listed, rule

# What is heard of a word that is broken off, spelled so that it is read that way. A word that is
# not here is read as its letters are; nothing can tell which word was meant.
_BROKEN = {
    "abou": "abow", "afrai": "afray", "alrea": "all reh", "alwa": "all way", "anoth": "anuth",
    "anythi": "enny thi", "beau": "byoo", "beca": "bicuh", "becau": "bicuh", "befo": "bifo",
    "belie": "billee", "bu": "buh", "ca": "caa", "chil": "chy", "cou": "cuh", "coul": "cuh",
    "di": "dih", "eno": "eenuh", "everyo": "every wuh", "everyth": "every th", "exa": "exah",
    "fath": "fahth", "figh": "fie", "fi": "fie", "frie": "freh", "gre": "gray", "gu": "guh",
    "hea": "heh", "hou": "how", "hu": "huh", "kno": "no", "kn": "nuh", "ki": "kih", "li": "lie",
    "lov": "luv", "mi": "my", "migh": "my", "moth": "muth", "mon": "mun", "mu": "muh",
    "noth": "nuth", "nothi": "nuthih", "oth": "uth", "peop": "peep", "pleas": "plea",
    "proba": "prah buh", "promi": "prommih", "rea": "ree", "reme": "rimeh", "remem": "rimem",
    "righ": "rye", "ri": "rye", "sai": "seh", "shou": "shuh", "shoul": "shuh", "sh": "shuh",
    "someo": "sum wuh", "someth": "sumth", "somethi": "sumthih", "som": "sum", "spea": "spee",
    "sto": "stah", "sudde": "suddeh", "su": "suh", "thi": "thih", "thou": "thaw", "thoug": "thaw",
    "togeth": "tugeth", "tomor": "tumor", "toni": "tunigh", "tonigh": "tunigh", "tru": "true",
    "tr": "truh", "trus": "truss", "wa": "wah", "wha": "wuh", "whe": "weh", "wher": "wear",
    "whi": "why", "wou": "wuh", "woul": "wuh", "wro": "raw", "yo": "yoo", "ye": "yeh",
    "yesterda": "yesterday",
}  # fmt: skip
_VOICED = ("the", "tha", "thi", "tho", "thu")  # that, this, they, those, thus
_UNVOICED = ("think", "thing", "third", "thirt", "thief", "thie", "theat", "theor", "thera",
             "thousa", "thought", "thorou", "theme", "thin")  # fmt: skip
_ONSETS = {"wh": "wuh", "kn": "nuh", "wr": "ruh", "ph": "fuh", "qu": "kwuh", "q": "kwuh",
           "x": "zuh", "h": "huh", "y": "yuh", "gh": "guh", "gn": "nuh"}  # fmt: skip
_VOWELS = {"a": "ah", "e": "eh", "i": "ih", "o": "oh", "u": "uh"}
_NO_STUTTER = listed(
    "b-ball b-boy b-baller d-day g-g t-test t-tests v-v re-read re-release re-register re-re"
    " co-conspirator co-counsel co-coach co-co de-de pre-press re-record re-report re-rent"
    " re-reading re-registered re-regulate re-recorded re-released"
)
_DOUBLED = listed(
    "all ball bee been bell boo book boom boss bull call cheers cool cross door dress eek egg"
    " fall feel feet fell feed fool food foot free full funny good goodbye hall happy hell"
    " hello hurry keep kill kiss look loser loss mad miss mood moon mommy daddy need off pee"
    " pool poor pretty really roll room root see seem seen sheep sleep smell soon sorry speed"
    " spell still stoop street sweet tall tell too took tooth tree wall week well wheel will"
    " woo wood yell zoo boohoo yoohoo woohoo yippee whee whoop goo ooh aww eww ugh shoo tattoo"
    " bamboo agree three knee fee gee jeez geez weed whoosh swoosh meet meeting baboon balloon"
    " afternoon"
)
_NOISES = {
    "mm-hmm": "um hmm", "mm-hm": "um hmm", "mmhmm": "um hmm", "mhm": "um hmm", "mhmm": "um hmm",
    "m-hm": "um hmm", "mm": "hmm", "hm": "hmm", "hmm": "hmm", "sh": "shush", "shh": "shush",
    "psst": "psst", "pst": "psst", "pfft": "puft", "pft": "puft", "brr": "burr", "br": "burr",
    "grr": "gur", "gr": "gur", "tsk": "tisk", "eww": "ew", "ahh": "ah", "aah": "ah", "ohh": "oh",
    "ooh": "oo", "aww": "aw", "argh": "arg", "aargh": "arg", "arrgh": "arg", "ack": "ack",
    "ugh": "ugh", "unh": "unh", "mwah": "mwah", "nuh-uh": "nuh uh", "uh-uh": "uh uh",
    "tut-tut": "tut tut", "tsk-tsk": "tisk tisk", "zz": "zuz", "uhh": "uh", "umm": "um",
    "err": "er", "whew": "whew", "phew": "few",
}  # fmt: skip
_RUN = re.compile(r"([^\W\d_])\1{2,}", re.IGNORECASE)
_SHORT_RUN = re.compile(r"([^\W\d_])\1+", re.IGNORECASE)


def _onset(part: str, rest: str) -> str:
    """A word's beginning said by itself: "w" -> "wuh"."""
    low, rest = part.lower(), rest.lower()
    if low in _VOWELS:
        return {"I": "eye"}.get(part, _VOWELS[low])
    if low == "th":
        voiced = rest.startswith(_VOICED) and not rest.startswith(_UNVOICED)
        return "the" if voiced else "thuh"
    if low == "c":
        return "suh" if rest[1:2] in ("e", "i", "y") else "chuh" if rest[1:2] == "h" else "kuh"
    if low == "g":
        soft = rest[1:2] in ("e", "i", "y") and rest[:3] not in ("get", "giv", "gir", "gif")
        return "juh" if soft else "guh"
    if low == rest[:1] and rest[:2] in ("sh", "ph", "wh", "th", "kn", "wr"):
        return _onset(rest[:2], rest)
    if low == "wh" and rest.startswith("who"):
        return "huh"
    return _ONSETS.get(low, low + "uh")


def _beginning(part: str, rest: str) -> str:
    """How the letters of a word's beginning are said, if `rest` is the word (as far as known)."""
    low = part.lower()
    if not re.search("[aeiouy]", low) or (len(low) == 1 and low != "i"):
        return _onset(part, rest)
    return _BROKEN.get(low, low)


def _stutter(m: re.Match[str], _: bool) -> str | None:
    *parts, word = m.group().split("-")
    low = m.group().lower()
    if low in _NO_STUTTER or not all(word.lower().startswith(p.lower()) for p in parts):
        return None
    whole = all(p.lower() == word.lower() for p in parts)
    if low in _NOISES or (whole and (len(word) > 2 or not re.search("[aeiouy]", low))):
        return None  # "bye-bye" is read well
    said = [p if p.lower() == "i" else _beginning(p, word) for p in parts]
    return " ".join(["I" if s.lower() == "i" else s for s in said] + [word])


def _broken(m: re.Match[str], _: bool) -> str | None:
    low = m.group().lower()
    if low in _NOISES or (m.group().isupper() and len(low) > 1):
        return None
    if not re.search("[aeiouy]", low):
        return _onset(low, low) if len(low) < 4 else None
    if len(low) == 1:
        return None if low in "aio" else _onset(low, low)
    return _BROKEN.get(low)


def _noise(m: re.Match[str], _: bool) -> str | None:
    low = _RUN.sub(r"\1\1", m.group().lower())
    said = _NOISES.get(low) or _NOISES.get(_SHORT_RUN.sub(r"\1", low))
    return None if said == m.group().lower() else said


def _drawn(m: re.Match[str], british: bool) -> str | None:
    """ "Nooo" -> "no", "goood" -> "good": double letters where a common word has them."""
    if noise := _noise(m, british):
        return noise
    word = m.group().lower()
    single = _RUN.sub(r"\1", word)
    double = _RUN.sub(r"\1\1", word)
    plain = _SHORT_RUN.sub(r"\1", single)
    known = next((w for w in (double, single) if w in _DOUBLED), None)
    return known or (plain if plain in ("no", "so", "what", "yes", "please") else single)


STUTTERS: tuple[Rule, ...] = (
    rule(
        r"(?<![\w'-])(?:[^\W\d_]{1,4}-){1,5}[^\W\d_]{1,20}(?:'[^\W\d_]{1,3})?(?![\w-])",
        _stutter,
        needs="-",
    ),
    rule(r"(?<![\w'.-])[^\W\d_]{1,10}(?=(?:—|--|-(?=[\"'\s)]|\Z)))", _broken, needs="-—"),
)
NOISES: tuple[Rule, ...] = (
    rule(
        r"(?<![\w'-])(?i:m{2,20}-?h+m+|m-?hm+|h{1,9}m{1,20}|m{2,20}|s{1,9}h{1,20}|p+s+t+|p+f+t+"
        r"|b+r{2,20}|g+r{2,20}|(?:tsk-)?tsk|e+w{2,20}|[au]?a+r+gh+|phew|zz+|u+h{2,20}|u+m{2,20}|o{2,9}h"
        r"|[ao]+h{2,20}|a+w{2,20}|er{2,9})(?![\w'-])",
        _noise,
        needs="hmHMwWtTkKrRzZ",
    ),
    rule(
        r"(?<![\w'-])(?=\w*?([^\W\d_])\1\1)[^\W\d_]{3,40}(?![\w'])",
        _drawn,
        needs="aeiouyAEIOUYslmnrthSLMNRTH",
    ),
)
