"""The worker that deletes files which no release refers to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any

from mooring.ota.releases import store
from mooring.ota.releases.files import Files
from mooring.store.engine import Database

__all__ = ["run", "sweep"]

EVERY_SECONDS = 3600.0


def sweep(database: Database, files: Files) -> int:
    """Deletes what is not needed; how many files.

    Raises:
        DatabaseUnavailable: nothing was deleted.
    """

    def known(digests: Collection[str]) -> set[str]:
        with database.read() as connection:
            return store.known_files(connection, digests)

    return files.sweep(known, time.time())


async def run(app: Any) -> None:
    """Until cancelled."""
    files = Files(app.settings.firmware_dir)
    while True:
        await asyncio.to_thread(sweep, app.database, files)
        await asyncio.sleep(EVERY_SECONDS)
