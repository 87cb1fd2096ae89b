"""SQL of devices that ask for updates over HTTP. The caller decides on transactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.ota.ddi.model import Asked
from mooring.ota.updates import store as update_store
from mooring.ota.updates.model import Seen, State, Way
from mooring.store.schema import ddi_controllers, device_state, devices, firmware_updates
from mooring.store.upsert import Upsert

__all__ = [
    "Controller",
    "controller",
    "described",
    "number_of",
    "polled",
    "updates",
]

_c, _u, _d = ddi_controllers.c, firmware_updates.c, devices.c


class Controller(NamedTuple):
    """A device that asks over HTTP. Times are epoch milliseconds.

    Attributes:
        config_at: when it last described itself; ``None``: never.
        version: that it named there; empty: none.
    """

    polled_at: int
    config_at: int | None
    version: str


_FIND = sa.select(_c.polled_at, _c.config_at, _c.version).where(
    _c.device_id == sa.bindparam("device")
)
_NAMED = sa.select(_d.id, _d.username).where(
    _d.tenant == sa.bindparam("tenant"), _d.name == sa.bindparam("name")
)
_SHORT = (
    *(_u.id, _u.release_id, _u.artifact_id, _u.state, _u.seen, _u.session_at, _u.asked_at),
    _u.expires_at,
)
_MINE = sa.select(*_SHORT).where(
    _u.device_id == sa.bindparam("device", type_=sa.BigInteger), _u.way == Way.DDI.value
)
_NEWEST = _MINE.where(_u.finished_at.is_not(None)).order_by(_u.id.desc()).limit(1).subquery()
_ASKED = sa.union_all(_MINE.where(_u.finished_at.is_(None)), sa.select(_NEWEST))


def number_of(connection: Connection, tenant: str, name: str) -> tuple[int, str] | None:
    """Number and username of a device; ``None``: the tenant has none of that name."""
    row = connection.execute(_NAMED, {"tenant": tenant, "name": name}).first()
    return None if row is None else (row[0], row[1])


def controller(connection: Connection, device_id: int) -> Controller | None:
    """What is known of a device that has asked before."""
    row = connection.execute(_FIND, {"device": device_id}).first()
    return None if row is None else Controller(*row)


def updates(connection: Connection, device_id: int) -> list[Asked]:
    """The updates that a device asks for here, by number: the open ones and the newest other
    one."""
    rows = connection.execute(_ASKED, {"device": device_id})
    return [
        Asked(number, release, artifact, State(state), Seen(seen), *times)
        for number, release, artifact, state, seen, *times in sorted(rows, key=lambda row: row[0])
    ]


_SET_POLLED = Upsert(
    ddi_controllers,
    ("device_id", "polled_at"),
    "device_id",
    lambda new: {
        "polled_at": sa.case((_c.polled_at > new.polled_at, _c.polled_at), else_=new.polled_at)
    },
)
_SET_SEEN = Upsert(
    device_state,
    ("device_id", "last_seen_at"),
    "device_id",
    lambda new: {
        "last_seen_at": sa.case(
            (device_state.c.last_seen_at > new.last_seen_at, device_state.c.last_seen_at),
            else_=new.last_seen_at,
        )
    },
)


def polled(connection: Connection, polls: Sequence[tuple[int, int]]) -> None:
    """Devices with when they asked last, by number. Devices that are gone are left out."""
    numbers = [number for number, _ in polls]
    there: set[int] = set()
    for start in range(0, len(numbers), update_store.AT_ONCE):
        some = numbers[start : start + update_store.AT_ONCE]
        there |= set(connection.execute(sa.select(_d.id).where(_d.id.in_(some))).scalars())
    rows = [one for one in sorted(polls) if one[0] in there]
    if rows:
        _SET_POLLED.execute(connection, rows)
        _SET_SEEN.execute(connection, rows)


_SET_CONFIG = Upsert(
    ddi_controllers,
    ("device_id", "polled_at", "config_at", "version"),
    "device_id",
    lambda new: {"config_at": new.config_at, "version": new.version},
)


def described(connection: Connection, device_id: int, at: int, version: str) -> None:
    """A device has described itself."""
    _SET_CONFIG.execute(connection, [(device_id, at, at, version)])
