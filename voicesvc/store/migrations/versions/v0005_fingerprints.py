"""Fingerprints of takes, and the list of takes that are to get one: all that have audio."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables, and put what was made before on the list."""
    for name in ("fingerprints", "unprinted"):
        words = [sa.Column("words", sa.LargeBinary(), nullable=False)]
        op.create_table(
            name,
            sa.Column("seq", _SEQ, autoincrement=True, nullable=False),
            sa.Column("take", sa.String(length=40), nullable=False),
            *(words if name == "fingerprints" else []),
            sa.ForeignKeyConstraint(["take"], ["takes.id"], name=op.f(f"fk_{name}_take_takes")),
            sa.PrimaryKeyConstraint("seq", name=op.f(f"pk_{name}")),
            sa.UniqueConstraint("take", name=op.f(f"uq_{name}_take")),
            sqlite_autoincrement=True,
        )
    op.execute(
        "INSERT INTO unprinted (take) SELECT id FROM takes "
        "WHERE state = 'complete' AND pcm_sha256 IS NOT NULL AND purged_ms IS NULL ORDER BY seq"
    )
