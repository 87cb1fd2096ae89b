"""What does not answer although this process runs: the database, the broker or ingest.

While a page is open, the connection to the broker is looked at every second and the database every
two, with one small question, which also says whether ingest runs; a file is locked for a moment
every second, because somebody else may have locked it, whom only writers notice. So a page can say
within five seconds what has gone, and that it is back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from mooring.app import App
from mooring.clock import now_ms
from mooring.errors import DatabaseUnavailable
from mooring.store.engine import Database
from mooring.store.leases import process_runs
from mooring.store.processes import is_alive
from mooring.store.schema import processes

__all__ = ["Ingests", "Process", "Trouble"]

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
DATABASE_EVERY = 2  # looks
PATIENCE_SECONDS = 1.5  # with a database that neither answers nor fails
LOCK_MS = 3_000  # for which a file may be locked by somebody else
GRACE_MS = {"database": 0, "lock": 0, "broker": 2_000, "ingest": 2_000}
"""How long each may be gone, in a restart, before pages say so. The first one that is gone is the
cause of the others. A file that is locked is a database that does not answer."""


class Process(NamedTuple):
    """An ingest process, as it reports itself; ``beat_at`` in epoch milliseconds."""

    name: str
    host: str
    pid: int
    beat_at: int
    connected: bool


class Ingests:
    """Whether ingest works, from what its processes report. A process of this machine that was
    killed is known by its number; where a container has this machine's name and other numbers, it
    reports again, and is believed from then on."""

    def __init__(self, host: str, runs: Callable[[int], bool] = process_runs) -> None:
        self._host, self._runs = host, runs
        self._gone: dict[str, int] = {}  # without a process of that number → its last report
        self._elsewhere: set[str] = set()

    def work(self, found: Iterable[Process], at: int) -> bool:
        """Whether one of them runs and is connected.

        Args:
            at: epoch milliseconds.
        """
        every = list(found)
        names = {one.name for one in every}
        self._gone = {name: beat for name, beat in self._gone.items() if name in names}
        self._elsewhere &= names
        works = [self._works(one, at) for one in every]  # each of them is looked at
        return any(works)

    def _works(self, one: Process, at: int) -> bool:
        if not is_alive(one.beat_at, at):
            return False
        if one.host == self._host and one.name not in self._elsewhere and not self._runs(one.pid):
            if one.beat_at <= self._gone.setdefault(one.name, one.beat_at):
                return False
            self._elsewhere.add(one.name)
        return one.connected


class Trouble:
    """What does not answer now.

    Args:
        platform: the services as they are now.
        connected: whether this process's connection to the broker is up.
        watched: whether a page is open.
        changed: called when pages have to be notified.
    """

    def __init__(
        self,
        platform: Callable[[], Awaitable[App]],
        connected: Callable[[], bool],
        watched: Callable[[], bool],
        changed: Callable[[], None],
    ) -> None:
        self.now: dict[str, Any] | None = None
        """``{"what": "broker", "since": epoch milliseconds}``; ``None``: everything answers."""
        self.wake = asyncio.Event()
        """Set when the first page is opened."""
        self._platform, self._connected = platform, connected
        self._watched, self._changed = watched, changed
        self._since: dict[str, int] = {}
        self._ingests = Ingests(socket.gethostname())
        self._asking: asyncio.Task[bool] | None = None
        self._locking: asyncio.Task[None] | None = None
        self._locking_since = 0

    async def run(self) -> None:
        """Until cancelled: looks while a page is open."""
        turn = 0
        while True:
            if not self._watched():
                self._since.clear()
                self.now, turn = None, 0
                self.wake.clear()
                await self.wake.wait()
            self._note("broker", self._connected())
            if turn % DATABASE_EVERY == 0:
                await self._database()
            self._lock()
            turn += 1
            self._say()
            await asyncio.sleep(LOOK_SECONDS)

    async def _database(self) -> None:
        """One question at a time: one that is not answered keeps its thread."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait({self._asking}, timeout=PATIENCE_SECONDS)
        if not done:
            self._note("database", well=False)
            return
        asked, self._asking = self._asking, None
        try:
            works = asked.result()
        except DatabaseUnavailable as exc:
            log.debug("open pages say that the database does not answer: %s", exc)
            self._note("database", well=False)
            return
        self._note("database", well=True)
        self._note("ingest", works)

    def _lock(self) -> None:
        """One attempt at a time to get the lock of a database file, which readers do not need."""
        attempt = self._locking
        if attempt is None:
            self._locking, self._locking_since = asyncio.create_task(self._try_lock()), now_ms()
        elif attempt.done():
            self._locking = None
            try:
                attempt.result()
            except DatabaseUnavailable as exc:
                log.debug("open pages say that the database is locked: %s", exc)
                self._since.setdefault("lock", self._locking_since)
            else:
                self._since.pop("lock", None)
        elif now_ms() - self._locking_since >= LOCK_MS:
            self._since.setdefault("lock", self._locking_since)

    async def _try_lock(self) -> None:
        app = await self._platform()
        await asyncio.to_thread(_write_nothing, app.database)

    async def _ask(self) -> bool:
        app = await self._platform()
        found = await asyncio.to_thread(_read, app.database)
        return self._ingests.work(found, now_ms())

    def _note(self, what: str, well: bool) -> None:
        if well:
            self._since.pop(what, None)
        else:
            self._since.setdefault(what, now_ms())

    def _say(self) -> None:
        at = now_ms()
        found = None
        for what, grace in GRACE_MS.items():
            since = self._since.get(what)
            if since is not None and at - since >= grace:
                found = {"what": "database" if what == "lock" else what, "since": since}
                break
        if found != self.now:
            self.now = found
            self._changed()


def _write_nothing(database: Database) -> None:
    """Raises ``DatabaseUnavailable`` where somebody else keeps the lock of a file."""
    if database.is_sqlite:
        with database.write(news=False, lasting=False):
            pass


def _read(database: Database) -> list[Process]:
    c = processes.c
    asked = sa.select(c.name, c.host, c.pid, c.beat_at, c.detail).where(c.role == "ingest")
    with database.read(brief=True) as connection:
        return [
            Process(name, host, pid, beat_at, json.loads(detail).get("connected") is not False)
            for name, host, pid, beat_at, detail in connection.execute(asked)
        ]
