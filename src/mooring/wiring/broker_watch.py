"""Reading the managed broker's log into the database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from mooring.app import App
from mooring.broker.log import LogKind, LogReader
from mooring.broker.open_ids import foreign_id
from mooring.broker.password_lines import CANARY_USERNAME
from mooring.broker.process import BrokerProcess
from mooring.broker.tail import LogTail
from mooring.errors import DatabaseUnavailable, Invalid
from mooring.presence import store
from mooring.presence.evidence import OVERSIZE, Denied, Oversize
from mooring.presence.observe import EventRow, Observations, Observer, apart
from mooring.store.engine import now_ms
from mooring.supervisor.rows import RowFaults
from mooring.wiring.broker import BrokerFiles

__all__ = ["BrokerWatch"]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.3
CALM_SECONDS = 1.0  # where the plugin reports what is urgent
UNREADABLE, NOT_STORABLE = "that cannot be read", "that cannot be stored"
REFUSED = "broker_lines_refused"
"""Counter of lines that were not believed: cut, or to be read in two ways."""
FOREIGN_IDS = "platform_ids_used_by_others"
"""Counter of logins with a client id that only the platform uses."""
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
        broker: whose log it is.
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
        self._begun = False
        self._reader: LogReader | None = None
        self._ends = False
        self.faults = RowFaults("a line of the broker's log", passing=(), retried=False)
        self.lines = 0  # of log read so far
        self.every_packet: bool | None = True
        """Whether the log names every packet; ``None``: not known. Kept by ``attend``."""
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
        if not self._begun and not self.of_broker_only:
            # Once a start of the broker's, not each time this one fails.
            await asyncio.to_thread(self._nobody)
        self._begun = True
        if self._reader is None:
            version = await asyncio.to_thread(self._broker.version)
            self._reader = LogReader(version)
            # 2.0 does not say to its plugins why a session ended.
            self._ends = version < (2, 1)
        async for lines in self._tail.follow(self._pause):
            self.lines += len(lines)
            seen = self._observe(self._reader, lines)
            if self.of_broker_only:
                seen = _of_broker(seen, ends=self._ends)
            if seen.rows or seen.restarted or seen.refused:
                await self._store(seen)

    def _pause(self) -> float:
        return CALM_SECONDS if self.of_broker_only else POLL_SECONDS

    def _observe(self, reader: LogReader, lines: Sequence[str]) -> Observations:
        """A line that cannot be read costs itself."""
        events = []
        for line in lines:
            with self.faults.isolated(UNREADABLE):
                event = reader.read(line)
                if event is not None:
                    events.append(event)
        return self._observer.observe(events, now_ms())

    async def _store(self, seen: Observations) -> None:
        pause = 0.1
        while True:
            try:
                await asyncio.to_thread(self._write_whole, seen)
            except DatabaseUnavailable as exc:
                log.warning("the broker's log is not stored yet: %s", exc)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            except Exception as exc:  # noqa: BLE001 - what cannot be stored costs its own row
                if len(seen.rows) + len(seen.latest) <= 1:
                    self.faults.failed(NOT_STORABLE, exc)
                    return
                first = Observations(restarted=seen.restarted, refused=seen.refused)
                for part in (first, *apart(seen)):
                    await self._store(part)
                return
            else:
                return

    def _write_whole(self, seen: Observations) -> None:
        """All in one transaction; when the database rejects a value, only what holds it is left
        out, and counted."""
        try:
            self._write(seen)
        except Invalid as exc:
            log.warning("the database rejects something in the broker's log: %s", exc)
            self._write(Observations(restarted=seen.restarted, refused=seen.refused))
            for one in apart(seen):
                try:
                    self._write(one)
                except Invalid:
                    self._write(Observations(refused=1))

    def _is_foreign(self, row: EventRow) -> bool:
        """Somebody else logged in with a client id of the platform's, ending its session."""
        if row.event != LogKind.CONNECTED:
            return False
        own = {*self._app.service_names, CANARY_USERNAME}
        if not foreign_id(row.client_id, row.username, own):
            return False
        log.warning(
            "%r logged in with a client id of the platform: %r", row.username, row.client_id
        )
        return True

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
            foreign = [row for row in seen.rows if self._is_foreign(row)]
            if foreign:
                store.count(connection, FOREIGN_IDS, len(foreign))
            if seen.refused:
                store.count(connection, REFUSED, seen.refused)
            self._since_trim += len(seen.rows)
            if self._since_trim >= TRIM_EVERY:
                self._since_trim = 0
                store.trim_events(connection, self._app.settings.broker_events_max)


def _of_broker(seen: Observations, *, ends: bool) -> Observations:
    """What only the log says: starts, ends, full queues, connections that never logged in; with
    ``ends`` also sessions that ended because of a packet that is too large."""
    rows = [row for row in seen.rows if row.event not in _OF_CLIENTS]
    if ends:
        rows += [replace(row, event=OVERSIZE) for row in seen.rows if Oversize.said(row)]
    return Observations(rows=rows, refused=seen.refused)
