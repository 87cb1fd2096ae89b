"""SQL of presence: states, their history, and the evidence they come from."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.broker.log import LogKind
from mooring.later import later
from mooring.presence.states.machine import Record, State, shown
from mooring.store.schema import (
    broker_events,
    device_state,
    devices,
    messages,
    presence,
    presence_changes,
    presence_marks,
)

with later():
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = [
    "EVIDENCE",
    "HISTORY_MAX",
    "Changed",
    "Known",
    "Seen",
    "Session",
    "add_changes",
    "changes_after",
    "dialects_of",
    "every",
    "history",
    "mark",
    "never_looked_at",
    "newest_event",
    "of_device",
    "pack",
    "returned",
    "seen",
    "sessions",
    "set_mark",
    "statements",
    "states_of",
    "times",
    "unpack",
    "write",
]

HISTORY_MAX = 100
"""Changes of state that are kept for each device."""

AT_ONCE = 500
EVENT_MARK, STATEMENT_MARK = "events", "statements"


class Known(NamedTuple):
    """A record, and what is known of how often its device sends."""

    record: Record
    interval: int | None = None  # ms
    interval_at: int = 0  # when that was last worked out


class Session(NamedTuple):
    """What the broker's evidence says. ``device`` is ``None`` for a start or an end of the
    broker itself."""

    device: int | None
    at: int
    event: str
    detail: str
    keepalive: int | None = None  # of a login, in seconds


class Seen(NamedTuple):
    """What is known of a device without its history; times in epoch milliseconds."""

    device: int
    connected: bool | None
    heard_at: int | None
    online: bool | None
    said_at: int | None
    announced_at: int | None


@dataclass(frozen=True, slots=True)
class Changed:
    """A line of a device's history."""

    at: int
    state: State
    reason: str


# ---------------------------------------------------------------------- records


def pack(record: Record) -> str:
    """As it is stored."""
    return json.dumps([*record])


def unpack(text: str) -> Record:
    state, *others = json.loads(text)
    found = Record(State(state), *others)
    return found._replace(changes=tuple(found.changes))


def every(connection: Connection) -> dict[int, Known]:
    """Number of the device → what is known."""
    c = presence.c
    rows = connection.execute(sa.select(c.device_id, c.record, c.interval_ms, c.interval_at))
    return {number: Known(unpack(text), ms, at) for number, text, ms, at in rows}


def of_device(connection: Connection, number: int) -> Known | None:
    c = presence.c
    row = connection.execute(
        sa.select(c.record, c.interval_ms, c.interval_at).where(c.device_id == number)
    ).first()
    return None if row is None else Known(unpack(row[0]), row[1], row[2])


def write(connection: Connection, known: Iterable[tuple[int, Known]]) -> set[int]:
    """Stores what is known of devices that still exist; their numbers."""
    rows = dict(known)
    there = _existing(connection, rows)
    values = [
        {
            "device_id": number,
            "state": str(shown(rows[number].record)),
            "record": pack(rows[number].record),
            "interval_ms": rows[number].interval,
            "interval_at": rows[number].interval_at,
        }
        for number in sorted(there)
    ]
    if values:
        insert = _insert(connection, presence)
        fresh = {name: insert.excluded[name] for name in values[0] if name != "device_id"}
        connection.execute(
            insert.on_conflict_do_update(index_elements=["device_id"], set_=fresh), values
        )
    return there


def _existing(connection: Connection, numbers: Collection[int]) -> set[int]:
    wanted, found = sorted(numbers), set[int]()
    for start in range(0, len(wanted), AT_ONCE):
        some = devices.c.id.in_(wanted[start : start + AT_ONCE])
        found |= set(connection.execute(sa.select(devices.c.id).where(some)).scalars())
    return found


# ---------------------------------------------------------------------- history


def add_changes(connection: Connection, changes: Sequence[tuple[int, Changed]]) -> None:
    """Appends to the histories; of each device the newest ``HISTORY_MAX`` are kept."""
    if not changes:
        return
    connection.execute(
        sa.insert(presence_changes),
        [
            {"device_id": number, "at": one.at, "state": str(one.state), "reason": one.reason}
            for number, one in changes
        ],
    )
    connection.execute(_TRIM, [{"device": number} for number in sorted({n for n, _ in changes})])


_OTHER = presence_changes.alias()
_TRIM = sa.delete(presence_changes).where(
    presence_changes.c.device_id == sa.bindparam("device", type_=sa.BigInteger),
    presence_changes.c.id
    <= sa.select(_OTHER.c.id)
    .where(_OTHER.c.device_id == sa.bindparam("device", type_=sa.BigInteger))
    .order_by(_OTHER.c.id.desc())
    .offset(HISTORY_MAX)
    .limit(1)
    .scalar_subquery(),
)


def history(connection: Connection, number: int, limit: int) -> list[Changed]:
    """The newest first."""
    c = presence_changes.c
    statement = sa.select(c.at, c.state, c.reason).where(c.device_id == number)
    rows = connection.execute(statement.order_by(c.id.desc()).limit(limit))
    return [Changed(at, State(state), reason) for at, state, reason in rows]


def changes_after(
    connection: Connection, after: int, limit: int
) -> tuple[list[tuple[int, Changed]], int]:
    """What changed behind a number, of every device, and the number up to which that is all;
    with a negative one nothing, and the newest number."""
    c = presence_changes.c
    if after < 0:
        newest = connection.execute(sa.select(sa.func.max(c.id))).scalar()
        return [], newest or 0
    statement = sa.select(c.device_id, c.at, c.state, c.reason, c.id).where(c.id > after)
    rows = connection.execute(statement.order_by(c.id).limit(limit)).all()
    found = [(row[0], Changed(row[1], State(row[2]), row[3])) for row in rows]
    return found, rows[-1][4] if rows else after


