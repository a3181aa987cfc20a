"""The ledger, its tree's heads, and the papers of rights; which entry a take was opened by.

Entries and papers are only ever added: triggers refuse to change or remove one, on SQLite and on
PostgreSQL. Salts can be removed, which is what erases what they hide.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ONLY_ADDED = ("ledger", "papers", "tree_heads")
_SQLITE = """
CREATE TRIGGER {table}_is_only_added_to_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is only added to'); END
"""
# Without it, INSERT OR REPLACE would remove a row without the trigger above.
_SQLITE_NEXT = """
CREATE TRIGGER ledger_goes_on BEFORE INSERT ON ledger
WHEN NEW.seq IS NOT (SELECT COALESCE(MAX(seq) + 1, 0) FROM ledger)
BEGIN SELECT RAISE(ABORT, 'an entry comes after the last'); END
"""
_SQLITE_ONCE = """
CREATE TRIGGER {table}_are_added_once BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})
BEGIN SELECT RAISE(ABORT, '{table} is only added to'); END
"""
_POSTGRES = (
    """
CREATE FUNCTION is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is only added to', TG_TABLE_NAME; END $$
""",
    """
CREATE FUNCTION ledger_goes_on() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF NEW.seq <> (SELECT COALESCE(MAX(seq) + 1, 0) FROM ledger) THEN
RAISE EXCEPTION 'an entry comes after the last'; END IF; RETURN NEW; END $$
""",
    """
CREATE TRIGGER ledger_goes_on BEFORE INSERT ON ledger
FOR EACH ROW EXECUTE FUNCTION ledger_goes_on()
""",
)
_POSTGRES_EACH = """
CREATE TRIGGER {table}_is_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION is_only_added_to()
"""


def upgrade() -> None:
    """Make the tables, and what keeps them from being changed."""
    op.create_table(
        "ledger",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("grant", sa.String(length=80), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("nodes", sa.LargeBinary(), nullable=False),
        sa.Column("peaks", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger")),
    )
    op.create_index(op.f("ix_ledger_grant_seq"), "ledger", ["grant", "seq"], unique=False)
    op.create_index(op.f("ix_ledger_subject_seq"), "ledger", ["subject", "seq"], unique=False)
    op.create_index(op.f("ix_ledger_kind_seq"), "ledger", ["kind", "seq"], unique=False)
    for name, column in (("papers", "content"), ("salts", "salt")):
        kind = sa.Text() if name == "papers" else sa.LargeBinary()
        op.create_table(
            name,
            sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
            sa.Column(column, kind, nullable=False),
            sa.ForeignKeyConstraint(["seq"], ["ledger.seq"], name=op.f(f"fk_{name}_seq_ledger")),
            sa.PrimaryKeyConstraint("seq", name=op.f(f"pk_{name}")),
        )
    op.create_table(
        "tree_heads",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("signed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_tree_heads")),
    )
    if op.get_bind().dialect.name == "sqlite":
        for table in ONLY_ADDED:
            for verb in ("UPDATE", "DELETE"):
                op.execute(_SQLITE.format(table=table, verb=verb))
        op.execute(_SQLITE_NEXT)
        for table, key in (("papers", "seq"), ("tree_heads", "size")):
            op.execute(_SQLITE_ONCE.format(table=table, key=key))
        return
    for statement in _POSTGRES:
        op.execute(statement)
    for table in ONLY_ADDED:
        op.execute(_POSTGRES_EACH.format(table=table))
