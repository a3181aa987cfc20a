"""Sessions that were logged out of, until they would have ended by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "ended_sessions",
        sa.Column("seq", _SEQ, autoincrement=True, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ended_sessions")),
        sa.UniqueConstraint("digest", name=op.f("uq_ended_sessions_digest")),
        sqlite_autoincrement=True,
    )