def states_of(connection: Connection, numbers: Collection[int]) -> dict[int, Record]:
    """What is known of some devices."""
    c = presence.c
    rows = connection.execute(sa.select(c.device_id, c.record).where(c.device_id.in_(numbers)))
    return {number: unpack(text) for number, text in rows}


# ---------------------------------------------------------------------- evidence


def mark(connection: Connection, name: str) -> int | None:
    """Up to where evidence of this kind was looked at."""
    statement = sa.select(presence_marks.c.value).where(presence_marks.c.name == name)
    return connection.execute(statement).scalar()


def set_mark(connection: Connection, name: str, value: int) -> None:
    insert = _insert(connection, presence_marks).values(name=name, value=value)
    connection.execute(
        insert.on_conflict_do_update(index_elements=["name"], set_={"value": insert.excluded.value})
    )


def newest_event(connection: Connection) -> int:
    return connection.execute(sa.select(sa.func.max(broker_events.c.id))).scalar() or 0


_OF_SESSIONS = [
    str(kind)
    for kind in (LogKind.CONNECTED, LogKind.DISCONNECTED, LogKind.RUNNING, LogKind.STOPPING)
]


def sessions(connection: Connection, after: int, limit: int) -> tuple[list[Session], int]:
    """What the broker's evidence says after an event, in its order, and the last one looked at."""
    e = broker_events.c
    some = sa.select(e.id, e.at, e.event, e.username, e.detail, e.keepalive).where(e.id > after)
    page = some.order_by(e.id).limit(limit).subquery()
    statement = (
        sa.select(page.c.id, devices.c.id, page.c.at, page.c.event, page.c.detail, page.c.keepalive)
        .outerjoin(devices, devices.c.username == page.c.username)
        .order_by(page.c.id)
    )
    rows = connection.execute(statement).all()
    of_broker = (str(LogKind.RUNNING), str(LogKind.STOPPING))
    found = [
        Session(device, at, event, detail, keepalive)
        for _, device, at, event, detail, keepalive in rows
        if event in _OF_SESSIONS and (device is not None or event in of_broker)
    ]
    return found, rows[-1][0] if rows else after


EVIDENCE = (
    "SELECT (SELECT max(id) FROM broker_events),"
    " (SELECT count(*) FROM device_state WHERE online_at >= :since),"
    " (SELECT sum(online_at - :since) FROM device_state WHERE online_at >= :since),"
    " (SELECT count(*) FROM device_state WHERE announced_at >= :since),"
    " (SELECT sum(announced_at - :since) FROM device_state WHERE announced_at >= :since)"
)
"""For ``Lookout``. Differs from an earlier answer when ``sessions`` or ``statements`` would find
more: a few figures instead of rows. The times of statements are added up, because one that is
committed later need not be the newest."""


_SEEN = (
    device_state.c.device_id,
    device_state.c.connected,
    device_state.c.last_seen_at,
    device_state.c.online,
    device_state.c.online_at,
    device_state.c.announced_at,
)


def statements(connection: Connection, since: int) -> list[Seen]:
    """Devices that reported their presence, or an absence to come, since a time."""
    found: dict[int, Seen] = {}
    for column in (device_state.c.online_at, device_state.c.announced_at):
        statement = sa.select(*_SEEN).where(column >= since)
        found |= {row[0]: Seen(*row) for row in connection.execute(statement)}
    return list(found.values())


def seen(connection: Connection, numbers: Collection[int]) -> dict[int, Seen]:
    """Number → what is known of these devices."""
    wanted, found = sorted(numbers), dict[int, Seen]()
    for start in range(0, len(wanted), AT_ONCE):
        some = device_state.c.device_id.in_(wanted[start : start + AT_ONCE])
        found |= {row[0]: Seen(*row) for row in connection.execute(sa.select(*_SEEN).where(some))}
    return found


def returned(connection: Connection, since: int, limit: int) -> list[Seen]:
    """Devices that count as offline or silent and have sent something since a time."""
    statement = (
        sa.select(*_SEEN)
        .join(presence, presence.c.device_id == device_state.c.device_id)
        .where(
            presence.c.state.in_((str(State.OFFLINE), str(State.SILENT))),
            device_state.c.last_seen_at >= since,
        )
        .limit(limit)
    )
    return [Seen(*row) for row in connection.execute(statement)]


def never_looked_at(connection: Connection, limit: int) -> list[Seen]:
    """Devices of which something is known and that have no record yet."""
    statement = (
        sa.select(*_SEEN)
        .join(devices, devices.c.id == device_state.c.device_id)
        .outerjoin(presence, presence.c.device_id == device_state.c.device_id)
        .where(presence.c.device_id.is_(None))
        .limit(limit)
    )
    return [Seen(*row) for row in connection.execute(statement)]


def times(connection: Connection, number: int, limit: int, since: int) -> list[int]:
    """When the newest messages of a device came."""
    c = messages.c
    statement = sa.select(c.received_at).where(c.device_id == number, c.ts >= since)
    return list(connection.execute(statement.order_by(c.ts.desc()).limit(limit)).scalars())


def dialects_of(connection: Connection, numbers: Collection[int]) -> dict[int, str]:
    """Number → name of the dialect."""
    wanted, found = sorted(numbers), dict[int, str]()
    for start in range(0, len(wanted), AT_ONCE):
        some = devices.c.id.in_(wanted[start : start + AT_ONCE])
        rows = connection.execute(sa.select(devices.c.id, devices.c.dialect).where(some))
        found |= {number: dialect for number, dialect in rows}  # noqa: C416 - dict() has no types
    return found


def _insert(connection: Connection, table: sa.Table) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
