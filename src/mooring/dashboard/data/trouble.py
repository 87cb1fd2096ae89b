"""What needs attention: figures of one tenant or of all, read for the overview. Reads only."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.identity.actor import Actor, walled
from mooring.store.schema import (
    broker_events,
    dead_letters,
    device_state,
    devices,
    presence,
    rollup_queue,
    rotations,
    strangers,
)
from mooring.store.schema.platform import REFUSED

__all__ = [
    "HOUR_MS",
    "Rejected",
    "Trouble",
    "counted",
    "read",
]

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
LOOK = 50_000
"""Newest dead letters, among which those of the span are counted."""
REJECTED_MAX = 2_000
"""Rejected logins of the last hour that are read, the newest ones. The broker's own word on them
says how often each was repeated."""
UNSETTLED_MS = 15 * 60_000
"""A rotation that is not settled after so long."""
_COUNTED = re.compile(r"(?P<why>.*?) \((?P<count>\d+) times\)", re.DOTALL)


class Rejected(NamedTuple):
    """Rejected logins of one username in the last hour, with the newest reason.

    Attributes:
        device: ``tenant:name`` of the device; empty for a username that was never added.
    """

    username: str
    device: str
    why: str
    times: int
    address: str
    first: int
    last: int


class Trouble(NamedTuple):
    """Figures. Times are epoch milliseconds.

    Attributes:
        states: presence state → devices.
        never_seen: devices without any sign of them.
        rejected: usernames whose logins were rejected in the last hour, newest first.
        denied: devices that published to topics they may not use in the last hour, and messages.
        dead: reason → dead letters of the last day, without the denied ones.
        unsettled: rotations, and the oldest one's start.
        unknown: unknown devices that were heard in the last day.
        rollups: batches that wait for the roll-up, and the oldest one's time.
    """

    states: Mapping[str, int]
    never_seen: int
    rejected: list[Rejected]
    denied: tuple[int, int]
    dead: Mapping[str, int]
    unsettled: tuple[int, int | None]
    unknown: int
    rollups: int


def read(connection: Connection, who: Actor, now: int) -> Trouble:
    """All of it, in eight statements."""
    return Trouble(
        _states(connection, who),
        _never_seen(connection, who),
        _rejected(connection, who, now - HOUR_MS),
        _denied(connection, who, now - HOUR_MS),
        _dead(connection, who, now - DAY_MS),
        _unsettled(connection, who, now - UNSETTLED_MS),
        _unknown(connection, who, now - DAY_MS),
        int(connection.execute(sa.select(sa.func.count()).select_from(rollup_queue)).scalar_one())
        if who.tenant is None
        else 0,
    )


def _select(*columns: Any) -> sa.Select[Any]:
    return sa.select(*columns)


def _states(connection: Connection, who: Actor) -> dict[str, int]:
    found = walled(
        _select(presence.c.state, sa.func.count())
        .join(devices, devices.c.id == presence.c.device_id)
        .where(devices.c.enabled)
        .group_by(presence.c.state),
        devices.c.tenant,
        who,
    )
    return {str(state): int(number) for state, number in connection.execute(found)}


def _never_seen(connection: Connection, who: Actor) -> int:
    found = walled(
        _select(sa.func.count())
        .select_from(devices.outerjoin(device_state, device_state.c.device_id == devices.c.id))
        .where(
            device_state.c.last_seen_at.is_(None),
            sa.func.coalesce(device_state.c.connected, sa.false()) == sa.false(),
        ),
        devices.c.tenant,
        who,
    )
    return int(connection.execute(found).scalar_one())


def _rejected(connection: Connection, who: Actor, since: int) -> list[Rejected]:
    e = broker_events.c
    known: sa.Select[Any] = sa.select(
        e.id, e.at, e.username, e.address, e.detail, devices.c.tenant, devices.c.name
    ).select_from(
        broker_events.join(devices, devices.c.username == e.username, isouter=who.tenant is None)
    )
    found: sa.Select[Any] = walled(
        # As the index has it: with a parameter SQLite would not use it.
        known.where(REFUSED, e.at > since, e.username.is_not(None)).order_by(e.at.desc()),
        devices.c.tenant,
        who,
    ).limit(REJECTED_MAX)
    of: dict[str, list[tuple[int, str, str, str, int]]] = defaultdict(list)
    for _, at, username, address, detail, tenant, name in connection.execute(found):
        why, times = counted(detail)
        device = f"{tenant}:{name}" if name is not None else ""
        of[username].append((at, why, address or "", device, times))
    return [
        Rejected(
            username,
            seen[0][3],
            seen[0][1],
            sum(one[4] for one in seen),
            seen[0][2],
            seen[-1][0],
            seen[0][0],
        )
        for username, seen in of.items()
    ]


def counted(detail: str) -> tuple[str, int]:
    """``wrong_password (37 times)`` → the reason, and how often."""
    found = _COUNTED.fullmatch(detail)
    return (found["why"], int(found["count"])) if found else (detail, 1)


def _denied(connection: Connection, who: Actor, since: int) -> tuple[int, int]:
    d = dead_letters.c
    newest = sa.select(sa.func.max(d.id)).scalar_subquery()
    found = walled(
        _select(sa.func.count(d.device_id.distinct()), sa.func.count()).where(
            d.id > newest - LOOK, d.received_at > since, d.reason == "denied"
        ),
        d.tenant,
        who,
    )
    some, every = connection.execute(found).one()
    return int(some), int(every)


def _dead(connection: Connection, who: Actor, since: int) -> dict[str, int]:
    d = dead_letters.c
    newest = sa.select(sa.func.max(d.id)).scalar_subquery()
    found = walled(
        _select(d.reason, sa.func.count())
        .where(d.id > newest - LOOK, d.received_at > since, d.reason != "denied")
        .group_by(d.reason),
        d.tenant,
        who,
    )
    rows = [(str(reason), int(number)) for reason, number in connection.execute(found)]
    return dict(sorted(rows, key=lambda one: -one[1]))


def _unsettled(connection: Connection, who: Actor, before: int) -> tuple[int, int | None]:
    found = walled(
        _select(sa.func.count(), sa.func.min(rotations.c.created_at))
        .join(devices, devices.c.id == rotations.c.device_id)
        .where(rotations.c.finished_at.is_(None), rotations.c.created_at < before),
        devices.c.tenant,
        who,
    )
    number, oldest = connection.execute(found).one()
    return int(number), oldest


def _unknown(connection: Connection, who: Actor, since: int) -> int:
    found = walled(
        _select(sa.func.count()).select_from(strangers).where(strangers.c.last_seen_at > since),
        strangers.c.tenant,
        who,
    )
    return int(connection.execute(found).scalar_one())
