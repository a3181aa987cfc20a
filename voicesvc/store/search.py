"""Text found in lines and takes by any part of it, in any case, from an index.

Beside `lines` and `takes` there is a narrow table each with what can be searched, folded here, so
that SQLite and PostgreSQL find the same. SQLite has an FTS5 index of trigrams over it, kept by
triggers; PostgreSQL a GIN index of pg_trgm's.
"""

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    column,
    insert,
    literal_column,
    select,
    table,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError

from voicesvc.store.tables import line_search, take_search

FEW = 1000  # rows that are fetched one by one sooner than others are looked through in order
TRIGRAM = 3
_END = "\x1f"  # between fields, so that nothing is found across them
_LAST = "\U0010ffff"
_log = logging.getLogger(__name__)


def folded(given: str) -> str:
    """What two texts have in common that differ in case or in how accents are written."""
    return unicodedata.normalize("NFC", given.casefold()).replace(_END, " ")


def words(fields: Sequence[str]) -> str:
    """What is searched of a row; the end is padded so that its last character begins a trigram."""
    return "".join(folded(field) + _END for field in fields) + _END


def add(connection: Connection, searched: Table, rows: Mapping[int, Sequence[str]]) -> None:
    """Have new rows, by `seq`, found by these fields."""
    values = [{"seq": seq, "words": words(fields)} for seq, fields in rows.items()]
    connection.execute(insert(searched), values)


def change(connection: Connection, searched: Table, seq: int, fields: Sequence[str]) -> None:
    """Have a row found by other fields."""
    connection.execute(update(searched).where(searched.c.seq == seq).values(words=words(fields)))


def found(
    connection: Connection, searched: Table, seq: ColumnElement[int], q: str
) -> ColumnElement[bool]:
    """That the row of `seq` has `q` in a field.

    Where few rows have it, they are taken from the index. Where many do, the page is soon full:
    rows are looked through in the order they are wanted in, those that other conditions leave.
    """
    needle = folded(q)
    if connection.dialect.name != "sqlite":  # a plan for any text would not know of the index
        connection.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
    hits = connection.scalars(_hits(connection, searched, needle).limit(FEW + 1)).all()
    if len(hits) <= FEW:
        return seq.in_(set(hits))
    has_it = searched.c.words.like(_pattern(needle), escape="\\")
    return select(searched.c.seq).where(searched.c.seq == seq, has_it).exists()


def _hits(connection: Connection, searched: Table, needle: str) -> Select[Any]:
    """The `seq` of each row that has it, from the index, as often as the index names it."""
    if connection.dialect.name != "sqlite":
        return select(searched.c.seq).where(searched.c.words.like(_pattern(needle), escape="\\"))
    if len(needle) < TRIGRAM:  # all trigrams that begin with it
        term: ColumnElement[str] = column("term")
        return (
            select(column("doc"))
            .select_from(table(f"{searched.name}_terms"))
            .where(term >= needle, term <= needle + _LAST)
        )
    index = f"{searched.name}_index"
    phrase = '"' + needle.replace('"', '""') + '"'
    return (
        select(column("rowid")).select_from(table(index)).where(literal_column(index).match(phrase))
    )


def _pattern(needle: str) -> str:
    plain = needle.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{plain}%"


def prepare(connection: Connection) -> None:
    """Make PostgreSQL's indexes, if it has pg_trgm or may have it; without, searches are slower."""
    if connection.dialect.name == "sqlite":
        return
    try:
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    except DBAPIError as e:
        _log.warning(
            "takes are searched without an index: %s; have an administrator run "
            "CREATE EXTENSION pg_trgm in this database, and start again",
            e.orig,
        )
        return
    for searched in (line_search, take_search):
        connection.execute(
            text(
                f"CREATE INDEX IF NOT EXISTS ix_{searched.name}_words ON {searched.name} "
                # What is not sorted in yet is looked through by every search.
                "USING gin (words gin_trgm_ops) WITH (gin_pending_list_limit = 256)"
            )
        )
