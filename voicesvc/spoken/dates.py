"""Dates, years, times and timecodes in English words."""

import re

from voicesvc.spoken.numbers import cardinal, ordinal, pair, year
from voicesvc.spoken.rules import Rule, after, before, listed, rule

MONTHS = (
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
_MONTH = (
    "(?P<month>(?:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\\.?(?![^\\W_])|"
    + "|".join(m.title() for m in MONTHS)
    + "|"
    + "|".join(m.upper() for m in MONTHS)
    + ")"
)
_DECADES = (
    "tens",
    "twenties",
    "thirties",
    "forties",
    "fifties",
    "sixties",
    "seventies",
    "eighties",
    "nineties",
)
_DATED = listed(
    "in since of by from until till before after year circa around about early late mid spring"
    " summer autumn fall winter christmas c. ca. to and between"
)
_NO_YEAR_AFTER = listed(
    "people men women years days hours minutes seconds miles feet times words pages dollars"
    " pounds euros percent points votes degrees kilometers meters tons"
)
_NIGHT = r"(?P<half>[aApP]\.?\s?[mM](?:\.(?=\W|\Z)|\b))"


def _month(written: str) -> str:
    low = written.lower().rstrip(".")[:3]
    return next(m for m in MONTHS if m.startswith(low))


def _date(day: int, month: str, years: str | None, british: bool) -> str | None:
    if not 1 <= day <= 31:
        return None
    said = f"the {ordinal(day)} of {month}" if british else f"{month} {ordinal(day)}"
    return f"{said} {_year(years, british)}" if years else said


def _year(written: str, british: bool) -> str:
    if len(written) == 2:
        return pair(written)
    return year(int(written), british)


def _iso(m: re.Match[str], british: bool) -> str | None:
    month = int(m["m"])
    if not 1 <= month <= 12:
        return None
    return _date(int(m["d"]), MONTHS[month - 1], m["y"], british)


def _numeric(m: re.Match[str], british: bool) -> str | None:
    first, second = int(m["a"]), int(m["b"])
    day_first = first > 12 or (second <= 12 and (british or m["sep"] == "."))
    day, month = (first, second) if day_first else (second, first)
    if not 1 <= month <= 12:
        return None
    return _date(day, MONTHS[month - 1], m["y"], british or m["sep"] == ".")


def _day_month(m: re.Match[str], british: bool) -> str | None:
    return _date(int(m["d"]), _month(m["month"]), m["y"], british=True)


def _month_day(m: re.Match[str], british: bool) -> str | None:
    day = int(m["d"])
    if not 1 <= day <= 31:
        return None
    said = f"{_month(m['month'])} {ordinal(day)}"
    if m["last"]:
        said += f" to {ordinal(int(m['last']))}"
    return f"{said} {year(int(m['y']), british)}" if m["y"] else said


def _month_year(m: re.Match[str], british: bool) -> str:
    return f"{_month(m['month'])} {year(int(m['y']), british)}"


def _on_day(m: re.Match[str], _: bool) -> str | None:
    month, day = int(m["a"]), int(m["b"])
    dated = before(m) in ("on", "since", "until", "by", "dated")
    if not (dated and 1 <= month <= 12 and 1 <= day <= 31):
        return None
    return f"{MONTHS[month - 1]} {ordinal(day)}"


def _decade(m: re.Match[str], _: bool) -> str | None:
    tens, century = int(m["tens"]), m["century"]
    if tens == 0:
        if not century:
            return None
        return "two thousands" if century == "20" else f"{cardinal(century)} hundreds"
    if tens == 1 and not century and not m["short"]:
        return None  # "10s" is ten seconds
    decade = _DECADES[tens - 1]
    return f"{cardinal(century)} {decade}" if century else decade


def _bare_year(m: re.Match[str], british: bool) -> str | None:
    n = int(m["y"])
    if after(m) in _NO_YEAR_AFTER:
        return None
    if 1010 <= n < 1100 and n != 1066 and before(m) not in _DATED:
        return None
    return year(n, british) if n >= 1010 else None


def _years(m: re.Match[str], british: bool) -> str | None:
    first, last = m["y"], m["last"]
    if len(last) == 4 and not 1000 < int(last) < 2100:
        return None
    said = pair(last) if len(last) == 2 else year(int(last), british)
    return f"{year(int(first), british)} to {said}"


def _timecode(m: re.Match[str], _: bool) -> str:
    return " ".join("zero zero" if two == "00" else pair(two) for two in m.groups())


def _span(m: re.Match[str], _: bool) -> str | None:
    parts = zip((m["h"], m["m"], m["s"]), ("hour", "minute", "second"), strict=True)
    said = [f"{cardinal(str(int(n)))} {unit}" + "s" * (int(n) != 1) for n, unit in parts if int(n)]
    return " ".join(said) or "zero seconds"


def _half(written: str) -> str:
    return "AM" if written[0] in "aA" else "PM"


def _twelve(m: re.Match[str], _: bool) -> str | None:
    hour, minute = m["h"], m["m"]
    if not (0 < int(hour) <= 12 and int(minute or 0) < 60):
        return None
    said = cardinal(str(int(hour)))
    if minute and minute != "00":
        said += f" {pair(minute)}"
    return f"{said} {_half(m['half'])}"


def _clock(m: re.Match[str], _: bool) -> str | None:
    hour, minute = int(m["h"]), m["m"]
    if hour > 24 or int(minute) > 59:
        return None
    early = len(m["h"]) == 2 and hour < 10
    said = "zero" if hour == 0 else ("oh " * early + cardinal(str(hour)))
    if minute != "00":
        return f"{said} {pair(minute)}"
    if 0 < hour < 13 and not early:
        return f"{said} o'clock"
    return f"{said} hundred"


def _military(m: re.Match[str], _: bool) -> str | None:
    early = "oh " if m["h"][0] == "0" else ""
    hour = "zero" if m["h"] == "00" else f"{early}{cardinal(str(int(m['h'])))}"
    return f"{hour} " + ("hundred" if m["m"] == "00" else pair(m["m"]))


def _oclock(m: re.Match[str], _: bool) -> str:
    return f"{cardinal(m['h'])} o'clock"


_NOT_IN = r"(?<![\w.,:/-])"
_Y = r"(?P<y>1\d{3}|20\d\d)"

RULES: tuple[Rule, ...] = (
    rule(r"(?<![\w:.])(\d\d):(\d\d):(\d\d)[:;.](\d\d)(?![\w:])", _timecode),
    rule(r"(?<![\w:.])(?P<h>\d{1,2}):(?P<m>[0-5]\d):(?P<s>[0-5]\d)(?![\w:])", _span),
    rule(_NOT_IN + r"(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)(?![\w-])", _iso, quantity=True),
    rule(
        _NOT_IN + r"(?P<a>\d\d?)(?P<sep>[/.])(?P<b>\d\d?)(?P=sep)(?P<y>\d{4}|\d\d)(?![\w/])",
        _numeric,
        quantity=True,
    ),
    rule(
        _NOT_IN
        + r"(?:(?i:the)\s)?(?P<d>\d\d?)(?:st|nd|rd|th)?\s(?:of\s)?"
        + _MONTH
        + r"(?:(?:,\s|,|\s)(?P<y>\d{4}))?(?![\w:])",
        _day_month,
        quantity=True,
    ),
    rule(
        r"(?<!\w)"
        + _MONTH
        + r"\s(?P<d>\d\d?)(?:st|nd|rd|th)?(?:-(?P<last>\d\d?)(?:th|st|nd|rd)?)?"
        + r"(?:(?:,\s|,|\s)(?P<y>\d{4}))?(?![\w:%]|[.,]\d)",
        _month_day,
        quantity=True,
    ),
    rule(r"(?<!\w)" + _MONTH + r",?\s" + _Y + r"(?!\w|[.,]\d)", _month_year, quantity=True),
    rule(_NOT_IN + r"(?P<a>\d\d?)/(?P<b>\d\d?)(?![\w/])", _on_day),
    rule(_NOT_IN + r"(?P<y>1\d{3}|20\d\d)-(?P<last>\d{4}|\d\d)(?![\w-]|[.,]\d)", _years),
    rule(
        r"(?<![\w.,$£€])(?P<short>'(?=\d0s))?(?P<century>1\d|20)?(?P<tens>\d)0'?s(?!\w)",
        _decade,
        quantity=True,
    ),
    rule(r"(?<!\w)'(?P<y>\d\d)(?![\w'])", lambda m, _: pair(m["y"])),
    rule(r"(?<![\w.,:/])(?P<h>\d\d?)(?:[:.](?P<m>\d\d))?\s?" + _NIGHT, _twelve, quantity=True),
    rule(_NOT_IN + r"(?P<h>\d\d?)\s(?i:o'\s?clock)\b", _oclock),
    rule(
        r"(?<![\w.,:/])(?P<h>[01]\d|2[0-4])(?P<m>[0-5]\d)(?=\s(?i:hours|hrs)\b)",
        _military,
        quantity=True,
    ),
    rule(r"(?<![\w.,:/])(?P<h>\d\d?):(?P<m>\d\d)(?![\w:])", _clock, quantity=True),
    rule(r"(?<![\w.,:/$£€¥#+-])(?P<y>1\d{3}|20\d\d)(?![\w%°:]|[.,/-]\d)", _bare_year),
)
