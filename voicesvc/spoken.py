"""How short forms and figures are read aloud in English. Knows nothing about phonemes.

The phoneme programs read plain numbers well ("1,024", "5:45", "21st"); this is what they get wrong.
"""

import re

# What they are said as; a dot after them ends no sentence.
TITLES = {
    "adm.": "admiral",
    "approx.": "approximately",
    "capt.": "captain",
    "cf.": "compare",
    "cmdr.": "commander",
    "col.": "colonel",
    "dr.": "doctor",
    "e.g.": "for example",
    "ext.": "exterior",
    "gen.": "general",
    "gov.": "governor",
    "i.e.": "that is",
    "int.": "interior",
    "lt.": "lieutenant",
    "maj.": "major",
    "messrs.": "messers",
    "mr.": "mister",
    "mrs.": "mrs",
    "ms.": "miz",
    "mt.": "mount",
    "ph.d.": "P H D",
    "pres.": "president",
    "prof.": "professor",
    "sen.": "senator",
    "sgt.": "sergeant",
    "viz.": "namely",
    "vs.": "versus",
}
# The same, but these may stand at a sentence's end: it ends there if a usual first word follows.
ENDINGS = {
    "apr.": "april",
    "aug.": "august",
    "ave.": "avenue",
    "blvd.": "boulevard",
    "co.": "company",
    "corp.": "corporation",
    "dec.": "december",
    "dept.": "department",
    "est.": "established",
    "etc.": "etc",
    "feb.": "february",
    "ft.": "feet",
    "inc.": "incorporated",
    "jan.": "january",
    "jr.": "junior",
    "ltd.": "limited",
    "nov.": "november",
    "oct.": "october",
    "rd.": "road",
    "rep.": "representative",
    "rev.": "reverend",
    "sept.": "september",
    "sr.": "senior",
    "st.": "saint",
}
# Short forms only before a figure: "No. 5", "fig. 3".
COUNTED = {"fig.": "figure", "no.": "number", "vol.": "volume"}
INITIALS = re.compile(r"(?:[^\W\d_]\.)+")
# Read as the same short form without its dot.
_BARE = frozenset({"dr", "jr", "lt", "mr", "mrs", "ms", "mt", "prof", "sgt", "sr", "vs"})
_COINS = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
_SCALES = frozenset(("hundred", "thousand", "million", "billion", "trillion"))
_MONEY = re.compile(r"([$£€])(\d[\d,]*)(?:\.(\d\d)|(\.\d+))?")
_DECADE = re.compile(r"'?(1\d|20)?([2-9])0s")
_DECADES = (
    "twenties",
    "thirties",
    "forties",
    "fifties",
    "sixties",
    "seventies",
    "eighties",
    "nineties",
)
_YEAR = re.compile(r"(1[1-9]|20)(\d)(\d)")
_DATE = re.compile(r"(\d\d?)/(\d\d?)/(\d{4})")
_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_RANGE = re.compile(r"(\d+)-(\d+)")
_HUNDREDTH = re.compile(r"([1-9])(00|000)th")
_CLOCK = re.compile(r"(\d\d?):0(\d)")
_FRACTIONS = {
    "1/2": "one half",
    "1/3": "one third",
    "1/4": "one quarter",
    "2/3": "two thirds",
    "3/4": "three quarters",
}
_ROMAN = re.compile(r"X{0,3}(?:IX|IV|V?I{0,3})")
_NUMBERED = frozenset(
    {"act", "book", "chapter", "part", "scene", "section", "season", "volume", "war"}
)


def is_short_form(word: str, after: str = "") -> bool:
    """Whether `word` with its dot ("Dr.", "U.S.", "J.") is a short form before `after`."""
    low = word.lower()
    counted = low in COUNTED and after[:1].isdigit()
    return counted or low in TITLES or low in ENDINGS or bool(INITIALS.fullmatch(word))


