"""Periods of accounts: months, quarters, years and stretches of days. All days are of UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from voicesvc.errors import InvalidRequest

FORMS = "2026-11, 2026-Q4, 2026, or 2026-11-01/2026-11-15 with both days in it"
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Period:
    """From a time to another, which is not in it: UTC milliseconds since 1970."""

    name: str
    begin_ms: int
    end_ms: int


def read(text: str) -> Period:
    """A period by its name.

    Raises:
        InvalidRequest: it is no name of one.
    """
    try:
        if found := re.fullmatch(r"(\d{4})(?:-(\d\d)|-Q([1-4]))?", text, re.ASCII):
            year, month, quarter = found.groups()
            first = date(int(year), int(month or 3 * int(quarter or 1) - 2), 1)
            return Period(text, _ms(first), _ms(_later(first, _length(month, quarter))))
        if found := re.fullmatch(r"(\d{4}-\d\d-\d\d)/(\d{4}-\d\d-\d\d)", text, re.ASCII):
            first, last = (date.fromisoformat(day) for day in found.groups())
            if first <= last:
                return Period(text, _ms(first), _ms(last + timedelta(days=1)))
    except (ValueError, OverflowError) as e:
        raise InvalidRequest(f"no such period: {e}", where="period", valid=FORMS) from e
    raise InvalidRequest("no such period", where="period", valid=FORMS)


def _length(month: str | None, quarter: str | None) -> int:
    return _MONTHS["month" if month else "quarter" if quarter else "year"]


def window(every: str, at_ms: int, life: tuple[int, int]) -> tuple[int, int]:
    """The reporting period that a time lies in, of a grant with this life: begin and end.

    `every` is `month`, `quarter` or `year`, of the calendar; or else all of the grant's life.
    """
    if every not in _MONTHS:
        return life
    at, months = datetime.fromtimestamp(at_ms // 1000, UTC), _MONTHS[every]
    first = date(at.year, (at.month - 1) // months * months + 1, 1)
    return _ms(first), _ms(_later(first, months))


def day_of(at_ms: int) -> str:
    """The day of a time: `2026-11-30`."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).date().isoformat()


def _later(first: date, months: int) -> date:
    at = first.year * 12 + first.month - 1 + months
    return date(at // 12, at % 12 + 1, 1)


def _ms(day: date) -> int:
    return 1000 * round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
