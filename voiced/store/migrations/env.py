"""What Alembic runs: the migrations, on the connection that `voiced.store.upgrade` hands in."""

from __future__ import annotations

from alembic import context

from voiced.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a column
)
context.run_migrations()