def spoken(word: str, before: str = "", after: str = "") -> str:
    """What a phoneme program is given for `word`, between these neighbours as written.

    "Dr." -> "doctor", "$3.50" -> "3 dollars 50", "1999" -> "19 99"; most words are left alone.
    """
    return (
        _short_form(word, after)
        or _money(word, before, after)
        or _year(word)
        or _figures(word, after)
        or _roman(word, before)
        or word
    )


def _short_form(word: str, after: str) -> str:
    low = word.lower()
    if low == "st.":
        return "saint" if after[:1].isupper() else "street"
    if low in COUNTED and after[:1].isdigit():
        return COUNTED[low]
    if low in _BARE:
        low += "."
    if "." in word and INITIALS.fullmatch(word.removesuffix(".") + "."):
        return TITLES.get(low) or word.replace(".", "")
    return TITLES.get(low) or ENDINGS.get(low) or ""


def _money(word: str, before: str, after: str) -> str:
    amount = _MONEY.fullmatch(before)
    if word.lower() in _SCALES and amount:
        return f"{word} {_COINS[amount[1]][0]}s"
    amount = _MONEY.fullmatch(word)
    if not amount:
        return ""
    sign, whole, cents, part = amount.groups()
    if after.lower() in _SCALES:
        return word[1:]
    one, small = _COINS[sign]
    if part:
        return f"{whole}{part} {one}s"
    large = f"{whole} {one}" + "s" * (whole != "1" and before.lower() != "a")  # a $20 bill
    if not cents or cents == "00":
        return large
    if whole.strip("0"):
        return f"{large} {_digits(cents)}"
    if small == "penny":
        return f"{int(cents)} " + ("pence" if cents != "01" else small)
    return f"{int(cents)} {small}" + "s" * (cents != "01")


def _year(word: str) -> str:
    if decade := _DECADE.fullmatch(word):
        return f"{decade[1] or ''} {_DECADES[int(decade[2]) - 2]}".strip()
    year = _YEAR.fullmatch(word)
    if not year or word[:3] == "200":
        return ""
    return f"{year[1]} " + ("hundred" if word[2:] == "00" else _digits(word[2:]))


def _digits(two: str) -> str:
    """Two digits, a leading zero as "oh"."""
    return two if two[0] != "0" else f"oh {two[1]}"


def _figures(word: str, after: str) -> str:
    if word in _FRACTIONS:
        return _FRACTIONS[word]
    if (date := _DATE.fullmatch(word)) and 1 <= int(date[1]) <= 12:
        return f"{_MONTHS[int(date[1]) - 1]} {_ordinal(int(date[2]))} {spoken(date[3])}"
    if span := _RANGE.fullmatch(word):
        if len(span[1]) == 3 and len(span[2]) == 4:
            return " ".join(span[1] + span[2])  # a telephone number
        return f"{spoken(span[1])} to {spoken(span[2])}"
    if clock := _CLOCK.fullmatch(word):
        hour = clock[1] if after[:1] in "apAP" and after else f"{clock[1]} o'clock"
        return hour if clock[2] == "0" else f"{clock[1]} oh {clock[2]}"
    if tenth := _HUNDREDTH.fullmatch(word):
        return f"{tenth[1]} {'hundredth' if tenth[2] == '00' else 'thousandth'}"
    if word[0] == "#" and word[1:].isdigit():
        return f"number {word[1:]}"
    if "/" in word:
        return word.replace("/", " ")
    return ""


def _ordinal(n: int) -> str:
    return f"{n}" + {1: "st", 2: "nd", 3: "rd"}.get(n % 10 if n not in (11, 12, 13) else 0, "th")


def _roman(word: str, before: str) -> str:
    numbered = before.lower() in _NUMBERED
    if not _ROMAN.fullmatch(word) or not (numbered or (len(word) > 1 and before[:1].isupper())):
        return ""
    values = [{"I": 1, "V": 5, "X": 10}[c] for c in word]
    n = sum(v if v >= max(values[i:]) else -v for i, v in enumerate(values))
    return str(n) if numbered else f"the {_ordinal(n)}"
