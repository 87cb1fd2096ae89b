"""Runs migrations on a connection that the caller hands over; there is no alembic.ini."""

from alembic import context

from mooring.store.migrate import belongs
from mooring.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    include_object=belongs(connection.dialect.name),
    # SQLite cannot alter a column in place; batch mode copies the table.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
