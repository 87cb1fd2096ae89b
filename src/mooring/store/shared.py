"""SQLAlchemy Core on a driver's connection that somebody else owns.

Ingest writes messages by means that Core does not have, and projections write with Core in the
same transaction. Core therefore never begins, commits or rolls back here.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.pool import StaticPool

__all__ = ["shared_connection"]

_DRIVERS = {"sqlite": "sqlite://", "postgresql": "postgresql+psycopg://"}


def shared_connection(dialect: str, owned: Any) -> Connection:
    """Core over a connection outside of any transaction. It is closed by its owner alone.

    In a pipeline of psycopg a statement that returns no rows does not wait for the server: it
    is sent together with the next one that does, and an error of it is raised there.

    Args:
        dialect: ``sqlite`` or ``postgresql``.
        owned: a connection of sqlite3 without transactions of its own, or of psycopg in
            autocommit mode.
    """
    engine = sa.create_engine(
        _DRIVERS[dialect],
        creator=lambda: owned,
        poolclass=StaticPool,
        pool_reset_on_return=None,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,  # errors are logged; values may be secret
    )
    if dialect == "postgresql":

        @event.listens_for(engine, "do_execute")
        def execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
            written = context.isinsert or context.isupdate or context.isdelete
            cursor.execute(statement, parameters)
            if owned.pgconn.pipeline_status and not (
                written and not context.compiled.effective_returning
            ):
                with owned.pipeline() as pipeline:
                    pipeline.sync()  # Core asks at once whether there are rows
            return True

    return engine.connect()
