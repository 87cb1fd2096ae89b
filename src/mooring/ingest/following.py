"""Waiting until ingest is subscribed to what the dialects say now."""

from __future__ import annotations

import json
import time

import sqlalchemy as sa

from mooring.ingest.sink import versions_of
from mooring.store.engine import Database
from mooring.store.processes import alive
from mooring.store.schema import processes, versions

__all__ = ["wait_followed"]

POLL_SECONDS = 0.05


def wait_followed(database: Database, timeout: float) -> bool:
    """Whether every ingest process that runs is subscribed for the newest version of the
    dialects within ``timeout`` seconds. True where none runs: one that starts reads them.

    Raises:
        DatabaseUnavailable: it cannot be asked.
    """
    deadline = time.monotonic() + timeout
    while True:
        with database.read() as connection:
            known = connection.execute(sa.select(versions.c.name, versions.c.value)).all()
            _, newest = versions_of({row.name: row.value for row in known})
            details = connection.execute(
                sa.select(processes.c.detail).where(processes.c.role == "ingest", alive())
            ).scalars()
            behind = [one for one in details if json.loads(one).get("dialects", newest) < newest]
        if not behind:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
