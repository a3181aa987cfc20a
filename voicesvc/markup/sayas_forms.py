"""Dates, times, durations and sums of money -> the words to say, in English."""

import re
from datetime import date as calendar_date

from num2words import num2words

from voicesvc.markup.values import Invalid

DATE_FORMATS = ("mdy", "dmy", "ymd", "ydm", "my", "ym", "md", "dm", "y", "m", "d")
TIME_FORMATS = ("hms12", "hms24", "hms", "hm", "ms")
DURATION_FORMATS = ("hms", "hm", "ms", "h", "m", "s")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DATE_FIELD = re.compile(r"(\d+|\?+)(?:st|nd|rd|th)?|([A-Za-z]+)\.?", re.ASCII)
_CLOCK = re.compile(
    r"(\d\d?)(?:[:.h](\d\d))?(?:[:.](\d\d))?\s*(?:([ap])\.?\s?m\.?)?", re.ASCII | re.IGNORECASE
)
_PRIMES = re.compile(r"(?:(\d{1,4})\s*['′])?\s*(?:(\d{1,4})\s*[\"″])?", re.ASCII)
_LENGTHS = {"h": "hour", "m": "minute", "s": "second"}
# Sign and code -> (one, several, small one, several small ones).
_SMALL = ("cent", "cents")
_CURRENCIES = {
    "USD": ("dollar", "dollars", *_SMALL),
    "EUR": ("euro", "euros", *_SMALL),
    "GBP": ("pound", "pounds", "penny", "pence"),
    "JPY": ("yen", "yen", "", ""),
    "CAD": ("Canadian dollar", "Canadian dollars", *_SMALL),
    "AUD": ("Australian dollar", "Australian dollars", *_SMALL),
    "NZD": ("New Zealand dollar", "New Zealand dollars", *_SMALL),
    "CHF": ("Swiss franc", "Swiss francs", "centime", "centimes"),
    "INR": ("rupee", "rupees", "paisa", "paise"),
    "CNY": ("yuan", "yuan", "", ""),
    "KRW": ("won", "won", "", ""),
    "SEK": ("Swedish krona", "Swedish kronor", "öre", "öre"),
}
_COINS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₩": "KRW"}
_SUM = re.compile(
    r"(-?)\s*([$€£¥₹₩]|[A-Za-z]{3})?\s*(-?)(\d[\d,]{0,20})(?:\.(\d{1,9}))?"
    r"\s*(hundred|thousand|million|billion|trillion)?\s*([$€£¥₹₩]|[A-Za-z]{3})?",
    re.ASCII | re.IGNORECASE,
)


def words(number: int) -> str:
    """A whole number in words, without commas and hyphens."""
    return _bare(num2words(number))


def in_order(number: int) -> str:
    """ "third" of 3."""
    return _bare(num2words(number, to="ordinal"))


def date(text: str, form: str) -> str:
    """ "10/19/2010" (mdy) -> "October nineteenth twenty ten". Raises Invalid.

    Without a format it is year-month-day where the year comes first or eight figures are
    written, else month-day-year, as in the United States, but for a month by name.
    """
    form = re.sub(r"(.)\1+", r"\1", form)  # Google's yyyymmdd
    forms = [*DATE_FORMATS, "text such as 10/19/2010 or 19 October 2010"]
    if form and form not in DATE_FORMATS:
        raise Invalid(f"{form[:20]!r} is no date format", forms)
    fields = _date_fields(text, form)
    form = form or _date_form(fields)
    if len(fields) != len(form):
        raise Invalid(f"{text[:40]!r} is no date of the format {form or 'mdy'}", forms)
    parts = {
        key: _date_part(key, field)
        for key, field in zip(form, fields, strict=True)
        if field.strip("?")
    }
    day, month, year = parts.get("d"), parts.get("m"), parts.get("y")
    try:
        calendar_date(year or 2000, month or 1, day or 1)
    except ValueError as error:
        raise Invalid(f"{text[:40]!r} is no date", forms) from error
    said = []
    if day and month and form.index("d") < form.index("m"):
        said.append(f"the {in_order(day)} of {_MONTHS[month - 1]}")
    else:
        said += [_MONTHS[month - 1]] if month else []
        said += [in_order(day)] if day else []
    said += [_bare(num2words(year, to="year"))] if year else []
    return " ".join(said)


def _date_fields(text: str, form: str) -> list[str]:
    """Figures, question marks and names of months as written."""
    if re.fullmatch(r"[\d?]{3,8}", text, re.ASCII) and len(form or "ymd") > 1:
        form = form or "ymd"
        years = len(text) - 2 * (len(form) - 1) if "y" in form else 2
        cuts, at = [], 0
        for key in form:
            width = years if key == "y" else 2
            cuts.append(text[at : at + width])
            at += width
        return cuts if at == len(text) and all(cuts) else [text]
    found = [m[1] or m[2].lower() for m in _DATE_FIELD.finditer(text)]
    return [f for f in found if f not in (*_WEEKDAYS, "of", "the")]


