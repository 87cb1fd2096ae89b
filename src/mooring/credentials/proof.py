"""Which passwords were seen to work.

A password counts as proved when a device is in session, or connects, behind a mark in the
broker's log that was made after the password came into force: setting it ends every session
that came with another one, so nobody before the mark can still be there.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection as SqlConnection

from mooring.broker.connection import Connection, Endpoint
from mooring.credentials.journal import MARK, Event, Journal
from mooring.devices import password_store as store
from mooring.devices.password_store import Unproved
from mooring.errors import BrokerUnavailable
from mooring.store.engine import Database, now_ms
from mooring.store.schema import broker_events

__all__ = ["Proofs"]

log = logging.getLogger(__name__)

READ_AT_ONCE = 20_000
MARK_AGAIN_SECONDS = 5.0


class Proofs:
    """Reads the log's events and proves passwords.

    Args:
        endpoint: the platform's own account, whose connections make the marks.
        since: from which event on somebody else needs the journal, if anybody does.
    """

    def __init__(
        self,
        database: Database,
        endpoint: Endpoint,
        since: Callable[[SqlConnection], int | None] = lambda _connection: None,
    ) -> None:
        assert endpoint.username is not None
        self.journal = Journal(endpoint.username)
        self._database = database
        self._endpoint = endpoint
        self._since = since
        self._begun = False
        self._made: dict[str, float] = {}  # mark → when we last connected for it

    async def step(self) -> bool:
        """Reads on, makes marks that are missing, proves what can be; whether all was read.

        Raises:
            DatabaseUnavailable: nothing is lost; call again.
        """
        came, more = await asyncio.to_thread(self._read)
        for mark in await asyncio.to_thread(self._missing_marks):
            await self._make(mark)
        await asyncio.to_thread(self._prove, came)
        return not more

    def _read(self) -> tuple[set[str], bool]:
        with self._database.read() as connection:
            if not self._begun:
                wanted = (store.oldest_open_event(connection), self._since(connection))
                newest = store.newest_event(connection)
                self.journal.last = min([newest, *(one for one in wanted if one is not None)])
                self._begun = True
            rows = connection.execute(
                sa.select(
                    broker_events.c.id,
                    broker_events.c.event,
                    broker_events.c.username,
                    broker_events.c.client_id,
                    broker_events.c.address,
                    broker_events.c.at,
                )
                .where(broker_events.c.id > self.journal.last)
                .order_by(broker_events.c.id)
                .limit(READ_AT_ONCE)
            ).all()
        return self.journal.fold(Event(*row) for row in rows), len(rows) == READ_AT_ONCE

    def _missing_marks(self) -> list[str]:
        with self._database.read() as connection:
            fresh = store.unmarked(connection)
            marks = store.open_marks(connection)
        if fresh:
            mark = secrets.token_hex(8)
            with self._database.write() as connection:
                store.assign_mark(connection, mark)
            marks.append(mark)
        return [mark for mark in marks if self.journal.mark(mark) is None]

    async def _make(self, mark: str) -> None:
        if time.monotonic() - self._made.get(mark, -MARK_AGAIN_SECONDS) < MARK_AGAIN_SECONDS:
            return  # made; the log has not been read that far yet
        try:
            connection = await Connection.open(self._endpoint, client_id=MARK + mark)
        except BrokerUnavailable as exc:
            log.debug("no mark in the broker's log: %s", exc)
            return
        await connection.close()
        self._made[mark] = time.monotonic()
        while len(self._made) > 100:
            del self._made[next(iter(self._made))]

    def _prove(self, came: set[str]) -> None:
        journal = self.journal
        with self._database.read() as connection:
            seen = [
                (mark, event)
                for mark in store.open_marks(connection)
                if (event := journal.mark(mark)) is not None
            ]
            late = store.unproved(connection, sorted(came)) if came else []
        behind = [one for one in late if journal.came_after(one.username, one.mark_event)]
        if not seen and not behind:
            return
        with self._database.write() as connection:
            waited: list[Unproved] = []
            for mark, event in seen:
                waited += store.mark_found(connection, mark, event)
            there = [
                one
                for one in waited
                if journal.in_session(one.username, one.since_event)
                or journal.came_after(one.username, one.mark_event)
            ]
            store.prove(connection, [one.device_id for one in (*there, *behind)], now_ms())
