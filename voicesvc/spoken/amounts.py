"""Money, measures, fractions, telephone numbers and plain numbers in English words."""

import re

from voicesvc.spoken.numbers import cardinal, designation, digits, ordinal, pair, plural
from voicesvc.spoken.rules import Rule, after, before, listed, rule

# One number: grouped or not, with decimals or not. Bounded, so that a page of digits costs little.
_NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,5}(?!\d)|\d{1,15})(?:\.\d{1,12})?(?!\d)"
_START = r"(?<![\w.,/:])(?P<sign>(?<![\w)'\"])-|[+±])?"
_COINS = {
    "$": ("dollar", "cent"),
    "£": ("pound", "penny"),
    "€": ("euro", "cent"),
    "¥": ("yen", ""),
    "¢": ("cent", ""),
}
_CODES = {"USD": "$", "GBP": "£", "EUR": "€", "JPY": "¥"}
_SCALES = {
    "k": "thousand", "m": "million", "mn": "million", "mm": "million", "mil": "million",
    "b": "billion", "bn": "billion", "t": "trillion", "tn": "trillion", "trn": "trillion",
}  # fmt: skip
_SCALE_WORDS = r"hundred|thousand|million|billion|trillion"
_ONE = listed("a an another one each every per")
_SIGNS = {"-": "minus ", "+": "plus ", "±": "plus or minus "}
_UNITS = {
    "khz": "kilohertz", "hz": "hertz", "mhz": "megahertz", "ghz": "gigahertz",
    "fps": "frame per second", "rpm": "revolution per minute", "bpm": "beat per minute",
    "km": "kilometer", "cm": "centimeter", "mm": "millimeter", "nm": "nanometer",
    "µm": "micrometer", "mi": "mile", "ft": "foot", "yd": "yard", "yds": "yard",
    "kg": "kilogram", "mg": "milligram", "lb": "pound", "lbs": "pound", "oz": "ounce",
    "mph": "mile per hour", "kph": "kilometer per hour", "km/h": "kilometer per hour",
    "kmh": "kilometer per hour", "m/s": "meter per second",
    "km/s": "kilometer per second", "ft/s": "foot per second",
    "db": "decibel", "dbfs": "decibel full scale", "lufs": "luffs", "lkfs": "L K F S",
    "kb": "kilobyte", "mb": "megabyte", "gb": "gigabyte", "tb": "terabyte",
    "kbps": "kilobit per second", "mbps": "megabit per second", "gbps": "gigabit per second",
    "ms": "millisecond", "sec": "second", "secs": "second", "min": "minute", "mins": "minute",
    "hr": "hour", "hrs": "hour", "yr": "year", "yrs": "year", "wk": "week", "wks": "week",
    "kw": "kilowatt", "kwh": "kilowatt hour", "mw": "megawatt", "ml": "milliliter",
    "cl": "centiliter", "px": "pixel", "psi": "P S eye", "ppm": "part per million",
    "sq ft": "square foot", "sq m": "square meter", "°c": "degree celsius",
    "°f": "degree fahrenheit", "°": "degree", "° c": "degree celsius", "° f": "degree fahrenheit",
    "m²": "square meter", "km²": "square kilometer", "ft²": "square foot", "m³": "cubic meter",
    "cc": "C C", "hp": "horsepower", "gsm": "G S M", "mol": "mole",
}  # fmt: skip
# One letter counts only where it stands at the number, in this case.
_LETTERS = {"m": "meter", "g": "gram", "s": "second", "h": "hour", "l": "liter", "L": "liter"}
_LETTERS |= {"V": "volt", "W": "watt", "x": "time"}
_INVARIABLE = frozenset(("C C", "G S M", "L K F S", "P S eye", "horsepower", "luffs"))
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True)).replace(r"\ ", r"\s")
_PARTS = {2: "half", 4: "quarter"}
_VULGAR = {"½": (1, 2), "¼": (1, 4), "¾": (3, 4)}
_SCORED = listed("won win wins lost lose lead leads leading led beat up down score ahead")
_CALLED = listed("call called calling calls dial dialed dialled dialing phone phoned")
_SAME = {("24", "7"): "twenty four seven", ("9", "11"): "nine eleven", ("50", "50"): "fifty fifty"}


def _signed(m: re.Match[str]) -> str:
    return _SIGNS.get(m["sign"] or "", "")


def _money(m: re.Match[str], british: bool) -> str:
    one, small = _COINS[m["coin"]]
    amount, scale = m["n"], m["scale"]
    sign = _SIGNS["-"] if m["sign"] else ""
    if m["high"]:
        sign += f"{cardinal(amount, british)} to "
        amount = m["high"]
    if scale:
        low = scale.strip().lower()
        coins = one if before(m) in _ONE and after(m) else plural(one)
        return f"{sign}{cardinal(amount, british)} {_SCALES.get(low, low)} {coins}"
    whole, _, cents = amount.partition(".")
    if cents and len(cents) != 2:
        return f"{sign}{cardinal(amount, british)} {plural(one)}"
    single = whole == "1" or (before(m) in _ONE and after(m))
    large = f"{cardinal(whole, british)} {one if single else plural(one)}"
    if not cents or cents == "00":
        return sign + large
    if whole.strip("0,"):
        return f"{sign}{large} {pair(cents)}"
    return f"{sign}{cardinal(str(int(cents)))} {small if cents == '01' else plural(small)}"


