"""A take is opened by a permit: the entry of the ledger that says which grant covers it.

Takes that are there already get one entry for all of them, `before`. From then on a trigger refuses
a take whose permit is not an entry of its own, and to give it another one.
"""

import time

import sqlalchemy as sa
from alembic import op

from voicesvc.rights.ledger import Entry, Row, row

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_LEDGER = sa.table(
    "ledger",
    sa.column("seq", sa.BigInteger()),
    sa.column("at_ms", sa.BigInteger()),
    *(sa.column(name, sa.String()) for name in ("kind", "subject", "grant")),
    *(sa.column(name, sa.LargeBinary()) for name in ("body", "nodes", "peaks")),
)
_REFUSED = "a take is opened by a permit of its own"
_SQLITE = (
    """
CREATE TRIGGER takes_have_a_permit BEFORE INSERT ON takes WHEN NOT EXISTS
(SELECT 1 FROM ledger WHERE seq = NEW.permit AND kind = 'permit' AND subject = NEW.id)
BEGIN SELECT RAISE(ABORT, '{refused}'); END
""",
    """
CREATE TRIGGER takes_keep_their_permit BEFORE UPDATE OF permit, id ON takes
WHEN OLD.permit IS NOT NEW.permit OR OLD.id IS NOT NEW.id
BEGIN SELECT RAISE(ABORT, '{refused}'); END
""",
)
_POSTGRES = (
    """
CREATE FUNCTION takes_have_a_permit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF TG_OP = 'UPDATE' THEN
  IF OLD.permit IS DISTINCT FROM NEW.permit OR OLD.id <> NEW.id THEN
  RAISE EXCEPTION '{refused}'; END IF;
ELSIF NOT EXISTS (SELECT 1 FROM ledger
  WHERE seq = NEW.permit AND kind = 'permit' AND subject = NEW.id) THEN
  RAISE EXCEPTION '{refused}';
END IF; RETURN NEW; END $$
""",
    """
CREATE TRIGGER takes_have_a_permit BEFORE INSERT OR UPDATE OF permit, id ON takes
FOR EACH ROW EXECUTE FUNCTION takes_have_a_permit()
""",
)


def upgrade() -> None:
    """Add the column, fill it, and have it demanded."""
    connection = op.get_bind()
    op.execute(
        "ALTER TABLE takes ADD COLUMN permit BIGINT "
        "CONSTRAINT fk_takes_permit_ledger REFERENCES ledger (seq)"
    )
    op.create_index(op.f("ix_takes_permit"), "takes", ["permit"], unique=False)
    n_takes = connection.scalar(sa.text("SELECT COUNT(*) FROM takes"))
    if n_takes:
        found = connection.execute(sa.select(_LEDGER).order_by(_LEDGER.c.seq.desc()).limit(1))
        last = found.first()
        before = None if last is None else Row(*last)
        entry = Entry("before", "takes", {"takes": n_takes})
        fresh = row(entry, time.time_ns() // 1_000_000, b"", before)
        values = {name: getattr(fresh, name) for name in Row.__slots__}
        connection.execute(sa.insert(_LEDGER).values(**values))
        connection.execute(sa.text("UPDATE takes SET permit = :seq"), {"seq": fresh.seq})
    sqlite = connection.dialect.name == "sqlite"
    for statement in _SQLITE if sqlite else _POSTGRES:
        op.execute(statement.format(refused=_REFUSED))
