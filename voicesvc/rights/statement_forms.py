"""A statement as JSON, as a table for spreadsheets (CSV), and as a page that is printed."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from html import escape
from typing import Any

from voicesvc.rights import page as pages
from voicesvc.rights.grant import Grant
from voicesvc.rights.period import Period
from voicesvc.rights.statement import Item, totals

# What spreadsheets take for a formula at the start of a cell (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
COLUMNS = (
    *("at", "entry", "permit", "take", "line", "production", "made_by", "version", "basis", "why"),
    *("quantity", "rate", "exact", "amount", "currency", "payee", "text_erased"),
)
_SHOWN = ("at", "entry", "take", "line", "why", "quantity", "rate", "amount", "currency")


@dataclass(frozen=True, slots=True)
class Statement:
    """What is owed under a grant for a period, and what proves it."""

    grant: Grant  # the newest version
    period: Period
    made_ms: int
    items: Sequence[Item]
    erased: frozenset[int]  # entries whose salt was erased
    head: Mapping[str, Any]  # signed, with the key
    proofs: Sequence[Mapping[str, Any]]

    @property
    def whole(self) -> bool:
        """Whether the period had ended when the statement was made."""
        return self.made_ms >= self.period.end_ms


def json(said: Statement) -> dict[str, Any]:
    """As HTTP answers it."""
    grant, period = said.grant, said.period
    uses = [x.use for x in said.items if x.use is not None]
    return {
        "grant": grant.id,
        "version": grant.version,
        "actor": grant.voice.actor,
        "licensee": grant.licensee.name,
        "title": grant.production.title,
        "period": period.name,
        "from": _at(period.begin_ms),
        "to": _at(period.end_ms),
        "made_at": _at(said.made_ms),
        "complete": said.whole,
        "takes": len(uses),
        "seconds": _plain(sum((u.seconds for u in uses), Decimal(0))),
        "totals": [
            {"payee": payee, "currency": currency, "amount": _plain(amount)}
            for (payee, currency), amount in sorted(totals(said.items).items())
        ],
        "items": [row(item, said.erased) for item in said.items],
        "head": dict(said.head),
        "proofs": [dict(proof) for proof in said.proofs],
    }


def row(item: Item, erased: frozenset[int]) -> dict[str, Any]:
    """An item, by the names of `COLUMNS`."""
    use = item.use
    return {
        "at": _at(item.at_ms),
        "entry": item.entry,
        "permit": None if use is None else use.permit,
        "take": None if use is None else use.take,
        "line": None if use is None else use.line,
        "production": None if use is None else use.production,
        "made_by": None if use is None else use.made_by,
        "version": item.version,
        "basis": item.basis,
        "why": item.why,
        "quantity": _plain(item.quantity),
        "rate": item.rate,
        "exact": _plain(item.exact),
        "amount": None if item.currency is None else _plain(item.amount),
        "currency": item.currency,
        "payee": item.payee,
        "text_erased": use is not None and use.permit in erased,
    }


def table(said: Statement) -> str:
    """As CSV with a head line; cells that a spreadsheet would compute are quoted by `'`."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for item in said.items:
        cells = ("" if v is None else str(v) for v in row(item, said.erased).values())
        writer.writerow("'" + c if c.startswith(_FORMULA) else c for c in cells)
    return file.getvalue()


def page(said: Statement) -> str:
    """As a page that people read and print: no script, nothing fetched."""
    told = json(said)
    about = {n: told[n] for n in ("grant", "actor", "licensee", "title", "period", "from", "to")}
    about |= {"takes": told["takes"], "seconds": told["seconds"], "made at": told["made_at"]}
    owed = {t["payee"]: f"{t['amount']} {t['currency']}" for t in told["totals"]}
    sums = pages.rows(owed) if owed else "<p>Nothing.</p>"
    head = told["head"]
    root = {"entries": head["size"], "root": head["root"], "signed at": _at(head["at_ms"])}
    parts = [
        f"<h1>Statement {escape(said.period.name)}, grant {escape(said.grant.id)}</h1>",
        "" if said.whole else '<p class="state">The period has not ended yet.</p>',
        pages.rows(about),
        f"<h2>Owed</h2>{sums}",
        f"<h2>Item by item</h2>{_listed(told['items'])}",
        f"<h2>The ledger's head that proves it</h2>{pages.rows(root)}",
    ]
    return pages.document(f"Statement {said.period.name}, {said.grant.id}", "".join(parts))


def _listed(items: Sequence[Mapping[str, Any]]) -> str:
    if not items:
        return "<p>Nothing was made.</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in _SHOWN)
    lines = []
    for item in items:
        cells = {n: "" if item[n] is None else str(item[n]) for n in _SHOWN}
        if item["text_erased"]:
            cells["why"] += " (what was said is erased)"
        lines.append("".join(f"<td>{escape(c)}</td>" for c in cells.values()))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table class="items"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _at(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


def _plain(number: Decimal) -> str:
    """Without an exponent, and without zeros that say nothing beyond its places."""
    return f"{number:f}"
