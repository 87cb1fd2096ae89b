"""SQL of commands on their way: what the sender asks of them. The caller decides on
transactions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.commands.model import AT_LEAST_ONCE, Command
from mooring.commands.rules import State
from mooring.commands.store import OPEN_ROWS, SELECT, WITHOUT_OUTCOME_VALUES, command_of
from mooring.store.given import among, numbers
from mooring.store.schema import commands

__all__ = ["HandedOver", "carried_by", "of_earlier_sessions", "without_outcome"]

_c = commands.c


class HandedOver(NamedTuple):
    """How many commands of a device are handed over and open.

    Attributes:
        session: in which session those were handed over that may be repeated; ``None`` for the
            others.
    """

    device_id: int
    session: str | None
    number: int


@cache
def _handed_over(dialect: str) -> Any:
    """Put together once: that costs more than running it."""
    repeatable = sa.and_(_c.state == State.SENT.value, _c.delivery == AT_LEAST_ONCE)
    session = sa.case((repeatable, _c.session)).label("session")
    some = (
        sa.select(_c.device_id, session)
        .where(OPEN_ROWS, _c.state.in_(WITHOUT_OUTCOME_VALUES), among(dialect, _c.device_id))
        .subquery()
    )
    keys = (some.c.device_id, some.c.session)
    return sa.select(*keys, sa.func.count()).group_by(*keys)


def without_outcome(connection: Connection, devices: Sequence[int]) -> list[HandedOver]:
    """Of these devices, in one statement."""
    dialect = connection.dialect.name
    rows = connection.execute(_handed_over(dialect), numbers(dialect, devices))
    return [HandedOver(*row) for row in rows]


@cache
def _carried(dialect: str) -> Any:
    return (
        SELECT.where(
            OPEN_ROWS,
            _c.state == State.QUEUED.value,
            among(dialect, _c.device_id),
            among(dialect, _c.downlink_id, "carriers"),
        )
        .order_by(_c.id)
        .with_for_update(of=commands)
    )


def carried_by(connection: Connection, carriers: Sequence[tuple[int, int]]) -> list[Command]:
    """The queued commands that these messages carry, for changing them. They are found among the
    open ones of their devices, of which there are few.

    Args:
        carriers: of each message its device and its number.
    """
    dialect = connection.dialect.name
    wanted = numbers(dialect, {device for device, _ in carriers})
    wanted |= numbers(dialect, [number for _, number in carriers], "carriers")
    return [command_of(row) for row in connection.execute(_carried(dialect), wanted)]


@cache
def _of_sessions(dialect: str) -> Any:
    return (
        SELECT.where(
            OPEN_ROWS,
            among(dialect, _c.device_id),
            _c.state == State.SENT.value,
            _c.delivery == AT_LEAST_ONCE,
            _c.session.is_not(None),
        )
        .order_by(_c.id)
        .with_for_update(of=commands)
    )


def of_earlier_sessions(connection: Connection, device_ids: Sequence[int]) -> list[Command]:
    """Commands of these devices that were handed over in a session that is known, and may be
    repeated; for changing them."""
    dialect = connection.dialect.name
    rows = connection.execute(_of_sessions(dialect), numbers(dialect, device_ids))
    return [command_of(row) for row in rows]
