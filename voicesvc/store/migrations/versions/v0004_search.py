"""What lines and takes are searched by, folded, in tables of their own; SQLite's index of trigrams.

PostgreSQL's index is made when the database is opened, if it has pg_trgm.
"""

import sqlalchemy as sa
from alembic import op

from voicesvc.store.search import words

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

FIELDS = {"line": ("text", "cue", "character", "notes"), "take": ("text", "note")}
_AT_ONCE = 1000
_SQLITE = (
    """
CREATE VIRTUAL TABLE {name}_index USING fts5(words, content='{name}', content_rowid='seq',
tokenize='trigram case_sensitive 1')
""",
    "CREATE VIRTUAL TABLE {name}_terms USING fts5vocab('{name}_index', 'instance')",
    """
CREATE TRIGGER {name}_added AFTER INSERT ON {name}
BEGIN INSERT INTO {name}_index (rowid, words) VALUES (NEW.seq, NEW.words); END
""",
    """
CREATE TRIGGER {name}_removed AFTER DELETE ON {name}
BEGIN INSERT INTO {name}_index ({name}_index, rowid, words)
VALUES ('delete', OLD.seq, OLD.words); END
""",
    """
CREATE TRIGGER {name}_changed AFTER UPDATE ON {name}
BEGIN
INSERT INTO {name}_index ({name}_index, rowid, words) VALUES ('delete', OLD.seq, OLD.words);
INSERT INTO {name}_index (rowid, words) VALUES (NEW.seq, NEW.words);
END
""",
)


def upgrade() -> None:
    """Make the tables, fill them, and have the index kept in step."""
    connection = op.get_bind()
    for of, fields in FIELDS.items():
        name = f"{of}_search"
        searched = op.create_table(
            name,
            sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
            sa.Column("words", sa.Text(), nullable=False),
            sa.ForeignKeyConstraint(["seq"], [f"{of}s.seq"], name=op.f(f"fk_{name}_seq_{of}s")),
            sa.PrimaryKeyConstraint("seq", name=op.f(f"pk_{name}")),
        )
        if connection.dialect.name == "sqlite":
            for statement in _SQLITE:
                op.execute(statement.format(name=name))
        rows = sa.table(f"{of}s", *(sa.column(c) for c in ("seq", *fields)))
        last = -1
        while some := connection.execute(
            sa.select(rows).where(rows.c.seq > last).order_by(rows.c.seq).limit(_AT_ONCE)
        ).all():
            values = [{"seq": row.seq, "words": words(row[1:])} for row in some]
            connection.execute(sa.insert(searched), values)
            last = some[-1].seq
