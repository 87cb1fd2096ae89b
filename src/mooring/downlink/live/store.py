"""SQL of live messages: handed over only while their device listens. The caller decides on
transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.downlink import store
from mooring.downlink.model import Claimed
from mooring.downlink.protocol import Asked, Taken
from mooring.downlink.rules import Event, State, Until
from mooring.store.given import among, numbers
from mooring.store.schema import devices, downlinks

__all__ = [
    "claim_live",
    "due",
    "live_devices",
    "live_of",
    "park",
    "requeue",
    "unclaim_live",
    "wake_live",
    "wake_live_names",
    "with_live",
]

_d = downlinks.c


_at = sa.bindparam("at", type_=sa.BigInteger)
_first = downlinks.alias("first")
_DUE = (
    sa.select(_d.id, _d.device_id, devices.c.username, _d.topic)
    .join(devices, devices.c.id == _d.device_id)
    .where(
        store.OPEN_ROWS,
        _d.state == State.QUEUED.value,
        _d.expires_at > _at,
        _d.device_id.in_(
            sa.select(_first.c.device_id)
            .where(
                _first.c.finished_at.is_(None),
                _first.c.state == State.QUEUED.value,
                _first.c.next_at <= _at,
                _first.c.expires_at > _at,
            )
            .limit(sa.bindparam("devices"))
        ),
    )
    .order_by(_d.id)
    .limit(sa.bindparam("rows"))
)


def due(connection: Connection, at: int, number: int) -> list[Asked] | None:
    """All live messages of devices that have one to be tried now, in the order in which they
    were written; ``None``: there are more than ``number``, so tenants must take turns."""
    most = {"at": at, "devices": number + 1, "rows": number + 1}
    rows = connection.execute(_DUE, most).all()
    return None if len(rows) > number else [Asked(*row) for row in rows]


LOOKED_AT = (1, 4)
"""Messages for each device that is wanted: first one, and if the first ones belong to few devices,
several."""

_FIRST = (
    sa.select(_d.device_id)
    .where(
        store.OPEN_ROWS,
        _d.state == State.QUEUED.value,
        _d.tenant == sa.bindparam("tenant"),
        _d.next_at <= _at,
        _d.expires_at > _at,
        _d.device_id.is_not(None),
    )
    .order_by(_d.next_at, _d.id)
    .limit(sa.bindparam("rows"))
)


def live_devices(connection: Connection, tenant: str, at: int, limit: int) -> list[int]:
    """The tenant's devices with live messages to be tried now; those that wait longest first. It
    costs what is returned, however many messages wait: only the first ones are looked at."""
    found: list[int] = []
    for each in LOOKED_AT:
        most = {"tenant": tenant, "at": at, "rows": limit * each}
        rows = connection.execute(_FIRST, most).scalars().all()
        found = list(dict.fromkeys(rows))[:limit]
        if len(rows) < limit * each or 2 * len(found) >= limit:
            break
    return found


def live_of(connection: Connection, device_ids: Sequence[int], at: int, each: int) -> list[Asked]:
    """The first live messages of each of these devices, in the order in which they were
    written."""
    dialect = connection.dialect.name
    wanted = numbers(dialect, device_ids) | {"at": at, "each": each}
    return [Asked(*row) for row in connection.execute(_live_of(dialect), wanted)]


@cache
def _live_of(dialect: str) -> Any:
    """Put together once: that costs more than running it."""
    place = sa.func.row_number().over(partition_by=_d.device_id, order_by=_d.id).label("place")
    numbered = (
        sa.select(_d.id, _d.device_id, _d.topic, place)
        .where(_d.state == State.QUEUED.value, _d.expires_at > _at, among(dialect, _d.device_id))
        # Only what is open: so the index of a device's messages is of use.
        .where(_d.finished_at.is_(None))
        .subquery()
    )
    return (
        sa.select(numbered.c.id, numbered.c.device_id, devices.c.username, numbered.c.topic)
        .join(devices, devices.c.id == numbered.c.device_id)
        .where(numbered.c.place <= sa.bindparam("each"))
        .order_by(numbered.c.id)
    )


@cache
def _claim(dialect: str) -> Any:
    return (
        sa.update(downlinks)
        .where(among(dialect, _d.id), _d.state == State.QUEUED.value)
        .values(state=State.SENDING.value, attempts=_d.attempts + 1, sent_at=_at)
        .returning(*store.CLAIMED)
    )


def claim_live(connection: Connection, wanted: Sequence[int], at: int) -> list[Claimed]:
    """Marks these live messages as being sent, with one statement; those that were cancelled are
    left out."""
    dialect = connection.dialect.name
    rows = connection.execute(_claim(dialect), numbers(dialect, wanted) | {"at": at}).all()
    return sorted((store.claimed_row(row) for row in rows), key=lambda one: one.id)


@cache
def _park(dialect: str) -> Any:
    return (
        sa.update(downlinks)
        .where(among(dialect, _d.device_id), _d.finished_at.is_(None))
        .where(_d.state == State.QUEUED.value)
        .values(next_at=sa.bindparam("paused_to", type_=_d.next_at.type))
    )


def park(connection: Connection, next_at: Mapping[int, int]) -> None:
    """Queued messages of devices are not tried again before this time. One statement for each
    time that is given: pauses have few lengths."""
    dialect = connection.dialect.name
    of_time: dict[int, list[int]] = {}
    for number, at in next_at.items():
        of_time.setdefault(at, []).append(number)
    for at, some in of_time.items():
        connection.execute(_park(dialect), numbers(dialect, some) | {"paused_to": at})


def unclaim_live(connection: Connection, at: int) -> list[Taken]:
    """Live messages that a former sender had marked. Those that may be repeated are queued
    again; the others count as taken: they may have been."""
    again = _d.until == Until.LIVE_AGAIN.value
    marked = sa.and_(store.OPEN_ROWS, _d.state == State.SENDING.value)
    connection.execute(
        sa.update(downlinks).where(marked, again).values(state=State.QUEUED.value, next_at=at)
    )
    once = _d.until == Until.LIVE.value
    rows = connection.execute(sa.select(_d.id, _d.device_id, _d.sent_at).where(marked, once)).all()
    why = "The sender ended before it recorded the broker's answer."
    found = [Taken(row[0], row[1], row[2] or at, why) for row in rows]
    for part in store.parts_of([one.id for one in found]):
        store.change(connection, Event.ACCEPT, at, _d.id.in_(part), error=why)
    return found


def requeue(connection: Connection, wanted: Sequence[int], at: int) -> None:
    """Live messages whose session has ended are sent again, in their old places."""
    for part in store.parts_of(wanted):
        connection.execute(
            sa.update(downlinks)
            .where(
                _d.id.in_(part),
                _d.state == State.UNCONFIRMED.value,
                _d.until == Until.LIVE_AGAIN.value,
            )
            .values(state=State.QUEUED.value, next_at=at)
        )


def wake_live(connection: Connection, device_ids: Sequence[int], at: int) -> int:
    """Live messages of these devices are tried at ``at``."""
    woken = 0
    for part in store.parts_of(sorted(set(device_ids))):
        woken += connection.execute(
            sa.update(downlinks)
            .where(
                _d.device_id.in_(part),
                _d.finished_at.is_(None),
                _d.state == State.QUEUED.value,
                _d.next_at > at,
            )
            .values(next_at=at)
        ).rowcount
    return woken


def wake_live_names(connection: Connection, usernames: Sequence[str]) -> list[int]:
    """Devices with these usernames that have live messages."""
    found: list[int] = []
    for part in store.parts_of(usernames):
        queued = sa.exists().where(
            _d.device_id == devices.c.id,
            _d.finished_at.is_(None),
            _d.state == State.QUEUED.value,
        )
        found += connection.execute(
            sa.select(devices.c.id).where(devices.c.username.in_(part), queued)
        ).scalars()
    return found


def with_live(connection: Connection, wanted: Sequence[int]) -> list[int]:
    """Those of these devices that have live messages."""
    found: list[int] = []
    for part in store.parts_of(wanted):
        found += connection.execute(
            sa.select(_d.device_id)
            .distinct()
            .where(
                _d.device_id.in_(part),
                _d.finished_at.is_(None),
                _d.state == State.QUEUED.value,
            )
        ).scalars()
    return found
