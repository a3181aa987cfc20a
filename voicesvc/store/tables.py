"""The tables. Times are UTC milliseconds since 1970; ids are made by the caller.

`seq` orders what was made; a cursor of a list is a `seq`. `version` counts changes from 1, for
optimistic concurrency.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Json = JSON(none_as_null=True)
# SQLite counts rows by itself only in a column of the type INTEGER.
Seq = BigInteger().with_variant(Integer, "sqlite")
_ID = String(40)
_WHO = String(100)


def _changes() -> list[Column[int] | Column[str]]:
    """What every object that people edit has."""
    return [
        Column("version", Integer, nullable=False, server_default=text("1")),
        Column("created_ms", BigInteger, nullable=False),
        Column("created_by", _WHO),
        Column("updated_ms", BigInteger, nullable=False),
        Column("updated_by", _WHO),
        Column("deleted_ms", BigInteger),
    ]


productions = Table(
    "productions",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("id", _ID, nullable=False, unique=True),
    Column("slug", String(100), nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("fps", String(10), nullable=False),
    Column("notes", Text, nullable=False),
    Column("lines_made", Integer, nullable=False, server_default=text("0")),
    *_changes(),
)

lines = Table(
    "lines",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("id", _ID, nullable=False, unique=True),
    Column("production", _ID, ForeignKey("productions.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("scene", Text, nullable=False),
    Column("cue", Text, nullable=False),
    Column("character", Text, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("text", Text, nullable=False),
    Column("markup", String(10), nullable=False),
    Column("delivery", Json, nullable=False),
    Column("lexicons", Json, nullable=False),
    Column("timecode_in", String(16)),
    Column("timecode_out", String(16)),
    Column("notes", Text, nullable=False),
    Column("takes_made", Integer, nullable=False, server_default=text("0")),
    *_changes(),
    UniqueConstraint("production", "number"),
)

takes = Table(
    "takes",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("id", _ID, nullable=False, unique=True),
    Column("production", _ID, ForeignKey("productions.id")),
    Column("line", _ID, ForeignKey("lines.id")),
    Column("number", Integer),
    Column("parent", _ID, ForeignKey("takes.id")),
    Column("made_by", String(10), nullable=False),
    Column("state", String(10), nullable=False),
    # Which entry of the ledger it was opened by; a trigger demands one of its own.
    Column("permit", BigInteger, ForeignKey("ledger.seq"), index=True),
    Column("instance", String(40)),  # the process that is making it
    Column("actor", String(100), nullable=False),
    Column("text", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("model_sha256", String(64), nullable=False),
    Column("plan_sha256", String(64)),
    Column("pcm_sha256", String(64)),
    Column("sample_rate_hz", Integer),
    Column("samples", BigInteger),
    Column("compute_s", Float),
    Column("facts", Json, nullable=False),
    Column("measured", Json),
    Column("flags", Json, nullable=False),
    Column("flagged", Boolean, nullable=False, server_default=false()),
    Column("circled", Boolean, nullable=False, server_default=false()),
    Column("rating", Integer),
    Column("note", Text, nullable=False, server_default=text("''")),
    Column("tags", Json, nullable=False),
    Column("closed_ms", BigInteger),
    Column("purged_ms", BigInteger),  # when the audio of a deleted take was removed
    *_changes(),
    UniqueConstraint("line", "number"),
    Index(None, "production", "seq"),
    Index(None, "actor", "seq"),
    Index(None, "state", "seq"),
    Index(None, "circled", "seq"),
    Index(None, "flagged", "seq"),
    Index(None, "parent"),
    Index(None, "pcm_sha256"),
    # What lines and productions count is in these alone; without, every take's row is read.
    Index("ix_takes_of_line", "line", "deleted_ms", "circled", "state", "flagged", "number"),
    Index("ix_takes_of_production", "production", "deleted_ms"),
    Index(
        "ix_takes_deleted",
        "seq",
        sqlite_where=text("deleted_ms IS NOT NULL"),
        postgresql_where=text("deleted_ms IS NOT NULL"),
    ),
)

# What each is searched by, folded; `seq` is its row's. See `voicesvc.store.search`.
line_search, take_search = (
    Table(
        f"{of}_search",
        metadata,
        Column("seq", Seq, ForeignKey(f"{of}s.seq"), primary_key=True, autoincrement=False),
        Column("words", Text, nullable=False),
    )
    for of in ("line", "take")
)

documents = Table(
    "documents",
    metadata,
    Column("take", _ID, ForeignKey("takes.id"), primary_key=True),
    Column("name", String(20), primary_key=True),
    Column("content", LargeBinary, nullable=False),  # zlib
)

events = Table(
    "events",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", String(12), nullable=False),
    Column("subject", _ID, nullable=False),
    Column("line", _ID),
    Column("production", _ID),
    Column("action", String(12), nullable=False),
    Column("version", Integer, nullable=False),
    Column("who", _WHO),
    Column("facts", Json, nullable=False),
    Index(None, "production", "seq"),
    sqlite_autoincrement=True,  # a number is never given twice
)

keys = Table(
    "keys",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("scope", String(255), primary_key=True),
    Column("body_sha256", String(64), nullable=False),
    Column("answer", Json),
    Column("at_ms", BigInteger, nullable=False),
    Index(None, "at_ms"),
)

instances = Table(
    "instances",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("seen_ms", BigInteger, nullable=False),
)

ledger = Table(
    "ledger",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),  # from 0, without a gap
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", String(12), nullable=False),
    Column("subject", String(100), nullable=False),
    Column("grant", String(80)),
    Column("body", LargeBinary, nullable=False),  # canonical JSON, a leaf of the tree
    Column("nodes", LargeBinary, nullable=False),  # what it completes in the tree, from level 0
    Column("peaks", LargeBinary, nullable=False),  # of the tree with it
    Index(None, "grant", "seq"),
    Index(None, "subject", "seq"),
    Index(None, "kind", "seq"),
)

papers = Table(
    "papers",
    metadata,
    Column("seq", BigInteger, ForeignKey("ledger.seq"), primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),  # a grant, a notice, an approval, a script or a key
)

salts = Table(
    "salts",
    metadata,
    Column("seq", BigInteger, ForeignKey("ledger.seq"), primary_key=True, autoincrement=False),
    Column("salt", LargeBinary, nullable=False),
)

tree_heads = Table(
    "tree_heads",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("signed", Text, nullable=False),
)

fingerprints = Table(
    "fingerprints",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("take", _ID, ForeignKey("takes.id"), nullable=False, unique=True),
    Column("words", LargeBinary, nullable=False),
    sqlite_autoincrement=True,  # who has read up to a number misses none
)

unprinted = Table(
    "unprinted",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("take", _ID, ForeignKey("takes.id"), nullable=False, unique=True),
    sqlite_autoincrement=True,
)

ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("digest", String(64), nullable=False, unique=True),  # of its code, which says nothing
    Column("until_ms", BigInteger, nullable=False),  # when it would have ended by itself
    sqlite_autoincrement=True,  # a number is never given twice
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("scopes", Json, nullable=False),
    Column("actors", Json),  # NULL: all of them
    Column("productions", Json),  # the same
    Column("secrets", Json, nullable=False),  # keyed hashes, with when each ends
    Column("per_minute", Integer),
    Column("at_once", Integer),
    Column("created_ms", BigInteger, nullable=False),
    Column("created_by", _WHO),
    Column("expires_ms", BigInteger),
    Column("revoked_ms", BigInteger),
    Column("version", Integer, nullable=False, server_default=text("1")),
)
