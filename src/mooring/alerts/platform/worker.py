"""Looks at everything that the platform raises alerts for, each at its own interval.

A check says what is so now. What is new raises an alert, what is gone clears it; so a process that
was killed needs no memory.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa

from mooring.alerts import store
from mooring.alerts.changes import Change, apply
from mooring.alerts.model import Bounds, Clear, Source, platform_key
from mooring.alerts.platform.checks import CHECKS, WINDOW_MS
from mooring.alerts.platform.model import Check, Look, raise_of
from mooring.errors import MooringError
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.leases import Lease
from mooring.store.lookout import Lookout
from mooring.store.schema import counters
from mooring.supervisor.rows import RowFaults

__all__ = ["LEASE", "PlatformAlerts"]

log = logging.getLogger(__name__)

LEASE = "platform alerts"
STEP_SECONDS = 1.0
SAMPLE_MS = 30_000


class PlatformAlerts:
    """See the module.

    Args:
        disk: total and free bytes of a folder's file system.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        bounds: Bounds,
        *,
        checks: Sequence[Check] = CHECKS,
        disk: Callable[[Path], tuple[int, int]] | None = None,
    ) -> None:
        self._database, self._settings, self._bounds = database, settings, bounds
        self._checks = checks
        self._disk = disk or _disk
        self._next: dict[str, int] = {}
        self._since: dict[str, int] = {}  # key → since when it is found, for those that must hold
        self._counters: deque[tuple[int, dict[str, int]]] = deque()
        self.faults = RowFaults("the check", retried=False)

    async def run(self) -> None:
        """Until cancelled."""
        lease, lookout = Lease(self._database, LEASE), Lookout(self._database)
        try:
            while True:
                try:
                    now = now_ms()
                    held = lease.fresh or await asyncio.to_thread(lease.held, after_dead=True)
                    if held and await self.is_needed(lookout, now):
                        await asyncio.to_thread(self.step, now)
                except MooringError as exc:
                    log.warning("alerts of the platform are delayed: %s", exc)
                await asyncio.sleep(STEP_SECONDS)
        finally:
            lookout.close()

    async def is_needed(self, lookout: Lookout, now: int) -> bool:
        """Whether a check is due that may find something.

        Raises:
            DatabaseUnavailable: it cannot be asked.
        """
        due = self._due(now)
        for check in due:
            if not check.question:
                return True
            found = await lookout.look(check.question, always=True)
            if found is None or found[0]:
                return True
        for check in due:
            self._next[check.name] = now + check.every_ms
        return False

    def step(self, now: int) -> None:
        """The checks whose time has come.

        Raises:
            DatabaseUnavailable: nothing was written; call again.
        """
        due = self._due(now)
        if not due:
            return
        changes: list[Change] = []
        with self._database.read() as connection:
            known = store.open_keys(connection, Source.PLATFORM)
            look = self._look(connection, now)
            for check in due:
                with self.faults.isolated(check.name):
                    changes += self._compared(check, look, known)
                self._next[check.name] = now + check.every_ms
        if changes:
            with self._database.write() as connection:
                apply(connection, changes, self._bounds)

    def _due(self, now: int) -> list[Check]:
        return [
            check
            for check in self._checks
            if not 0 < self._next.get(check.name, 0) - now <= check.every_ms
        ]

    def _compared(self, check: Check, look: Look, known: Mapping[str, str]) -> list[Change]:
        """What a check finds, against its open alerts (key → message). A severity that a person
        gave an alert stays until the check says something else."""
        changes: list[Change] = []
        seen: set[str] = set()
        for found in check.find(look):
            raised = raise_of(check, found, look.at)
            seen.add(raised.key)
            if known.get(raised.key) != raised.message and self._holds(check, raised.key, look.at):
                changes.append(raised)
        prefix = platform_key(check.name)
        for key in [key for key in self._since if key.startswith(prefix) and key not in seen]:
            del self._since[key]
        gone = sorted(key for key in known if key.startswith(prefix) and key not in seen)
        return [*changes, *(Clear(key, look.at) for key in gone)]

    def _holds(self, check: Check, key: str, at: int) -> bool:
        if not check.hold_ms:
            return True
        since = self._since.setdefault(key, at)
        return not 0 <= at - since < check.hold_ms

    def _look(self, connection: sa.Connection, now: int) -> Look:
        values = {
            str(row[0]): int(row[1])
            for row in connection.execute(
                sa.select(counters.c.name, counters.c.value).where(
                    counters.c.name == "dead_letters"
                )
            )
        }
        samples = self._counters
        if not samples or not 0 <= now - samples[-1][0] < SAMPLE_MS:
            samples.append((now, values))
        while len(samples) > 1 and not 0 <= now - samples[1][0] < WINDOW_MS:
            samples.popleft()
        return Look(connection, self._settings, now, self._disk, values, samples[0][1])


def _disk(folder: Path) -> tuple[int, int]:
    found = shutil.disk_usage(folder)
    return found.total, found.free
