"""Entries of the ledger for takes that a benchmark copies: the database wants one for each."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert

from voicesvc.rights.ledger import Entry, Row
from voicesvc.rights.ledger import row as ledger_row
from voicesvc.store import By, ledger
from voicesvc.store.tables import ledger as ledger_rows


def permits(c: Connection, by: By, ids: Sequence[str]) -> list[int]:
    """Entries of the ledger for takes, all at once; their numbers."""
    n = ledger.size(c)
    before = ledger.get(c, n - 1) if n else None
    made = []
    for id in ids:
        before = ledger_row(Entry("permit", id, {"actor": "joe"}), by.now_ms, b"", before)
        made.append(before)
    values = [{name: getattr(row, name) for name in Row.__slots__} for row in made]
    c.execute(insert(ledger_rows), values)
    return [row.seq for row in made]