def _coins_after(m: re.Match[str], british: bool) -> str:
    one = "penny" if m["coin"] == "p" else _COINS[m["coin"]][0]
    return f"{_signed(m)}{cardinal(m['n'], british)} {one if m['n'] == '1' else plural(one)}"


def _coded(m: re.Match[str], british: bool) -> str:
    one = _COINS[_CODES[m["code"]]][0]
    return f"{_signed(m)}{cardinal(m['n'], british)} {one if m['n'] == '1' else plural(one)}"


def _measure(m: re.Match[str], british: bool) -> str:
    written = re.sub(r"\s+", " ", m["unit"])
    unit = _UNITS.get(written.lower()) or _LETTERS[written]
    many = plural(unit) if unit not in _INVARIABLE and not _single(m) else unit
    first = f"{cardinal(m['low'], british)} to " if m["low"] else ""
    return f"{_signed(m)}{first}{cardinal(m['n'], british)} {many}"


def _single(m: re.Match[str]) -> bool:
    """ "1 km", and as an adjective "a 5 km run", "35mm film", "48-kHz audio"."""
    adjective = before(m) in (*_ONE, "the", "this") or m["gap"] == "-" or m["unit"] == "mm"
    return (m["n"] == "1" and not m["low"]) or bool(
        adjective and after(m) not in ("", "of", "from", "away", "and", "in", "at", "to", "long")
    )


def _film(m: re.Match[str], british: bool) -> str:
    return f"{designation(m['n'])} P" if m["unit"] in "pi" else f"{cardinal(m['n'])} K"


def _feet(m: re.Match[str], british: bool) -> str:
    return f"{cardinal(m[1])} foot {cardinal(m[2])}"


def _percent(m: re.Match[str], british: bool) -> str:
    first = f"{cardinal(m['low'], british)} to " if m["low"] else ""
    return f"{_signed(m)}{first}{cardinal(m['n'], british)} percent"


def _fraction(top: int, bottom: int, british: bool) -> str:
    name = _PARTS.get(bottom) or ordinal(bottom, british)
    if top == 1:
        return f"one {name}"
    many = "halves" if bottom == 2 else name + "s"
    return f"{cardinal(str(top))} {many}"


def _mixed(m: re.Match[str], british: bool) -> str | None:
    top, bottom = int(m["top"]), int(m["bottom"])
    if not 0 < top < bottom or (bottom > 20 and bottom not in (32, 64, 100)):
        return None
    said = _fraction(top, bottom, british)
    said = f"a {said[4:]}" if top == 1 else said
    return f"{cardinal(m['whole'], british)} and {said}"


def _slashed(m: re.Match[str], british: bool) -> str:
    top, bottom = m["top"], m["bottom"]
    if (top, bottom) in _SAME:
        return _SAME[top, bottom]
    small = int(bottom) <= 20 or bottom in ("32", "64", "100")
    if small and 0 < int(top) < int(bottom):
        return _fraction(int(top), int(bottom), british)
    return f"{cardinal(top)} {cardinal(bottom)}"


def _vulgar(m: re.Match[str], british: bool) -> str:
    said = _fraction(*_VULGAR[m["part"]], british)
    whole = m["whole"]
    return f"{cardinal(whole)} and {said.replace('one', 'a', 1)}" if whole else said


def _telephone(m: re.Match[str], _: bool) -> str:
    return ("plus " if m.group()[0] == "+" else "") + digits(re.sub(r"\D", "", m.group()))


def _emergency(m: re.Match[str], _: bool) -> str | None:
    return digits(m.group()) if before(m) in _CALLED else None


def _range(m: re.Match[str], british: bool) -> str:
    joint = " " if before(m) in _SCORED else " to "
    return cardinal(m["a"], british) + joint + cardinal(m["b"], british)


def _ordinal(m: re.Match[str], british: bool) -> str:
    return ordinal(int(m["n"].replace(",", "")), british)


def _version(m: re.Match[str], _: bool) -> str:
    said = " point ".join(cardinal(part) for part in m["n"].split("."))
    return f"version {said}" if m.group()[0] == "v" else said


def _plain(m: re.Match[str], british: bool) -> str:
    figures = m["n"]
    if len(figures) > 1 and figures[0] == "0" and "." not in figures:
        return _signed(m) + (designation(figures) if figures == "007" else digits(figures, "oh"))
    whole = figures.partition(".")[0]
    said = cardinal(figures, british) if whole else cardinal("0" + figures)[5:]
    return _signed(m) + said


