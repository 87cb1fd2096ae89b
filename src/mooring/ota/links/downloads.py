"""Downloads that are running in one serving process: how many, how fast, and how far they are."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mooring.errors import DatabaseUnavailable, TooMany, Unavailable
from mooring.ota.links.model import Follower
from mooring.ota.updates.protocol import Served
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.tally import Tally
from mooring.supervisor.worker import Worker

__all__ = ["ANNOUNCED_MAX_PER_ADDRESS", "DOWNLOADS_MAX_PER_DEVICE", "Downloads", "Pace"]

DOWNLOADS_MAX_PER_DEVICE = 4
"""A modem that lost its connection opens a new one before we notice the loss of the old one."""
ANNOUNCED_MAX_PER_ADDRESS = 32
"""Downloads of announced files from one address: devices behind one router share it."""
NOTE_SECONDS = 2.0
"""Between two transactions that note how far downloads are."""
RETRY_SECONDS = (5, 15)
"""Spread, so that devices which wait do not come back together."""

log = logging.getLogger(__name__)


class Pace:
    """Bytes a second of all downloads of a process together.

    Args:
        rate: bytes a second; 0: no limit.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._free_at = 0.0

    def wait(self, size: int, now: float) -> float:
        """How long to wait before ``size`` bytes may go out; both in seconds."""
        if not self.rate:
            return 0.0
        begin = max(now, self._free_at)
        self._free_at = begin + size / self.rate
        return begin - now


class Downloads:
    """Running downloads; ``turn`` and ``pace`` belong to the event loop.

    Args:
        follower: is notified of what was sent, at most once in ``NOTE_SECONDS``.
    """

    def __init__(
        self, database: Database, settings: Settings, tally: Tally, follower: Follower | None = None
    ) -> None:
        self._database, self._tally, self._follower = database, tally, follower
        self._most = settings.firmware_downloads_max
        self._most_of_tenant = settings.firmware_downloads_max_per_tenant
        self._running = 0
        self._tenants: Counter[str] = Counter()
        self._clients: Counter[int | str] = Counter()
        self._lock = threading.Lock()
        self._served: dict[int, Served] = {}
        self._pace = Pace(settings.firmware_bytes_per_second)

    def workers(self) -> Sequence[Worker]:
        """See ``mooring.part.Resident``."""
        return (Worker("firmware downloads", self._note_often),)

    async def close(self) -> None:
        """See ``mooring.part.Resident``."""
        await asyncio.to_thread(self._note_or_keep)

    def __len__(self) -> int:
        return self._running

    @contextmanager
    def turn(
        self, account: str, client: int | str, most: int = DOWNLOADS_MAX_PER_DEVICE
    ) -> Iterator[None]:
        """While a file is sent.

        Args:
            account: the tenant; empty: announcements to every device, which have their own room.
            client: the number of the device; of an announcement, the address that asks.
            most: downloads of one client.

        Raises:
            TooMany: ``downloads_busy``: of the client or the account.
            Unavailable: ``downloads_full``: of all.
        """
        self._has_room(account, client, most)
        self._running += 1
        self._tenants[account] += 1
        self._clients[client] += 1
        try:
            yield
        finally:
            self._running -= 1
            self._tenants[account] -= 1
            self._clients[client] -= 1
            if not self._tenants[account]:
                del self._tenants[account]
            if not self._clients[client]:
                del self._clients[client]

    def _has_room(self, account: str, client: int | str, most: int) -> None:
        wait = random.randint(*RETRY_SECONDS)  # noqa: S311 - spreads devices
        hint = f"Try again in {wait} s."
        text = ""
        if self._clients[client] >= most:
            whose = "device" if isinstance(client, int) else "address"
            text = f"{most} downloads of the {whose} are running already."
        elif self._tenants[account] >= self._most_of_tenant:
            whose = "tenant" if account else "announcement"
            text = f"{self._most_of_tenant} downloads of the {whose} are running already."
        if text:
            self._tally.count("firmware_downloads_limited")
            raise TooMany(text, hint=hint, code="downloads_busy", retry_after=wait)
        if self._running >= self._most:
            self._tally.count("firmware_downloads_limited")
            raise Unavailable(
                f"{self._most} downloads are running already.",
                hint=hint,
                code="downloads_full",
                retry_after=wait,
            )

    async def pace(self, size: int) -> None:
        """Waits until so many bytes may go out."""
        seconds = self._pace.wait(size, time.monotonic())
        if seconds > 0:
            await asyncio.sleep(seconds)

    def served(self, update: int, what: Served) -> None:
        """Notes how far an update's file has gone out; what is known already is kept."""
        with self._lock:
            known = self._served.get(update)
            if known is not None and known.artifact == what.artifact:
                what = Served(
                    what.artifact, max(known.to_byte, what.to_byte), known.whole or what.whole
                )
            self._served[update] = what

    def note(self) -> int:
        """Passes on how far updates are, in one transaction; how many.

        Raises:
            DatabaseUnavailable: it is kept for the next time.
        """
        with self._lock:
            served, self._served = self._served, {}
        if not served or self._follower is None:
            return 0
        try:
            with self._database.write() as connection:
                self._follower.served(connection, served, now_ms())
        except DatabaseUnavailable:
            for update, one in served.items():
                self.served(update, one)
            raise
        return len(served)

    async def _note_often(self) -> None:
        while True:
            await asyncio.sleep(NOTE_SECONDS)
            await asyncio.to_thread(self._note_or_keep)

    def _note_or_keep(self) -> None:
        try:
            self.note()
        except DatabaseUnavailable as exc:
            log.warning("how far downloads are is noted later: %s", exc)
