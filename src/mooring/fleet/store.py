"""SQL of lists of devices: what is shown of each, and counts of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.attributes.order_store import NEVER
from mooring.devices.attributes.problem_store import has_problem
from mooring.devices.attributes.search_store import Search
from mooring.devices.attributes.terms import Problem
from mooring.fleet.model import Count, CountBy
from mooring.fleet.spots import Position
from mooring.presence.states.store import unpack
from mooring.store.engine import now_ms
from mooring.store.schema import (
    device_attributes,
    device_groups,
    device_state,
    devices,
    presence,
)

__all__ = [
    "COUNTS_MAX",
    "NOTHING",
    "StateRow",
    "counts",
    "positions",
    "problems_of",
    "states_of",
]

COUNTS_MAX = 200
"""Values of which devices are counted; the most frequent ones."""


class StateRow(NamedTuple):
    """What is known of one device now."""

    presence: str = NEVER
    since: int | None = None
    interval_ms: int | None = None
    last_seen_at: int | None = None
    connected: bool | None = None
    address: str | None = None
    firmware: str | None = None


NOTHING = StateRow()


def _states() -> sa.Select[Any]:
    p, s = presence.c, device_state.c
    return (
        sa.select(
            *(devices.c.id, p.state, p.record, p.interval_ms),
            *(s.last_seen_at, s.connected, s.address, s.firmware),
        )
        .outerjoin(presence, p.device_id == devices.c.id)
        .outerjoin(device_state, s.device_id == devices.c.id)
        .where(devices.c.id.in_(sa.bindparam("numbers", expanding=True)))
    )


def _problems() -> sa.Select[Any]:
    now = sa.bindparam("now", type_=sa.BigInteger)
    number = devices.c.id
    flags = [sa.case((has_problem(one, number, now, few=True), 1), else_=0) for one in Problem]
    which = devices.c.id.in_(sa.bindparam("numbers", expanding=True))
    return sa.select(devices.c.id, *flags).where(which)


# Putting them together costs more than running them.
_STATES, _PROBLEMS = _states(), _problems()


def states_of(connection: Connection, numbers: Sequence[int]) -> dict[int, StateRow]:
    """Number → what is known; at most 500."""
    rows = connection.execute(_STATES, {"numbers": list(numbers)})
    return {
        number: StateRow(state or NEVER, _since(record), *others)
        for number, state, record, *others in rows
    }


def _since(text: str | None) -> int | None:
    if text is None:
        return None
    record = unpack(text)
    return (record.since if record.flapping_at is None else record.flapping_at) or None


def problems_of(connection: Connection, numbers: Sequence[int]) -> dict[int, tuple[Problem, ...]]:
    """Number → what may be wrong; at most 500."""
    rows = connection.execute(_PROBLEMS, {"numbers": list(numbers), "now": now_ms()})
    return {
        number: tuple(one for one, is_so in zip(Problem, found, strict=True) if is_so)
        for number, *found in rows
    }


def counts(connection: Connection, search: Search, by: CountBy) -> list[Count]:
    """How many devices of a search have each value, the most frequent first, at most
    ``COUNTS_MAX``. A device counts in each of its groups."""
    statement, number = search.narrowed(connection, search.conditions)
    column: Any
    match by:
        case CountBy.DIALECT | CountBy.TENANT:
            column = devices.c[str(by)]
        case CountBy.FIRMWARE:
            column = device_state.c.firmware
            statement = statement.outerjoin(device_state, device_state.c.device_id == number)
        case CountBy.PRESENCE:
            column = sa.func.coalesce(presence.c.state, NEVER)
            statement = statement.outerjoin(presence, presence.c.device_id == number)
        case CountBy.GROUP:
            member = device_groups.alias()
            column = member.c.group_name
            statement = statement.outerjoin(member, member.c.device_id == number)
    how_many = sa.func.count()
    statement = statement.with_only_columns(column, how_many, maintain_column_froms=True)
    statement = statement.group_by(column).order_by(how_many.desc(), column).limit(COUNTS_MAX)
    return [Count(value, number_of) for value, number_of in connection.execute(statement)]


class _Value(msgspec.Struct):
    """A position as it is stored (``mooring.devices.attributes``)."""

    lat: float
    lon: float


def positions(connection: Connection, search: Search, most: int) -> list[Position]:
    """Where the devices of a search are, ``most`` at most; those without a position are left out.
    In the order in which they were added."""
    statement, number = search.narrowed(connection, search.conditions)
    held, device = device_attributes.alias(), devices.alias()
    statement = (
        statement.join(held, sa.and_(held.c.device_id == number, held.c.name == "position"))
        .join(device, device.c.id == number)
        .outerjoin(presence, presence.c.device_id == number)
        .with_only_columns(
            *(held.c.value, device.c.tenant, device.c.name, device.c.enabled, presence.c.state),
            maintain_column_froms=True,
        )
        .order_by(number)
        .limit(most)
    )
    read = msgspec.json.Decoder(_Value).decode
    found = []
    rows: Sequence[Any] = connection.execute(statement).all()
    for value, tenant, name, enabled, state in rows:
        at = read(value)
        known = (state or NEVER) if enabled else "disabled"
        found.append(Position(at.lat, at.lon, known, f"{tenant}:{name}"))
    return found
