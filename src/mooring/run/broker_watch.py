"""Reading the managed broker's log into the database, and keeping the log small."""

from __future__ import annotations

import asyncio
import logging

from mooring.app import App
from mooring.broker.log import LogKind, LogReader
from mooring.broker.process import BrokerProcess
from mooring.broker.tail import LogTail
from mooring.errors import BrokerUnavailable, DatabaseUnavailable, Invalid
from mooring.presence import store
from mooring.presence.evidence import Denied, Oversize
from mooring.presence.observe import Observations, Observer, apart
from mooring.run.broker import BrokerFiles
from mooring.store.engine import now_ms

__all__ = ["BrokerWatch"]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.3
ROTATE_BYTES = 64 * 1024 * 1024
REFUSED = "broker_lines_refused"
"""Counter of lines that were not believed: cut, or to be read in two ways."""
_OF_CLIENTS = {
    LogKind.CONNECTED,
    LogKind.DISCONNECTED,
    LogKind.TAKEN_OVER,
    LogKind.REFUSED,
    LogKind.DENIED_PUBLISH,
    LogKind.DENIED_SUBSCRIBE,
}
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
        self._observer = Observer(lambda: broker.starts)
        self._oversize = Oversize()
        self._since_trim = 0
        self.of_broker_only = app.settings.authority == "plugin"
        """Its plugin says who connects and what is denied: the log is read for the rest."""
        self.lines = 0  # of log read so far
        # Opened here, at its end: what is said while others get ready is read, too.
        self._tail = LogTail(self._path)

    @property
    def read_at(self) -> float:
        """Monotonic time up to which the log has been read."""
        return self._tail.read_at

    def logged_in(self) -> set[tuple[str, int]]:
        """Address and port of every connection that has logged in."""
        return self._observer.logged_in()

    async def run(self) -> None:
        if not self.of_broker_only:
            await asyncio.to_thread(self._nobody)
        reader = LogReader(await asyncio.to_thread(self._broker.version))
        async for lines in self._tail.follow(POLL_SECONDS):
            self.lines += len(lines)
            events = [event for line in lines if (event := reader.read(line)) is not None]
            seen = self._observer.observe(events, now_ms())
            if self.of_broker_only:
                seen = _of_broker(seen)
            if seen.rows or seen.restarted or seen.refused:
                await self._store(seen)
            await self._rotate()

    async def _store(self, seen: Observations) -> None:
        pause = 0.1
        while True:
            try:
                await asyncio.to_thread(self._write_whole, seen)
            except DatabaseUnavailable as exc:
                log.warning("the broker's log waits for the database: %s", exc)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            else:
                return

    def _write_whole(self, seen: Observations) -> None:
        """All in one transaction; when the database refuses a value, only what holds it is left
        out, and counted."""
        try:
            self._write(seen)
        except Invalid as exc:
            log.warning("the database refuses something in the broker's log: %s", exc)
            self._write(Observations(restarted=seen.restarted, refused=seen.refused))
            for one in apart(seen):
                try:
                    self._write(one)
                except Invalid:
                    self._write(Observations(refused=1))

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
            letters = [Denied(row, b"", 0, 1) for row in denied]
            letters += [one for row in seen.rows if (one := self._oversize.of_log(row)) is not None]
            if letters:
                store.add_denied(connection, letters, self._app.settings.dead_letters_max)
            store.set_connected(connection, seen.latest.values())
            if seen.refused:
                store.count(connection, REFUSED, seen.refused)
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


def _of_broker(seen: Observations) -> Observations:
    """What only the log says: starts, ends, full queues, connections that never logged in."""
    rows = [row for row in seen.rows if row.event not in _OF_CLIENTS]
    return Observations(rows=rows, refused=seen.refused)
