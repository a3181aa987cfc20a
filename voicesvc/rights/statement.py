"""What is owed under a grant: a pure function of entries of its ledger and of its versions.

Every use is an item with a date of its own, and what it adds to the whole does not depend on which
period is asked for. So statements of periods that follow each other add up to the statement of
all of them, to the cent.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from voicesvc.rights.grant import Compensation, Grant
from voicesvc.rights.period import Period, day_of, window

SESSION_MS = 4 * 3600 * 1000
DIGITS = 6  # of a second, that a length is rounded to before it is paid for
# Decimal places of currencies' minor units that do not have two (ISO 4217, list one, 2026-01).
# fmt: off
_MINOR = {
    **dict.fromkeys((
        "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
        "VUV", "XAF", "XOF", "XPF",
    ), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
# fmt: on
_EXACT = Context(prec=80)
_ZERO, _ONE = Decimal(0), Decimal(1)
_Key = tuple[str, int, str, str]  # reporting, begin of its period, currency, payee


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a grant, and when it was entered."""

    grant: Grant
    seq: int
    at_ms: int

    @property
    def from_ms(self) -> int:
        """From when on it is in force."""
        return max(self.at_ms, round(self.grant.term.not_before.timestamp() * 1000))


@dataclass(frozen=True, slots=True)
class Use:
    """A take that was made under a grant, complete or in part."""

    seq: int  # the entry that it was made, or ended, by
    permit: int  # the entry that it was opened by
    at_ms: int
    version: int
    take: str
    line: str | None
    root: str  # the take that it goes back to by retakes
    production: str
    made_by: str
    seconds: Decimal  # of audio that was made, or heard
    complete: bool


@dataclass(frozen=True, slots=True)
class Item:
    """Something that is owed, or that is not, and why. Amounts are in the currency's unit.

    `exact` is what it adds before rounding, after the cap; `amount` what it adds to the rounded
    sum of its reporting period, so that the amounts add up.
    """

    at_ms: int
    version: int
    why: str
    quantity: Decimal = _ZERO
    exact: Decimal = _ZERO
    amount: Decimal = _ZERO
    basis: str | None = None
    rate: str | None = None
    currency: str | None = None
    payee: str | None = None
    use: Use | None = None
    entry: int | None = None


@dataclass
class _Paid:
    """What bases that pay once have paid so far."""

    lines: dict[str, int] = field(default_factory=dict)  # the entry that each was paid by
    days: dict[str, int] = field(default_factory=dict)
    session: tuple[int, int] | None = None  # when the last one began, and its entry


def minor_digits(currency: str) -> int:
    """How many decimal places a currency has."""
    return _MINOR.get(currency, 2)


def rounded(amount: Decimal, currency: str) -> Decimal:
    """To the currency's minor unit, half to even."""
    unit = Decimal(1).scaleb(-minor_digits(currency))
    return amount.quantize(unit, ROUND_HALF_EVEN, context=_EXACT)


def seconds_of(samples: int, sample_rate_hz: int) -> Decimal:
    """The length of audio, to a microsecond, half to even."""
    exact = _EXACT.divide(Decimal(samples), Decimal(sample_rate_hz))
    return exact.quantize(Decimal(1).scaleb(-DIGITS), ROUND_HALF_EVEN, context=_EXACT)


def items(
    versions: Sequence[Version], uses: Iterable[Use], revoked_ms: int | None, now_ms: int
) -> list[Item]:
    """Everything that a grant owes up to now, in order; times are UTC milliseconds since 1970.

    `versions` and `uses` are in the order of the ledger.
    """
    by_number = {v.grant.version: v for v in versions}
    raw = sorted((*_flat(versions, now_ms), *_used(by_number, uses)), key=lambda x: x.at_ms)
    sums: dict[_Key, Decimal] = {}
    capped = [_capped(item, by_number[item.version], sums) for item in raw]
    kept = _minimums(versions, sums, revoked_ms, now_ms)
    return sorted((*capped, *kept), key=lambda x: x.at_ms)


def within(every: Iterable[Item], period: Period) -> list[Item]:
    """Those of a period."""
    return [x for x in every if period.begin_ms <= x.at_ms < period.end_ms]


def totals(every: Iterable[Item]) -> dict[tuple[str, str], Decimal]:
    """What is owed, by payee and currency."""
    found: dict[tuple[str, str], Decimal] = {}
    for item in every:
        if item.payee is not None and item.currency is not None:
            key = (item.payee, item.currency)
            found[key] = _EXACT.add(found.get(key, _ZERO), item.amount)
    return found


def _paid_for(item: Item, terms: Compensation | None) -> Item:
    """An item with what its quantity is worth."""
    if terms is None:
        return item
    exact = _EXACT.multiply(item.quantity, Decimal(terms.rate))
    said: dict[str, Any] = {n: getattr(terms, n) for n in ("basis", "rate", "currency", "payee")}
    return replace(item, exact=exact, **said)


