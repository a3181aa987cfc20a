"""Numbers, years, digits and letters in English words. Knows nothing of where they stand."""

from functools import lru_cache

from num2words import num2words

LONGEST = 15  # digits that are read as one number
_NAMES = {"A": "eh", "I": "eye"}  # alone, these two are also words, and weaker ones


@lru_cache(maxsize=4096)
def cardinal(figures: str, british: bool = False) -> str:
    """ "1,024" -> "one thousand twenty four", "2.50" -> "two point five zero"; British with "and".

    What is too long to be read as one number is read digit by digit.
    """
    whole, dot, part = figures.replace(",", "").partition(".")
    if len(whole) > LONGEST or (len(whole) > 1 and whole[0] == "0"):
        said = digits(whole)
    else:
        said = _plain(num2words(int(whole or "0")), british)
    return f"{said} point {digits(part)}" if dot else said


@lru_cache(maxsize=4096)
def ordinal(n: int, british: bool = False) -> str:
    """21 -> "twenty first"."""
    return _plain(num2words(n, to="ordinal"), british)


@lru_cache(maxsize=4096)
def year(n: int, british: bool = False) -> str:
    """1905 -> "nineteen oh five"."""
    return _plain(num2words(n, to="year"), british)


def _plain(words: str, british: bool) -> str:
    words = words.replace("-", " ").replace(",", "")
    return words if british else words.replace(" and ", " ")


def digits(figures: str, zero: str = "zero") -> str:
    """ "405" -> "four zero five"."""
    return " ".join(zero if c == "0" else cardinal(c) for c in figures)


def pair(two: str, zero: str = "oh") -> str:
    """Two digits as on a clock: "05" -> "oh five", "50" -> "fifty"."""
    return f"{zero} {cardinal(two[1])}" if two[0] == "0" else cardinal(two)


def designation(figures: str) -> str:
    """The figures of a name ("117" -> "one seventeen", "1000" -> "one thousand")."""
    if figures == "007":
        return "double oh seven"
    if figures[0] == "0" or len(figures) > 4:
        return cardinal(figures) if figures.rstrip("0") == figures[0] else digits(figures, "oh")
    if len(figures) < 3 or figures.endswith("000"):
        return cardinal(figures)
    if figures.endswith("00"):
        return f"{cardinal(figures[:-2])} hundred"
    return f"{cardinal(figures[:-2])} {pair(figures[-2:])}"


def letters(written: str) -> str:
    """Letter by letter: "VIP" -> "V eye P", as phoneme programs name letters and not words."""
    return " ".join(_NAMES.get(c, c) for c in written.upper())


def plural(noun: str) -> str:
    """More than one of what can be counted here: "inch" -> "inches"."""
    head, per, unit = noun.partition(" per ")
    irregular = {"foot": "feet", "penny": "pence", "hertz": "hertz", "yen": "yen", "fps": "fps"}
    last = head.rpartition(" ")[2]
    for one, many in irregular.items():
        if last.endswith(one):
            return f"{head.removesuffix(one)}{many}{per}{unit}"
    if head.startswith(("degree ", "part ", "decibel ")):
        first, _, rest = head.partition(" ")
        return f"{first}s {rest}{per}{unit}"
    return head + ("es" if head.endswith(("ch", "s")) else "s") + per + unit
