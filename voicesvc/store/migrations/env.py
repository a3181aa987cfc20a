"""Alembic's entry: runs the migrations on the connection that `Database` gives."""

from alembic import context

from voicesvc.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
