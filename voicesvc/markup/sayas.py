"""`say-as`: what is written -> the words to say, in English, apart by spaces alone.

The names are W3C's ("SSML 1.0 say-as attribute values", Working Group Note, 2005) and those that
Azure, Google and Amazon document. Dates, times and sums are in `sayas_forms`.
"""

import re
import unicodedata
from collections.abc import Callable

from voicesvc.markup.sayas_forms import currency, date, duration, in_order, time, words
from voicesvc.markup.values import Invalid

BLEEP = "bleep"
LONGEST = 200  # characters of one text to read
_FIGURES = 36  # digits of a number: num2words has names up to there
_SIGNS = {
    ".": "dot",
    ",": "comma",
    "-": "dash",
    "–": "dash",
    "—": "dash",
    "_": "underscore",
    "/": "slash",
    "\\": "backslash",
    "@": "at",
    "&": "and",
    "#": "hash",
    "*": "star",
    "+": "plus",
    "=": "equals",
    "%": "percent",
    "$": "dollar",
    "€": "euro",
    "£": "pound",
    ":": "colon",
    ";": "semicolon",
    "!": "exclamation mark",
    "?": "question mark",
    "'": "apostrophe",
    "’": "apostrophe",
    '"': "quote",
    "(": "open bracket",
    ")": "close bracket",
    "<": "less than",
    ">": "greater than",
    "~": "tilde",
    "^": "caret",
    "|": "bar",
    "[": "open square bracket",
    "]": "close square bracket",
    "{": "open brace",
    "}": "close brace",
}
# As written -> (one, several).
_UNITS = {
    "mm": ("millimetre", "millimetres"),
    "cm": ("centimetre", "centimetres"),
    "m": ("metre", "metres"),
    "km": ("kilometre", "kilometres"),
    "in": ("inch", "inches"),
    '"': ("inch", "inches"),
    "ft": ("foot", "feet"),
    "'": ("foot", "feet"),
    "yd": ("yard", "yards"),
    "mi": ("mile", "miles"),
    "mg": ("milligram", "milligrams"),
    "g": ("gram", "grams"),
    "kg": ("kilogram", "kilograms"),
    "t": ("tonne", "tonnes"),
    "oz": ("ounce", "ounces"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "ml": ("millilitre", "millilitres"),
    "l": ("litre", "litres"),
    "gal": ("gallon", "gallons"),
    "ms": ("millisecond", "milliseconds"),
    "s": ("second", "seconds"),
    "sec": ("second", "seconds"),
    "min": ("minute", "minutes"),
    "h": ("hour", "hours"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "d": ("day", "days"),
    "hz": ("hertz", "hertz"),
    "khz": ("kilohertz", "kilohertz"),
    "mhz": ("megahertz", "megahertz"),
    "ghz": ("gigahertz", "gigahertz"),
    "kb": ("kilobyte", "kilobytes"),
    "mb": ("megabyte", "megabytes"),
    "gb": ("gigabyte", "gigabytes"),
    "tb": ("terabyte", "terabytes"),
    "v": ("volt", "volts"),
    "w": ("watt", "watts"),
    "kw": ("kilowatt", "kilowatts"),
    "a": ("ampere", "amperes"),
    "db": ("decibel", "decibels"),
    "°": ("degree", "degrees"),
    "°c": ("degree Celsius", "degrees Celsius"),
    "°f": ("degree Fahrenheit", "degrees Fahrenheit"),
    "%": ("percent", "percent"),
    "m/s": ("metre per second", "metres per second"),
    "km/h": ("kilometre per hour", "kilometres per hour"),
    "kph": ("kilometre per hour", "kilometres per hour"),
    "mph": ("mile per hour", "miles per hour"),
    "fps": ("frame per second", "frames per second"),
}
_NUMBER = re.compile(r"([+-]?)(\d[\d,  ]*)(\.\d+)?", re.ASCII)
_FRACTION = re.compile(r"(-?)(?:(\d{1,12})\s*[ +]\s*)?(\d{1,12})\s*[/⁄]\s*(\d{1,12})", re.ASCII)
_MEASURE = re.compile(r"([+-]?\d[\d,]*(?:\.\d+)?)\s*([^\d\s.,][^\d\s]*)", re.ASCII)
_DIALLED = re.compile(r"(\d)|([+#*])|(?i:(ext(?:ension|\.)?|x(?=[\s.]*\d)))|([A-Za-z])|[-\s().,/]")
_DIALLED_SIGNS = {"+": "plus", "#": "pound", "*": "star"}


def letters(text: str, form: str = "") -> str:
    """ "W3C" -> "W three C"; signs by name."""
    return " ".join(filter(None, map(_letter, unicodedata.normalize("NFC", text))))


def digits(text: str, form: str = "") -> str:
    """ "10-4" -> "one zero four". Raises Invalid for what is no figure."""
    if not re.fullmatch(r"[\d\s.,:/()+-]*\d[\d\s.,:/()+-]*", text, re.ASCII):
        raise Invalid(f"{text[:40]!r} has no figures alone", "figures, such as 10-4")
    return " ".join(words(int(c)) for c in text if c.isdigit())


def cardinal(text: str, form: str = "") -> str:
    """ "1,234.50" -> "one thousand two hundred and thirty four point five zero"."""
    number = _NUMBER.fullmatch(text)
    if not number or len(text) > _FIGURES:
        raise Invalid(f"{text[:40]!r} is no number", "a number, such as 1,234.5")
    sign, whole, part = number.groups()
    said = ["minus"] * (sign == "-") + [words(int(re.sub(r"\D", "", whole)))]
    said += ["point", *(words(int(c)) for c in part[1:])] if part else []
    return " ".join(said)


def ordinal(text: str, form: str = "") -> str:
    """ "3" and "3rd" -> "third"."""
    number = re.fullmatch(r"(\d[\d,]{0,30})(?:st|nd|rd|th)?", text.lower(), re.ASCII)
    if not number:
        raise Invalid(f"{text[:40]!r} is no ordinal", "a whole number, such as 3 or 3rd")
    return in_order(int(number[1].replace(",", "")))


def fraction(text: str, form: str = "") -> str:
    """ "3/8" -> "three eighths", "1 1/2" -> "one and one half"."""
    read = _FRACTION.fullmatch(unicodedata.normalize("NFKC", text.replace("½", " 1/2")).strip())
    if not read or int(read[4]) == 0:
        raise Invalid(f"{text[:40]!r} is no fraction", "a fraction, such as 3/8 or 1 1/2")
    sign, whole, above, below = read[1], read[2], int(read[3]), int(read[4])
    names = {1: ("whole", "wholes"), 2: ("half", "halves"), 4: ("quarter", "quarters")}
    part = in_order(below).removeprefix("one ")  # "seven hundredths"
    one, several = names.get(below, (part, part + "s"))
    said = f"{words(above)} {one if above == 1 else several}"
    return "minus " * bool(sign) + (f"{words(int(whole))} and {said}" if whole else said)


def unit(text: str, form: str = "") -> str:
    """ "10kg" -> "ten kilograms", "6'2\"" -> "six feet two inches"."""
    said = []
    for measure in _MEASURE.finditer(text):
        if names := _unit(measure[2]):
            name = names[measure[1] not in ("1", "-1")]
            said.append(f"{cardinal(measure[1])} {name}")
        else:
            said.clear()
            break
    if not said or _MEASURE.sub("", text).strip():
        raise Invalid(f"{text[:40]!r} is no measure", ["a number and one of", *_UNITS])
    return " ".join(said)


def telephone(text: str, form: str = "") -> str:
    """ "(888) 555-1212" -> every figure by name."""
    out, at = [], 0
    while at < len(text):
        found = _DIALLED.match(text, at)
        if not found:
            raise Invalid(f"{text[at]!r} is not dialled", "a number, such as +1 (888) 555-1212")
        figure, sign, extension, letter = found.groups()
        if figure:
            out.append(words(int(figure)))
        elif sign or extension or letter:
            out.append(_DIALLED_SIGNS[sign] if sign else _letter(letter) if letter else "extension")
        at = found.end()
    return " ".join(out)


def expletive(text: str, form: str = "") -> str:
    """What is said instead of a word that may not be heard."""
    return BLEEP


READINGS: dict[str, Callable[[str, str], str]] = {
    "characters": letters,
    "spell-out": letters,
    "verbatim": letters,
    "cardinal": cardinal,
    "number": cardinal,
    "ordinal": ordinal,
    "digits": digits,
    "number_digit": digits,
    "fraction": fraction,
    "unit": unit,
    "date": date,
    "time": time,
    "duration": duration,
    "telephone": telephone,
    "currency": currency,
    "expletive": expletive,
    "bleep": expletive,
}
_FORMED = frozenset(("date", "time", "duration", "telephone", "currency"))


def reading(text: str, kind: str, form: str) -> str:
    """What is said for `text` as a `kind` in the format `form`. Raises Invalid.

    That a kind is unknown, or that a text cannot be read as one, may be passed over on request.
    """
    kind = kind.strip().lower()
    if kind not in READINGS:
        error = Invalid(f"{kind[:40]!r} is not known here", list(READINGS), skippable=True)
        error.attribute = "interpret-as"
        raise error
    if form and kind not in _FORMED:
        error = Invalid(f"{kind} has no formats", "no format", skippable=True)
        error.attribute = "format"
        raise error
    if len(text) > LONGEST:
        raise Invalid(f"{len(text)} characters to read as one", f"up to {LONGEST}", skippable=True)
    try:
        said = READINGS[kind](text.strip(), form.strip().lower())
    except Invalid as error:
        error.skippable = True
        raise
    if not said:
        raise Invalid("there is nothing to read", "text", skippable=True)
    return said


def _unit(written: str) -> tuple[str, str] | None:
    low = written.lower().rstrip(".").replace("meter", "metre").replace("liter", "litre")
    spelled = {name: names for names in _UNITS.values() for name in names}
    return _UNITS.get(low) or spelled.get(low)


def _letter(c: str) -> str:
    if c.isdecimal():
        return words(unicodedata.digit(c))
    if c in "aA":
        return "eigh"  # "A" alone would be read as the article
    return _SIGNS.get(c) or (c.upper() if c.isalpha() else "")
