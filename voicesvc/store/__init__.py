"""Productions, lines, takes and what happened to them, in SQLite or PostgreSQL.

The functions of `productions`, `lines`, `takes`, `documents` and `record` are given to
`Database.read` and `Database.write`. SQL is nowhere else. Audio is not here: see `voicesvc.blobs`.
"""

from voicesvc.store.changes import Cut, Page
from voicesvc.store.database import Database
from voicesvc.store.objects import (
    By,
    Event,
    Production,
    ScriptLine,
    State,
    StoredTake,
    iso,
)
from voicesvc.store.within import ALL, Within

__all__ = [
    "ALL",
    "By",
    "Cut",
    "Database",
    "Event",
    "Page",
    "Production",
    "ScriptLine",
    "State",
    "StoredTake",
    "Within",
    "iso",
]