def _date_form(fields: list[str]) -> str:
    named = [i for i, f in enumerate(fields) if f[:1].isalpha()]
    if len(fields) == 3:
        if len(fields[0]) == 4:
            return "ymd"
        return "dmy" if named == [1] else "mdy"
    if len(fields) == 2:
        year = len(fields[1]) == 4 and fields[1].isdigit()
        return "my" if year else "ym" if len(fields[0]) == 4 else "dm" if named == [1] else "md"
    return "y" if fields and len(fields[0]) == 4 and not named else "m" if named else "d"


def _date_part(key: str, field: str) -> int:
    if field.isdigit() and len(field) <= 4:
        number = int(field)
        if key == "y" and len(field) == 2:
            number += 2000 if number < 50 else 1900
        if number:
            return number
    elif key == "m" and len(field) >= 3:
        for i, month in enumerate(_MONTHS, 1):
            if month.lower().startswith(field.removesuffix("t") if field == "sept" else field):
                return i
    names = {"d": "day", "m": "month", "y": "year"}
    raise Invalid(f"{field[:20]!r} is no {names[key]}", "a date, such as 10/19/2010")


def time(text: str, form: str) -> str:
    """ "2:05pm" -> "two oh five P M", "14:30" -> "fourteen thirty". Raises Invalid."""
    forms = [*TIME_FORMATS, "text such as 2:30pm or 14:30"]
    if form and form not in TIME_FORMATS:
        raise Invalid(f"{form[:20]!r} is no time format", forms)
    if form == "ms" or "'" in text or "′" in text or '"' in text or "″" in text:
        return duration(text, form if form == "ms" else "")
    clock = _CLOCK.fullmatch(text)
    if not clock:
        raise Invalid(f"{text[:40]!r} is no time", forms)
    hour, minute, second = (int(clock[i] or 0) for i in (1, 2, 3))
    half = (clock[4] or "").lower()
    twelve = bool(half) or form == "hms12"
    if hour > (12 if twelve else 24) or (twelve and hour == 0) or minute > 59 or second > 59:
        raise Invalid(f"{text[:40]!r} is no time of day", forms)
    said = [words(hour)]
    if minute:
        said.append(words(minute) if minute > 9 else f"oh {words(minute)}")
    elif not half and not second:
        said.append("hundred" if form == "hms24" or hour > 12 or hour == 0 else "o'clock")
    if half:
        said.append("P M" if half == "p" else "eigh M")  # "A" would be read as the article
    if second:
        said.append(f"and {_counted(second, 'second')}")
    return " ".join(said)


def duration(text: str, form: str) -> str:
    """ "01:18:30" -> "one hour eighteen minutes and thirty seconds". Raises Invalid.

    Amazon's 1'21" is minutes and seconds.
    """
    forms = [*DURATION_FORMATS, "text such as 1:18:30 or 1'21\""]
    if form and form not in DURATION_FORMATS:
        raise Invalid(f"{form[:20]!r} is no format of a duration", forms)
    primes = _PRIMES.fullmatch(text)
    if primes and any(primes.groups()):
        found = [(key, n) for key, n in zip("ms", primes.groups(), strict=True) if n]
    else:
        fields = text.split(":")
        form = form or {1: "s", 2: "ms", 3: "hms"}.get(len(fields), "")
        if len(fields) != len(form) or not all(re.fullmatch(r"[0-9]{1,4}", f) for f in fields):
            raise Invalid(f"{text[:40]!r} is no duration", forms)
        found = list(zip(form, fields, strict=True))
    said = [_counted(int(n), _LENGTHS[key]) for key, n in found if int(n)]
    said = said or [_counted(0, _LENGTHS[found[-1][0]])]
    return " and ".join(filter(None, (" ".join(said[:-1]), said[-1])))


def currency(text: str, form: str) -> str:
    """ "$45.20" -> "forty five dollars and twenty cents". Raises Invalid.

    The currency is a sign or a code beside the sum, or else the format.
    """
    forms = ["$45.20", "45.20 EUR", *_CURRENCIES]
    read = _SUM.fullmatch(text)
    marks = [m.upper() for m in (read[2], read[7]) if m] if read else []
    code = marks[0] if marks else form.upper()
    names = _CURRENCIES.get(_COINS.get(code, code))
    if not read or not names or len(marks) > 1:
        raise Invalid(f"{text[:40]!r} is no sum of money", forms)
    one, several, small, smalls = names
    whole, part = int(read[4].replace(",", "")), read[5] or ""
    minus = "minus " * bool(read[1] or read[3])
    if read[6] or len(part) > 2 or (part.strip("0") and not small):
        point = " ".join(["point", *(words(int(c)) for c in part)]) if part else ""
        return minus + " ".join(
            filter(None, (words(whole), point, (read[6] or "").lower(), several))
        )
    cents = int(part.ljust(2, "0")) if part else 0
    said = [f"{words(whole)} {one if whole == 1 else several}"] * bool(whole or not cents)
    said += [f"{words(cents)} {small if cents == 1 else smalls}"] * bool(cents)
    return minus + " and ".join(said)


def _counted(number: int, name: str) -> str:
    return f"{words(number)} {name}" + "s" * (number != 1)


def _bare(said: str) -> str:
    return said.replace("-", " ").replace(",", "")
