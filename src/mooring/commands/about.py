"""What is known of devices that are to be sent commands, in one statement for all of them."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.commands.rules import OPEN
from mooring.store.given import given, parameter
from mooring.store.schema import commands, device_attributes, device_state, devices

__all__ = ["About", "about_devices", "recognises_repeats"]


class About(NamedTuple):
    """What is known of one device.

    Attributes:
        metadata: JSON, what it last reported of itself.
        max_packet: bytes of the largest packet it accepts; 0: not known.
        open: the number of its open commands.
    """

    connected: bool
    metadata: str | None
    max_packet: int
    open: int


_STATEMENTS: dict[str, Any] = {}


def _statement(dialect: str) -> Any:
    """Put together once: that costs more than running it."""
    found = _STATEMENTS.get(dialect)
    if found is None:
        asked = given(dialect, {"id": devices.c.id.type})
        packet = sa.and_(
            device_attributes.c.device_id == devices.c.id,
            device_attributes.c.name == "max_packet",
        )
        # Counted for all of them together: for each alone, a database that does not know yet how
        # many rows are open would read all of those for each.
        open_ = (
            sa.select(commands.c.device_id, sa.func.count().label("number"))
            .where(
                commands.c.device_id.in_(sa.select(asked.c.id)),
                commands.c.finished_at.is_(None),
                commands.c.state.in_([state.value for state in OPEN]),
            )
            .group_by(commands.c.device_id)
            .subquery("open")
        )
        found = _STATEMENTS[dialect] = sa.select(
            devices.c.id,
            sa.func.coalesce(device_state.c.connected, device_state.c.online, sa.false()),
            device_state.c.metadata,
            device_attributes.c.value,
            sa.func.coalesce(open_.c.number, 0),
        ).select_from(
            asked.join(devices, devices.c.id == asked.c.id)
            .outerjoin(device_state, device_state.c.device_id == devices.c.id)
            .outerjoin(device_attributes, packet)
            .outerjoin(open_, open_.c.device_id == devices.c.id)
        )
    return found


def about_devices(connection: Connection, numbers: Collection[int]) -> dict[int, About]:
    """Number → what is known; devices that are gone are left out."""
    if not numbers:
        return {}
    rows = connection.execute(
        _statement(connection.dialect.name), parameter([one] for one in sorted(numbers))
    )
    return {
        number: About(bool(connected), metadata, int(packet or 0), open_)
        for number, connected, metadata, packet, open_ in rows
    }


def recognises_repeats(metadata: str | None) -> bool:
    """Whether the device is the SDK, which keeps the ids of commands on disk. Pure."""
    if not metadata or '"sdk"' not in metadata:
        return False
    try:
        said = json.loads(metadata)
    except ValueError:
        return False
    return isinstance(said, dict) and any(
        isinstance(said.get(key), str) and bool(said[key]) for key in ("sdk", "meta.sdk")
    )
