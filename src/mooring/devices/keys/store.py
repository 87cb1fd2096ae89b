"""SQL of device keys."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.keys.model import DeviceKey
from mooring.store.room import require_room
from mooring.store.schema import device_keys, devices

__all__ = ["delete", "exchanged", "insert", "keys_of", "keys_of_username", "require_key_room"]

_KEY = (
    device_keys.c.key,
    device_keys.c.device_id,
    device_keys.c.algorithm,
    device_keys.c.pem,
    device_keys.c.label,
    device_keys.c.created_at,
    device_keys.c.issued_at,
)


def insert(connection: Connection, key: DeviceKey) -> None:
    """Raises ``sqlalchemy.exc.IntegrityError`` when the device has it already."""
    connection.execute(
        sa.insert(device_keys).values(
            key=key.id,
            device_id=key.device_id,
            algorithm=key.algorithm,
            pem=key.pem,
            label=key.label,
            created_at=key.created_at,
        )
    )


def keys_of(connection: Connection, device_id: int) -> Sequence[DeviceKey]:
    """The oldest first."""
    statement = sa.select(*_KEY).where(device_keys.c.device_id == device_id)
    return [DeviceKey(*row) for row in connection.execute(statement.order_by(device_keys.c.id))]


def keys_of_username(connection: Connection, username: str) -> Sequence[DeviceKey]:
    """Those of an enabled device."""
    statement = (
        sa.select(*_KEY)
        .join(devices, devices.c.id == device_keys.c.device_id)
        .where(devices.c.username == username, devices.c.enabled)
    )
    return [DeviceKey(*row) for row in connection.execute(statement.order_by(device_keys.c.id))]


def delete(connection: Connection, device_id: int, key: str) -> bool:
    """Whether it was there."""
    return bool(
        connection.execute(
            sa.delete(device_keys).where(
                device_keys.c.device_id == device_id, device_keys.c.key == key
            )
        ).rowcount
    )


def exchanged(connection: Connection, key: DeviceKey, issued_at: int) -> bool:
    """Notes the newest token of a key that was exchanged; ``False``: a newer one was before."""
    return bool(
        connection.execute(
            sa.update(device_keys)
            .where(
                device_keys.c.device_id == key.device_id,
                device_keys.c.key == key.id,
                sa.or_(device_keys.c.issued_at.is_(None), device_keys.c.issued_at <= issued_at),
            )
            .values(issued_at=issued_at)
        ).rowcount
    )


def require_key_room(connection: Connection, device_id: int, most: int) -> None:
    """Raises ``Conflict`` (``limit_reached``) where a device has ``most`` keys."""
    require_room(
        connection,
        device_keys,
        most,
        device_keys.c.device_id == device_id,
        what="keys of this device",
        setting="device_keys_max_per_device",
    )
