"""SQL of firmware updates. The caller decides on transactions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.model import Device
from mooring.identity.actor import Actor, walled
from mooring.ota.updates.model import NOT_BEGUN, Code, Kind, State, Update
from mooring.ota.updates.rows import COLUMNS, NAMES, row_of, update_of
from mooring.store.given import among, given, parameter
from mooring.store.given import numbers as numbers_of
from mooring.store.numbered import insert_numbered
from mooring.store.schema import ddi_controllers, device_state, firmware_updates
from mooring.store.tally import add_to_counter
from mooring.store.upsert import driver_of

__all__ = [
    "COUNTED",
    "Former",
    "Link",
    "Watched",
    "announce",
    "any_watched",
    "asking",
    "carried_by",
    "count",
    "count_offered",
    "delete",
    "find",
    "former",
    "insert",
    "listed",
    "newest",
    "of_release",
    "offered_directly",
    "one",
    "open_of",
    "open_of_tenant",
    "unwatch",
    "watched",
    "write",
]

AT_ONCE = 500  # numbers in one statement

COUNTED = {
    State.CONFIRMED: "firmware_confirmed",
    State.UNPROVED: "firmware_unproved",
    State.REVERTED: "firmware_reverted",
    State.REGRESSED: "firmware_regressed",
    State.FAILED: "firmware_failed",
    State.TIMED_OUT: "firmware_timed_out",
    State.REJECTED: "firmware_rejected",
    State.CANCELLED: "firmware_cancelled",
    State.SUPERSEDED: "firmware_superseded",
    State.GONE: "firmware_gone",
}
"""Counters of states that end an update; ``firmware_offered`` counts those that are made."""

_c = firmware_updates.c
_SELECT = sa.select(*COLUMNS)
_WITHOUT_LOG = sa.select(*(sa.literal("") if one is _c.log else one for one in COLUMNS))
_OPEN = _c.finished_at.is_(None)


class Link(NamedTuple):
    """What the platform knows of a device's connection; ``None``: nothing.

    ``online`` is the device's own word, for brokers that do not report sessions.
    """

    connected: bool | None
    since: int | None

    @classmethod
    def of(
        cls, connected: bool | None, since: int | None, online: bool | None, online_at: int | None
    ) -> Link:
        if connected is not None:
            return cls(bool(connected), since)
        return cls(None if online is None else bool(online), online_at)


class Watched(NamedTuple):
    """An update that messages of its device may change, and the device's connection."""

    update: Update
    link: Link


# ---------------------------------------------------------------------- writing


def insert(connection: Connection, new: Sequence[Update]) -> list[int]:
    """New updates; their numbers, in the order of ``new``.

    Raises:
        IntegrityError: a device has an open one of that kind.
    """
    rows = []
    for one in new:
        row = row_of(one)
        del row["id"]
        rows.append(row)
    return insert_numbered(connection, firmware_updates, rows)


_CHANGING = tuple(
    name
    for name in NAMES
    if name
    not in (
        *("tenant", "device_id", "device", "release_id", "artifact_id", "kind", "version"),
        *("size", "job_id", "actor", "reason", "created_at", "from_version", "provable"),
        *("reports", "way", "install_in"),
    )
)
_WRITE: dict[str, Any] = {}


def write(connection: Connection, changed: Sequence[Update]) -> None:
    """Stores updates as they are now, in the order of their numbers."""
    if not changed:
        return
    engine = connection.dialect.name
    statement = _WRITE.get(engine)
    if statement is None:
        new = given(engine, {name: _plain(_c[name].type) for name in _CHANGING})
        fresh = {name: new.c[name] for name in _CHANGING if name != "id"}
        statement = _WRITE[engine] = (
            sa.update(firmware_updates).where(_c.id == new.c.id).values(fresh)
        )
    rows = []
    for one in sorted(changed, key=lambda update: update.id):
        row = row_of(one)
        rows.append([row[name] for name in _CHANGING])
    connection.execute(statement, parameter(rows))


def _plain(kind: Any) -> Any:
    """What people read was cut before: the rows of ``given`` are not bound one by one."""
    return sa.Text() if isinstance(kind, sa.String | sa.types.TypeDecorator) else kind


def count(connection: Connection, states: dict[State, int]) -> None:
    """Adds to the counters of states that were entered."""
    for state in sorted(states):
        if state in COUNTED:
            add_to_counter(connection, COUNTED[state], states[state])


def count_offered(connection: Connection, number: int) -> None:
    """Adds to the counter of updates that were made."""
    if number:
        add_to_counter(connection, "firmware_offered", number)


ANNOUNCED_MS = 30_000  # between two notes of the same
_ANNOUNCED: dict[str, Any] = {}


