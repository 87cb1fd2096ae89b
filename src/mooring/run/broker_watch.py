"""Reading the managed broker's log into the database, and keeping the log small."""

from __future__ import annotations

import asyncio
import logging

from mooring.app import App
from mooring.broker.log import LogKind, parse_line
from mooring.broker.process import BrokerProcess
from mooring.broker.tail import LogTail
from mooring.errors import BrokerUnavailable, DatabaseUnavailable
from mooring.presence import store
from mooring.presence.observe import Observations, Observer
from mooring.run.broker import BrokerFiles
from mooring.store.engine import now_ms

__all__ = ["BrokerWatch"]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.3
ROTATE_BYTES = 64 * 1024 * 1024
# At the most talkative level there are four such lines a message; none of them is an event.
_PACKET_IN, _PACKET_OUT = ": Received ", ": Sending "
TRIM_EVERY = 1000  # rows between two looks at how many there are


class BrokerWatch:
    """Follows the log of one managed broker.

    Args:
        app: whose database and settings.
        broker: told to open a new log file after the old one was moved away.
    """

    def __init__(self, app: App, broker: BrokerProcess) -> None:
        self._app = app
        self._broker = broker
        self._path = BrokerFiles(app.settings).log
        self._observer = Observer()
        self._since_trim = 0
        self.lines = 0  # of log read so far
        # Opened here, at its end: what is said while others get ready is read, too.
        self._tail = LogTail(self._path)

    async def run(self) -> None:
        await asyncio.to_thread(self._nobody)
        async for lines in self._tail.follow(POLL_SECONDS):
            self.lines += len(lines)
            events = [
                event
                for line in lines
                if not (_PACKET_IN in line or _PACKET_OUT in line)
                and (event := parse_line(line)) is not None
            ]
            seen = self._observer.observe(events, now_ms())
            if seen.rows or seen.restarted:
                await self._store(seen)
            await self._rotate()

    async def _store(self, seen: Observations) -> None:
        pause = 0.1
        while True:
            try:
                await asyncio.to_thread(self._write, seen)
            except DatabaseUnavailable as exc:
                log.warning("the broker's log waits for the database: %s", exc)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            else:
                return

    def _nobody(self) -> None:
        with self._app.database.write() as connection:
            store.nobody_connected(connection, now_ms())

    def _write(self, seen: Observations) -> None:
        with self._app.database.write() as connection:
            if seen.restarted:
                store.nobody_connected(connection, now_ms())
            if seen.rows:
                store.add_events(connection, seen.rows)
            denied = [row for row in seen.rows if row.event == LogKind.DENIED_PUBLISH]
            if denied:
                store.add_denied(connection, denied, self._app.settings.dead_letters_max)
            store.set_connected(connection, seen.latest.values())
            self._since_trim += len(seen.rows)
            if self._since_trim >= TRIM_EVERY:
                self._since_trim = 0
                store.trim_events(connection, self._app.settings.broker_events_max)

    async def _rotate(self) -> None:
        try:
            if self._path.stat().st_size < ROTATE_BYTES:
                return
            self._path.replace(self._path.with_suffix(".log.1"))
            self._broker.reload()  # SIGHUP: it opens the file anew
        except (OSError, BrokerUnavailable) as exc:
            log.warning("the broker's log could not be rotated: %s", exc)
