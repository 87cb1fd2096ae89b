"""What is known of a device's state."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from mooring.devices.model import Device
from mooring.identity.actor import Actor, Role
from mooring.store.engine import Database
from mooring.store.schema import device_state

__all__ = ["DeviceState", "DeviceStates"]


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What is known of a device's state; ``None`` where it never said.

    ``online`` is what the device reports, ``connected`` what the broker's log says.
    """

    last_seen_at: int | None = None
    online: bool | None = None
    online_at: int | None = None
    firmware: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    metadata_at: int | None = None
    connected: bool | None = None
    connected_at: int | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceStates:
    """Reads it."""

    database: Database

    def of(self, actor: Actor, device: Device) -> DeviceState:
        """Last seen, online, firmware, metadata, connection.

        Raises:
            NotFound: the actor may not see the device.
        """
        actor.require(Role.VIEWER, device.tenant)
        statement = sa.select(
            device_state.c.last_seen_at,
            device_state.c.online,
            device_state.c.online_at,
            device_state.c.firmware,
            device_state.c.metadata,
            device_state.c.metadata_at,
            device_state.c.connected,
            device_state.c.connected_at,
            device_state.c.address,
        ).where(device_state.c.device_id == device.id)
        with self.database.read() as connection:
            row = connection.execute(statement).first()
        if row is None:
            return DeviceState()
        seen, online, online_at, firmware, said, said_at, connected, connected_at, address = row
        return DeviceState(
            seen,
            online,
            online_at,
            firmware,
            _object(said),
            said_at,
            connected,
            connected_at,
            address,
        )


def _object(text: str | None) -> dict[str, Any]:
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}