def announce(connection: Connection, numbers: Collection[int], at: int) -> None:
    """Devices that are not connected download: they are away because of their updates."""
    if not numbers:
        return
    engine, c = connection.dialect.name, device_state.c
    statement = _ANNOUNCED.get(engine)
    if statement is None:
        before = sa.bindparam("before", type_=sa.BigInteger)
        statement = _ANNOUNCED[engine] = (
            sa.update(device_state)
            .where(
                among(engine, c.device_id),
                c.connected.is_(False),
                sa.or_(c.announced_at.is_(None), c.announced_at < before),
            )
            .values(announced_at=sa.bindparam("now", type_=sa.BigInteger))
        )
    times = {"before": at - ANNOUNCED_MS, "now": at}
    connection.execute(statement, numbers_of(engine, sorted(numbers)) | times)


_NEWEST = sa.select(sa.func.max(_c.id))


def newest(connection: Connection) -> int:
    """The number of the newest update."""
    return int(connection.execute(_NEWEST).scalar() or 0)


def delete(connection: Connection, numbers: Sequence[int]) -> None:
    """Removes updates whose offers could not be written."""
    for part in _parts(numbers):
        connection.execute(sa.delete(firmware_updates).where(_c.id.in_(part)))


_UNWATCH = (
    sa.update(firmware_updates)
    .where(
        _c.device_id.in_(sa.bindparam("devices", expanding=True)),
        _c.kind == sa.bindparam("which"),
        _c.state == State.CONFIRMED.value,
        _c.due_at.is_not(None),
    )
    .values(due_at=None)
)


def unwatch(connection: Connection, numbers: Collection[int], kind: Kind) -> None:
    """What these devices name says nothing of their earlier updates any more: another one is
    under way."""
    for part in _parts(sorted(numbers)):
        connection.execute(_UNWATCH, {"devices": part, "which": kind.value})


# ---------------------------------------------------------------------- looking


def one(connection: Connection, number: int, *, lock: bool = False) -> Update | None:
    """By its number; ``lock``: nobody else changes it in this transaction."""
    statement = _SELECT.where(_c.id == number)
    if lock:
        statement = statement.with_for_update()
    row = connection.execute(statement).first()
    return None if row is None else update_of(row)


def find(connection: Connection, numbers: Sequence[int], *, lock: bool = False) -> list[Update]:
    """Those with these numbers, in the order of their numbers."""
    found: list[Update] = []
    for part in _parts(sorted(set(numbers))):
        statement = _SELECT.where(_c.id.in_(part)).order_by(_c.id)
        rows = connection.execute(statement.with_for_update() if lock else statement)
        found += [update_of(row) for row in rows]
    return found


_OPEN_OF: dict[tuple[str, bool], Any] = {}


def open_of(
    connection: Connection, numbers: Collection[int], kind: Kind, *, lock: bool = False
) -> dict[int, Update]:
    """Device → its open update of that kind."""
    engine = connection.dialect.name
    statement = _OPEN_OF.get((engine, lock))
    if statement is None:
        statement = (
            sa.select(*COLUMNS)
            .where(among(engine, _c.device_id), _c.kind == sa.bindparam("which"), _OPEN)
            .order_by(_c.id)
        )
        _OPEN_OF[engine, lock] = statement = statement.with_for_update() if lock else statement
    asked = numbers_of(engine, sorted(numbers)) | {"which": kind.value}
    rows = connection.execute(statement, asked)
    return {update.device_id: update for update in map(update_of, rows)}


def open_of_tenant(connection: Connection, tenant: str, most: int) -> int:
    """How many are open, at most ``most``."""
    some = sa.select(sa.literal(1)).select_from(firmware_updates)
    some = some.where(_c.tenant == tenant, _OPEN).limit(most)
    counted = sa.select(sa.func.count()).select_from(some.subquery())
    return int(connection.execute(counted).scalar_one())


class Former(NamedTuple):
    """What became of a device's earlier updates of one kind lately.

    Attributes:
        loop_at: when one failed because its installs were not confirmed.
        installs: installs of the release that were not confirmed.
    """

    loop_at: int | None = None
    installs: int = 0


_FORMER: dict[str, Any] = {}


def former(
    connection: Connection, numbers: Collection[int], kind: Kind, release: int, since: int
) -> dict[int, Former]:
    """Device → what became of its updates that ended since ``since``."""
    engine = connection.dialect.name
    statement = _FORMER.get(engine)
    if statement is None:
        columns = (_c.device_id, _c.release_id, _c.state, _c.code, _c.installs, _c.finished_at)
        statement = _FORMER[engine] = (
            sa.select(*columns)
            .where(
                among(engine, _c.device_id),
                _c.kind == sa.bindparam("which"),
                _c.finished_at >= sa.bindparam("since", type_=sa.BigInteger),
            )
            .order_by(_c.id)
        )
    asked = numbers_of(engine, sorted(numbers)) | {"which": kind.value, "since": since}
    found: dict[int, Former] = {}
    for device, of, state, code, installs, finished_at in connection.execute(statement, asked):
        known = found.get(device, Former())
        loop_at = finished_at if code == Code.LOOP else known.loop_at
        begun = known.installs
        if of == release:
            # Each counts those before it, so the newest one knows all of them.
            begun = 0 if state in (State.CONFIRMED, State.UNPROVED) else installs
        found[device] = Former(loop_at, begun)
    return found


