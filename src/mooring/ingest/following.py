"""Waiting until every process uses the dialects as they are now."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from mooring.ingest.sink import versions_of
from mooring.store.engine import Database
from mooring.store.processes import alive
from mooring.store.schema import processes, versions

__all__ = ["wait_followed"]

POLL_SECONDS = 0.05


def wait_followed(database: Database, timeout: float) -> bool:
    """Whether every process that runs uses the newest version of the dialects within ``timeout``
    seconds: ingest is subscribed, the broker's accounts have their rights, and the worker knows
    them. True where none runs: one that starts reads them.

    Raises:
        DatabaseUnavailable: it cannot be asked.
    """
    deadline = time.monotonic() + timeout
    while True:
        with database.read() as connection:
            known = connection.execute(sa.select(versions.c.name, versions.c.value)).all()
            found = {row.name: row.value for row in known}
            details = connection.execute(sa.select(processes.c.detail).where(alive())).scalars()
            behind = [one for one in details if _is_behind(json.loads(one), found)]
        if not behind:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)


def _is_behind(detail: Mapping[str, Any], found: Mapping[str, int]) -> bool:
    """By the figures of its heartbeat; a process that reads dialects when it is asked has none."""
    _, subscribed = versions_of(found)
    read = found.get("dialects", 0)
    return bool(
        detail.get("dialects", subscribed) < subscribed or detail.get("dialects_read", read) < read
    )
