"""Whether the platform runs now, from what its processes say in the database."""

from __future__ import annotations

import sqlalchemy as sa

from mooring.store.engine import Database, now_ms
from mooring.store.schema import processes

__all__ = ["ALIVE_SECONDS", "is_running"]

ALIVE_SECONDS = 15  # a process says that it lives every few seconds


def is_running(database: Database, at_ms: int | None = None) -> bool:
    """Whether any process of the platform has said so lately."""
    since = (now_ms() if at_ms is None else at_ms) - ALIVE_SECONDS * 1000
    with database.read() as connection:
        found = connection.execute(
            sa.select(processes.c.name).where(processes.c.beat_at >= since).limit(1)
        ).first()
    return found is not None
