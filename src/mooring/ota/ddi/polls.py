"""Polls of one serving process, written together: a poll that changes nothing costs no
transaction."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from itertools import islice

from mooring.errors import DatabaseUnavailable
from mooring.ota.ddi import store
from mooring.presence.store import add_unknown
from mooring.settings import Settings
from mooring.store.engine import Database
from mooring.supervisor.worker import Worker

__all__ = ["UNKNOWN_MAX", "Polls"]

WRITE_SECONDS = 1.0
"""Between two transactions that write who has polled."""
FRESH_SECONDS = 60
"""A device that polls more often is written once in this time."""
UNKNOWN_MAX = 1_000
"""Unknown devices that are noted between two transactions; further ones are noted when they ask
again."""
AT_ONCE = 5_000  # devices in one transaction

log = logging.getLogger(__name__)


class Polls:
    """When devices polled; safe from any thread."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._fresh_ms = min(FRESH_SECONDS, settings.ddi_poll_seconds) * 1000
        self._lock = threading.Lock()
        self._written: dict[int, int] = {}
        self._older: dict[int, int] = {}
        self._begun = 0
        self._new: dict[int, int] = {}
        self._unknown: dict[tuple[str, str, str], int] = {}

    def workers(self) -> Sequence[Worker]:
        """See ``mooring.part.Resident``."""
        return (Worker("polls for updates", self._write_often),)

    async def close(self) -> None:
        """See ``mooring.part.Resident``."""
        await asyncio.to_thread(self._write_or_keep)

    def note(self, device_id: int, at: int) -> None:
        """A device has polled at a time, in epoch milliseconds."""
        with self._lock:
            before = self._written.get(device_id) or self._older.get(device_id, 0)
            if not 0 <= at - before < self._fresh_ms:  # before 0: the clock was set back
                self._new[device_id] = at  # in its place: it waits no longer than before

    def note_unknown(self, tenant: str, name: str, at: int) -> None:
        """A device that is not known has asked with a valid gateway token."""
        key = (self._settings.ddi_dialect, tenant, name)
        with self._lock:
            if key in self._unknown or len(self._unknown) < UNKNOWN_MAX:
                self._unknown[key] = at

    def write(self) -> int:
        """Writes what is new; how many devices.

        Raises:
            DatabaseUnavailable: it is kept for the next time.
        """
        with self._lock:
            # Those that have waited longest; the lock is held for nothing that grows.
            numbers = list(islice(self._new, AT_ONCE))
            polls = [(number, self._new.pop(number)) for number in numbers]
            unknown, self._unknown = self._unknown, {}
            self._remember(polls)
        if not polls and not unknown:
            return 0
        try:
            with self._database.write() as connection:
                if polls:
                    store.polled(connection, polls)
                if unknown:
                    add_unknown(
                        connection,
                        dict(sorted(unknown.items())),
                        self._settings.discovery_max_per_tenant,
                        self._settings.strangers_max,
                    )
        except DatabaseUnavailable:
            with self._lock:
                for number, at in polls:
                    self._new.setdefault(number, at)
                    self._written.pop(number, None)
                    self._older.pop(number, None)
                self._unknown = unknown | self._unknown
            raise
        return len(polls) + len(unknown)

    def _remember(self, polls: Sequence[tuple[int, int]]) -> None:
        """Notes when devices were written. What is older than ``_fresh_ms`` is of no use: two
        tables take turns, and the older one is dropped as a whole."""
        newest = max((at for _, at in polls), default=0)
        if newest - self._begun >= self._fresh_ms:
            self._begun, self._older, self._written = newest, self._written, {}
        self._written.update(polls)

    async def _write_often(self) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            if self._new or self._unknown:
                await asyncio.to_thread(self._write_or_keep)

    def _write_or_keep(self) -> None:
        try:
            while self.write() >= AT_ONCE:
                pass
        except DatabaseUnavailable as exc:
            log.warning("who has polled is written later: %s", exc)