def _flat(versions: Sequence[Version], now_ms: int) -> Iterator[Item]:
    """A flat fee is owed once, when its version comes into force; one that is raised, the rest."""
    owed = _ZERO
    for version in versions:
        terms = version.grant.compensation
        if terms is None or terms.basis != "flat" or version.from_ms > now_ms:
            continue
        more = _EXACT.subtract(Decimal(terms.rate), owed)
        why = "the flat fee" if owed == 0 else "what the flat fee was raised by"
        if more > 0:
            number = version.grant.version
            one = Item(version.from_ms, number, why, _ONE, entry=version.seq)
            yield replace(_paid_for(one, terms), exact=more)
            owed = Decimal(terms.rate)


def _used(versions: Mapping[int, Version], uses: Iterable[Use]) -> Iterator[Item]:
    paid, latest_ms = _Paid(), 0
    for use in uses:
        latest_ms = max(latest_ms, use.at_ms)  # a clock that was set back makes no other order
        terms = versions[use.version].grant.compensation
        quantity, why = _counted(use, latest_ms, None if terms is None else terms.basis, paid)
        item = Item(latest_ms, use.version, why, quantity, use=use, entry=use.seq)
        yield _paid_for(item, terms)


def _counted(use: Use, at_ms: int, basis: str | None, paid: _Paid) -> tuple[Decimal, str]:
    """How much of the basis a use is, and why."""
    if basis is None:
        return _ZERO, "the grant says nothing of a fee"
    if basis == "flat":
        return _ZERO, "the flat fee covers it"
    if basis == "second":
        return use.seconds, "seconds made" if use.complete else "seconds heard of a part"
    if basis == "line":
        if not use.complete:
            return _ZERO, "a line that did not come to its end"
        by = paid.lines.setdefault(use.line or use.root, use.seq)
        return (_ONE, "a line") if by == use.seq else (_ZERO, f"a line that entry {by} paid for")
    if not use.complete and use.seconds == 0:
        return _ZERO, "nothing was heard of it"
    if basis == "day":
        by = paid.days.setdefault(day_of(at_ms), use.seq)
        return (_ONE, "a day") if by == use.seq else (_ZERO, f"a day that entry {by} paid for")
    if paid.session is None or at_ms >= paid.session[0] + SESSION_MS:
        paid.session = (at_ms, use.seq)
        return _ONE, "a session"
    return _ZERO, f"a session that entry {paid.session[1]} paid for"


def _key(version: Version, at_ms: int) -> _Key | None:
    terms = version.grant.compensation
    if terms is None:
        return None
    every = version.grant.reporting.every
    return every, window(every, at_ms, (0, at_ms + 1))[0], terms.currency, terms.payee


def _capped(item: Item, version: Version, sums: dict[_Key, Decimal]) -> Item:
    """The item with what it adds to its reporting period, whose sum stays under the cap."""
    terms, key = version.grant.compensation, _key(version, item.at_ms)
    if terms is None or key is None:
        return item
    before = sums.get(key, _ZERO)
    after, why = _EXACT.add(before, item.exact), item.why
    if terms.cap is not None and after > Decimal(terms.cap):
        after, why = max(before, Decimal(terms.cap)), f"{item.why}; the cap is reached"
    sums[key] = after
    more = _EXACT.subtract(rounded(after, terms.currency), rounded(before, terms.currency))
    return replace(item, exact=_EXACT.subtract(after, before), amount=more, why=why)


def _minimums(
    versions: Sequence[Version], sums: Mapping[_Key, Decimal], revoked_ms: int | None, now_ms: int
) -> Iterator[Item]:
    """What is missing to the minimum of each reporting period that has ended.

    It is that of the version which is in force at the period's end.
    """
    if not versions:
        return
    expires_ms = round(versions[-1].grant.term.expires.timestamp() * 1000)
    gone_ms = expires_ms if revoked_ms is None else min(expires_ms, revoked_ms)
    for version in versions:
        terms, number = version.grant.compensation, version.grant.version
        later = (v.from_ms for v in versions if v.grant.version > number)
        until_ms, at_ms = min(later, default=None), version.from_ms
        while terms is not None and terms.minimum is not None and at_ms < gone_ms:
            _, end_ms = window(version.grant.reporting.every, at_ms, (0, gone_ms))
            if end_ms > now_ms or (until_ms is not None and end_ms > until_ms):
                break
            key = _key(version, end_ms - 1)
            assert key is not None, "there are terms"
            have, least = sums.get(key, _ZERO), Decimal(terms.minimum)
            if have < least:
                more = rounded(least, terms.currency) - rounded(have, terms.currency)
                why = "what is missing to the minimum"
                one = _paid_for(Item(end_ms - 1, number, why, entry=version.seq), terms)
                yield replace(one, exact=_EXACT.subtract(least, have), amount=more)
            at_ms = end_ms
