"""Where Alembic runs the migrations: on the connection it was given, in that transaction."""

from __future__ import annotations

from alembic import context

from fairlead.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a column only by copying its table
)
with context.begin_transaction():
    context.run_migrations()