def _times(m: re.Match[str], _: bool) -> str:
    return " by ".join(designation(n) if len(n) == 4 else cardinal(n) for n in m.groups())


MONEY: tuple[Rule, ...] = (
    rule(
        rf"(?P<sign>(?<![\w)])-)?(?<!\w)(?:US|AU|CA|NZ|HK|A|C)?(?P<coin>[$£€¥])\s?(?P<n>{_NUMBER})(?:-(?P<high>{_NUMBER}))?"
        rf"(?P<scale>(?:bn|mm|mn|mil|tn|trn|[kKmMbBtT])(?!\w)|[\s-](?:{_SCALE_WORDS})(?!\w))?",
        _money,
        quantity=True,
    ),
    rule(
        rf"{_START}(?P<n>{_NUMBER})(?:\s?(?P<coin>[€£$¢¥])|\s(?P<code>USD|GBP|EUR|JPY)\b)",
        lambda m, b: _coins_after(m, b) if m["coin"] else _coded(m, b),
        quantity=True,
    ),
    rule(rf"{_START}(?P<n>\d{{1,3}})(?P<coin>p)(?!\w)", _coins_after, quantity=True),
)


_LOW = rf"(?:(?P<low>{_NUMBER})\s?-\s?)?"
RULES: tuple[Rule, ...] = (
    rule(r"(?<![\w.])v\.?\s?(?P<n>\d{1,4}(?:\.\d{1,4}){0,3})(?!\w|\.\d)", _version),
    rule(
        r"(?<![\w.,-])(?:\+?\d{1,3}[\s-])?(?:\(\d{3}\)\s?|\d{3}[\s-])?\d{3}-\d{4}(?![\w-])",
        _telephone,
    ),
    rule(r"(?<![\w.,-])\+\d{1,3}(?:[\s-]\(?\d{1,5}\)?){2,5}(?![\w-])", _telephone),
    rule(r"(?<![\w.,-])0\d{2,4}[\s-]\d{3,4}[\s-]\d{3,4}(?![\w-])", _telephone),
    rule(r"(?<![\w.,-])\d{3}(?=[.,!?;\s]|\Z)", _emergency),
    rule(r"(?<![\w.,])(\d{1,2})'\s?(\d{1,2})(?:\"|'')", _feet),
    rule(
        r"(?<![\w.,/])(?P<n>240|360|480|540|576|720|1080|1440|2160)(?P<unit>[pi])(?!\w)",
        _film,
    ),
    rule(r"(?<![\w.,/])(?P<n>\d{1,2})(?P<unit>[Kk])(?!\w)", _film),
    *MONEY,
    rule(
        rf"{_START}{_LOW}(?P<n>{_NUMBER})(?P<gap>\s|-)?(?P<unit>(?i:{_UNIT}))"
        r"(?!\w)",
        _measure,
        quantity=True,
    ),
    rule(
        rf"{_START}{_LOW}(?P<n>{_NUMBER})(?P<gap>\s(?=[mgL]))?(?P<unit>[mghlLVWxs])(?!\w)",
        _measure,
        quantity=True,
    ),
    rule(rf"{_START}{_LOW}(?P<n>{_NUMBER})\s?%", _percent, quantity=True),
    rule(r"(?<![\w.,/])(?P<whole>\d{1,4})\s(?P<top>\d{1,2})/(?P<bottom>\d{1,3})(?![\w/])", _mixed),
    rule(r"(?<![\w.,/])(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?![\w/])", _slashed),
    rule(r"(?<![\w.,/])(\d{1,4})\s?[x×]\s?(\d{1,4})(?!\w)", _times),
    rule(
        r"(?<![\w.,])(?P<n>\d{1,3}(?:,\d{3}){1,3}|\d{1,12})(?i:st|nd|rd|th)(?!\w)",
        _ordinal,
        quantity=True,
    ),
    rule(r"(?<![\w.,-])(?P<a>\d{1,6})-(?P<b>\d{1,6})(?![\w-]|[.,]\d)", _range),
)
# After names with figures in them, such as "B-52".
PLAIN: tuple[Rule, ...] = (
    rule(r"(?<![\w.])(?P<n>\d{1,3}(?:\.\d{1,3}){2,4})(?!\w|\.\d)", _version),
    rule(
        rf"(?<![\w.,:])(?P<sign>(?<![\w)'\"])-|[+±])?(?P<n>{_NUMBER}|\.\d{{1,12}}(?!\d))(?!\w|,\d)",
        _plain,
        quantity=True,
    ),
    rule(r"(?<!\d)(?<!\d[.,])(?P<sign>)(?P<n>\d{16,})(?!\d)", _plain),
)
VULGAR = tuple(
    rule(rf"(?<![\w.,/])(?P<whole>\d{{1,4}})?\s?(?P<part>{part})(?!\w)", _vulgar, needs=part)
    for part in _VULGAR
)