def listed(
    connection: Connection,
    actor: Actor,
    *,
    limit: int,
    before: int | None = None,
    device_id: int | None = None,
    release_id: int | None = None,
    job_id: int | None = None,
    states: Sequence[State] = (),
) -> list[Update]:
    """Those that the actor sees, the newest first, without their logs."""
    statement = _WITHOUT_LOG
    for column, wanted in (
        (_c.device_id, device_id),
        (_c.release_id, release_id),
        (_c.job_id, job_id),
    ):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if states:
        statement = statement.where(_c.state.in_([state.value for state in states]))
    if before is not None:
        statement = statement.where(_c.id < before)
    statement = walled(statement, _c.tenant, actor)
    return [
        update_of(row) for row in connection.execute(statement.order_by(_c.id.desc()).limit(limit))
    ]


def asking(connection: Connection, numbers: Collection[int], since: int) -> set[int]:
    """Those of these devices that have asked for updates over HTTP since then."""
    d = ddi_controllers.c
    statement = sa.select(d.device_id).where(d.device_id.in_(numbers), d.polled_at >= since)
    return set(connection.execute(statement).scalars()) if numbers else set()


def offered_directly(connection: Connection, actor: str, device: Device, since: int) -> int:
    """Other devices of a tenant that somebody has offered firmware without a job since then."""
    some = sa.select(sa.func.count(sa.distinct(_c.device_id))).where(
        _c.job_id.is_(None),
        _c.tenant == device.tenant,
        _c.actor == actor,
        _c.created_at >= since,
        _c.device_id != device.id,
    )
    return int(connection.execute(some).scalar_one())


def of_release(connection: Connection, release: int, *, limit: int, after: int = 0) -> list[Update]:
    """Open ones of a release that are not installing, for changing them."""
    states = [*(state.value for state in NOT_BEGUN), State.DOWNLOADING.value]
    statement = (
        _SELECT.where(_c.release_id == release, _c.id > after, _OPEN, _c.state.in_(states))
        .order_by(_c.id)
        .limit(limit)
        .with_for_update()
    )
    return [update_of(row) for row in connection.execute(statement)]


@cache
def _carried(dialect: str) -> Any:
    """Put together once, whatever the number of messages: that costs more than running it."""
    return _SELECT.where(among(dialect, _c.downlink_id)).order_by(_c.id).with_for_update()


def carried_by(connection: Connection, downlink_ids: Sequence[int]) -> list[Update]:
    """The updates whose offers these messages carry, for changing them."""
    dialect = connection.dialect.name
    rows = connection.execute(_carried(dialect), numbers_of(dialect, downlink_ids))
    return [update_of(row) for row in rows]


_WATCHED: dict[str, Any] = {}
_ANY_WATCHED = "SELECT EXISTS (SELECT 1 FROM firmware_updates WHERE due_at IS NOT NULL)"


def any_watched(connection: Connection) -> bool:
    """Whether there are updates that messages may change. Asked with each batch of messages, so
    the question goes to the driver: Core takes twenty times as long for it as SQLite."""
    if connection.dialect.name == "sqlite":
        return bool(driver_of(connection).execute(_ANY_WATCHED).fetchone()[0])
    return bool(connection.exec_driver_sql(_ANY_WATCHED).scalar_one())


def watched(connection: Connection, numbers: Collection[int]) -> list[Watched]:
    """Updates of these devices that messages may change, for changing them."""
    engine = connection.dialect.name
    statement = _WATCHED.get(engine)
    if statement is None:
        asked = given(engine, {"device_id": _c.device_id.type})
        state = device_state.c
        statement = _WATCHED[engine] = (
            sa.select(
                *COLUMNS, *(state.connected, state.connected_at, state.online, state.online_at)
            )
            .select_from(
                asked.join(
                    firmware_updates,
                    sa.and_(_c.device_id == asked.c.device_id, _c.due_at.is_not(None)),
                ).outerjoin(device_state, state.device_id == asked.c.device_id)
            )
            .order_by(_c.id)
            .with_for_update(of=firmware_updates)
        )
    rows = connection.execute(statement, parameter([one] for one in sorted(numbers)))
    count = len(NAMES)
    return [Watched(update_of(row[:count]), Link.of(*row[count:])) for row in rows]


def _parts(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[at : at + AT_ONCE] for at in range(0, len(values), AT_ONCE))
