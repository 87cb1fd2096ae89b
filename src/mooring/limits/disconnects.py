"""Disconnects devices that exceed a limit, for as long as the settings say.

With Mooring's plugin the broker reports who exceeded a limit. With another authority ingest says
so in dead letters. Either way the device's account is locked, as if it were disabled, and accepted
again when the time is up; every authority can do that, and no other device notices.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.changes import queue as change_queue
from mooring.devices import limit_store
from mooring.errors import MooringError
from mooring.limits.buckets import BYTES, MESSAGES, TENANT_SENDS
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.leases import Lease
from mooring.store.lookout import Lookout
from mooring.store.schema import broker_events, dead_letters, devices, tenant_limits
from mooring.store.schema.platform import OVER_LIMIT
from mooring.store.tally import add_to_counter

__all__ = ["LEASE", "REMEMBERED_MAX", "LimitDisconnects"]

log = logging.getLogger(__name__)

LEASE = "limit disconnects"
STEP_SECONDS = 1.0
REMEMBERED_MAX = 100_000
"""Devices whose last time of rejection is remembered: what the broker reports late of the time
before it does not begin another one."""
_WORK = (
    "SELECT (SELECT max(id) FROM broker_events), (SELECT max(id) FROM dead_letters),"
    " count(*), sum(until), min(until) FROM limit_disconnects"
)
"""For ``Lookout``: differs when something was reported, or devices are accepted that were not."""
_OF_TENANT = "limit_tenant_"
"""Begins the limits of tenants, which disconnect nobody: another device may have used them up."""


class _Exceeded(NamedTuple):
    device_id: int
    username: str
    tenant: str
    at: int


class LimitDisconnects:
    """See the module. It acts on what is reported while it runs.

    Args:
        database: where reports and accounts are.
        settings: ``limit_disconnect_seconds``.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._seconds = settings.limit_disconnect_seconds
        self._seen: tuple[int, int] | None = None  # newest event, newest dead letter
        self._until: dict[int, int] = {}
        self._found: tuple[int | None, ...] | None = None  # by the last look

    async def run(self) -> None:
        """Until cancelled."""
        lease, lookout = Lease(self._database, LEASE), Lookout(self._database)
        self._found = None
        try:
            while True:
                try:
                    if not (lease.fresh or await asyncio.to_thread(lease.held, after_dead=True)):
                        self._seen = None
                    elif await self._is_needed(lookout, now_ms()):
                        await asyncio.to_thread(self.step, now_ms())
                except MooringError as exc:
                    log.warning("limits are applied later: %s", exc)
                    self._found = None
                await asyncio.sleep(STEP_SECONDS)
        finally:
            lookout.close()

    async def _is_needed(self, lookout: Lookout, now: int) -> bool:
        """Whether ``step`` may find something to do."""
        before = self._found
        found = await lookout.look(_WORK, always=before is None)
        if found is not None:
            self._found = found = tuple(found)
        ends = self._found[-1] if self._found else None
        changed = found is not None and found != before
        return self._seen is None or changed or (ends is not None and ends <= now)

    def step(self, now: int) -> None:
        """Disconnects who exceeded a limit since the last call, and accepts whose time is up.

        Raises:
            DatabaseUnavailable: nothing was changed; call again.
        """
        with self._database.read() as connection:
            newest = _newest(connection)
            seen, self._seen = self._seen, self._seen or newest
            own = _seconds_of_tenants(connection)
            found: list[_Exceeded] = []
            if seen is not None and (self._seconds or any(own.values())):
                found = _exceeded(connection, seen)
            held = limit_store.disconnected(connection)
        for number, until in self._until.items():
            if until > now and number not in held:  # somebody accepted it before its time was up
                self._until[number] = now
        for number, until in held.items():
            self._remember(number, until)
        ends = {}
        for one in found:
            seconds = own.get(one.tenant)
            seconds = self._seconds if seconds is None else seconds
            if seconds and one.device_id not in held and one.at > self._until.get(one.device_id, 0):
                ends[one.device_id] = (one.username, now + 1000 * seconds)
        if ends or any(until <= now for until in held.values()):
            with self._database.write() as connection:
                usernames = limit_store.reconnect(connection, now)
                times = {number: until for number, (_, until) in ends.items()}
                added = limit_store.disconnect(connection, times, now)
                usernames += [ends[number][0] for number in added]
                change_queue.enqueue_many(connection, "put", usernames)
                add_to_counter(connection, "limit_disconnects", len(added))
        for number, (_, until) in ends.items():
            self._remember(number, until)
        self._seen = newest

    def _remember(self, device_id: int, until: int) -> None:
        if len(self._until) >= REMEMBERED_MAX and device_id not in self._until:
            del self._until[next(iter(self._until))]
        self._until[device_id] = until


def _newest(connection: Connection) -> tuple[int, int]:
    tables = (broker_events, dead_letters)
    one, two = (connection.execute(sa.select(sa.func.max(t.c.id))).scalar() or 0 for t in tables)
    return one, two


def _seconds_of_tenants(connection: Connection) -> dict[str, int]:
    c = tenant_limits.c
    rows = connection.execute(
        sa.select(c.tenant, c.disconnect_seconds).where(c.disconnect_seconds.is_not(None))
    )
    return {row.tenant: row.disconnect_seconds for row in rows}


def _exceeded(connection: Connection, seen: tuple[int, int]) -> list[_Exceeded]:
    """Devices of which a limit was reported after these rows, with the time of the newest."""
    e, d, v = broker_events.c, dead_letters.c, devices.c
    columns = (v.id, v.username, v.tenant)
    by_broker = (
        sa.select(*columns, sa.func.max(e.at))
        .join(broker_events, e.username == v.username)
        .where(e.id > seen[0], OVER_LIMIT, sa.not_(e.detail.startswith(_OF_TENANT)))
        .group_by(*columns)
    )
    by_ingest = (
        sa.select(*columns, sa.func.max(d.received_at))
        .join(dead_letters, d.device_id == v.id)
        .where(
            d.id > seen[1],
            d.reason.in_([MESSAGES, BYTES]),
            sa.not_(d.detail.startswith(TENANT_SENDS)),
        )
        .group_by(*columns)
    )
    return [_Exceeded(*row) for one in (by_broker, by_ingest) for row in connection.execute(one)]
