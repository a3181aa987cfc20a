"""Productions, lines, takes with their documents, what happened, and sent-again requests."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _log()
    _productions()
    _lines()
    _takes()
    _take_indexes()
    op.create_table(
        "documents",
        sa.Column("take", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["take"], ["takes.id"], name=op.f("fk_documents_take_takes")),
        sa.PrimaryKeyConstraint("take", "name", name=op.f("pk_documents")),
    )


def _log() -> None:
    """What happened, who is there, and requests that may be sent again."""
    op.create_table(
        "events",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("subject", sa.String(length=40), nullable=False),
        sa.Column("line", sa.String(length=40), nullable=True),
        sa.Column("production", sa.String(length=40), nullable=True),
        sa.Column("action", sa.String(length=12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("who", sa.String(length=100), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_events_production_seq"), "events", ["production", "seq"], unique=False)
    op.create_table(
        "instances",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instances")),
    )
    op.create_table(
        "keys",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("scope", sa.String(length=255), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "scope", name=op.f("pk_keys")),
    )
    op.create_index(op.f("ix_keys_at_ms"), "keys", ["at_ms"], unique=False)


def _productions() -> None:
    op.create_table(
        "productions",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("slug", sa.String(length=100), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("fps", sa.String(length=10), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("lines_made", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=True),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(length=100), nullable=True),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_productions")),
        sa.UniqueConstraint("id", name=op.f("uq_productions_id")),
        sa.UniqueConstraint("slug", name=op.f("uq_productions_slug")),
    )


def _lines() -> None:
    op.create_table(
        "lines",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("production", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("cue", sa.Text(), nullable=False),
        sa.Column("character", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("markup", sa.String(length=10), nullable=False),
        sa.Column("delivery", sa.JSON(), nullable=False),
        sa.Column("lexicons", sa.JSON(), nullable=False),
        sa.Column("timecode_in", sa.String(length=16), nullable=True),
        sa.Column("timecode_out", sa.String(length=16), nullable=True),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("takes_made", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=True),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(length=100), nullable=True),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["production"], ["productions.id"], name=op.f("fk_lines_production_productions")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_lines")),
        sa.UniqueConstraint("id", name=op.f("uq_lines_id")),
        sa.UniqueConstraint("production", "number", name=op.f("uq_lines_production_number")),
    )


def _takes() -> None:
    op.create_table(
        "takes",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("production", sa.String(length=40), nullable=True),
        sa.Column("line", sa.String(length=40), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("parent", sa.String(length=40), nullable=True),
        sa.Column("made_by", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("instance", sa.String(length=40), nullable=True),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("model_sha256", sa.String(length=64), nullable=False),
        sa.Column("plan_sha256", sa.String(length=64), nullable=True),
        sa.Column("pcm_sha256", sa.String(length=64), nullable=True),
        sa.Column("sample_rate_hz", sa.Integer(), nullable=True),
        sa.Column("samples", sa.BigInteger(), nullable=True),
        sa.Column("compute_s", sa.Float(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("measured", sa.JSON(), nullable=True),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("flagged", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("circled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=True),
        sa.Column("note", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("purged_ms", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=True),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(length=100), nullable=True),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["line"], ["lines.id"], name=op.f("fk_takes_line_lines")),
        sa.ForeignKeyConstraint(["parent"], ["takes.id"], name=op.f("fk_takes_parent_takes")),
        sa.ForeignKeyConstraint(
            ["production"], ["productions.id"], name=op.f("fk_takes_production_productions")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_takes")),
        sa.UniqueConstraint("id", name=op.f("uq_takes_id")),
        sa.UniqueConstraint("line", "number", name=op.f("uq_takes_line_number")),
    )


def _take_indexes() -> None:
    op.create_index(op.f("ix_takes_actor_seq"), "takes", ["actor", "seq"], unique=False)
    op.create_index(op.f("ix_takes_circled_seq"), "takes", ["circled", "seq"], unique=False)
    op.create_index(op.f("ix_takes_flagged_seq"), "takes", ["flagged", "seq"], unique=False)
    op.create_index(op.f("ix_takes_parent"), "takes", ["parent"], unique=False)
    op.create_index(op.f("ix_takes_pcm_sha256"), "takes", ["pcm_sha256"], unique=False)
    op.create_index(op.f("ix_takes_production_seq"), "takes", ["production", "seq"], unique=False)
    op.create_index(op.f("ix_takes_state_seq"), "takes", ["state", "seq"], unique=False)
    op.create_index(
        "ix_takes_of_line",
        "takes",
        ["line", "deleted_ms", "circled", "state", "flagged", "number"],
        unique=False,
    )
    op.create_index("ix_takes_of_production", "takes", ["production", "deleted_ms"], unique=False)
    deleted = sa.text("deleted_ms IS NOT NULL")
    op.create_index(
        "ix_takes_deleted",
        "takes",
        ["seq"],
        unique=False,
        sqlite_where=deleted,
        postgresql_where=deleted,
    )
