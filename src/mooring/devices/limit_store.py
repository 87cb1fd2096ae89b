"""SQL of what devices and tenants may take of the broker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.model import Device
from mooring.identity.account import NO_QUOTA, Quota
from mooring.store.schema import device_limits, devices, tenant_limits, tenants

__all__ = [
    "Limits",
    "a_device_of",
    "in_force",
    "of_device",
    "of_tenant",
    "read",
    "set_of_device",
    "set_of_tenant",
    "tenant_exists",
]

_OF_DEVICE = (device_limits.c.connections, device_limits.c.messages, device_limits.c.bytes)
_OF_TENANT = (tenant_limits.c.connections, tenant_limits.c.messages, tenant_limits.c.bytes)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the database says of several devices and every tenant. In these values ``None`` is
    the installation's setting and 0 no limit."""

    devices: dict[int, Quota]
    tenants: dict[str, Quota]

    def of(self, device: Device, each: Quota, all_of_tenant: Quota) -> tuple[Quota, Quota]:
        """In force for a device and for its tenant; in these ``None`` is no limit.

        Args:
            each, all_of_tenant: the installation's settings, 0 for no limit.
        """
        own = self.devices.get(device.id, NO_QUOTA)
        return in_force(own, each), in_force(
            self.tenants.get(device.tenant, NO_QUOTA), all_of_tenant
        )


def in_force(own: Quota, setting: Quota) -> Quota:
    """A value of its own, otherwise the setting; 0 becomes ``None``, no limit."""

    def one(mine: int | None, default: int | None) -> int | None:
        return (default if mine is None else mine) or None

    return Quota(
        one(own.connections, setting.connections),
        one(own.messages, setting.messages),
        one(own.bytes, setting.bytes),
    )


def read(connection: Connection, numbers: Sequence[int] | None = None) -> Limits:
    """Of all devices, or of those with these numbers."""
    statement = sa.select(device_limits.c.device_id, *_OF_DEVICE)
    if numbers is not None:
        statement = statement.where(device_limits.c.device_id.in_(numbers))
    of_devices = {number: Quota(*row) for number, *row in connection.execute(statement)}
    of_tenants = connection.execute(sa.select(tenant_limits.c.tenant, *_OF_TENANT))
    return Limits(of_devices, {name: Quota(*row) for name, *row in of_tenants})


def of_device(connection: Connection, device_id: int) -> Quota:
    """Its own values."""
    statement = sa.select(*_OF_DEVICE).where(device_limits.c.device_id == device_id)
    row = connection.execute(statement).first()
    return NO_QUOTA if row is None else Quota(*row)


def of_tenant(connection: Connection, name: str) -> Quota:
    """Its own values."""
    row = connection.execute(sa.select(*_OF_TENANT).where(tenant_limits.c.tenant == name)).first()
    return NO_QUOTA if row is None else Quota(*row)


def set_of_device(connection: Connection, device_id: int, quota: Quota) -> None:
    """Puts these values instead of its own."""
    connection.execute(sa.delete(device_limits).where(device_limits.c.device_id == device_id))
    if quota != NO_QUOTA:
        connection.execute(
            sa.insert(device_limits).values(
                device_id=device_id,
                connections=quota.connections,
                messages=quota.messages,
                bytes=quota.bytes,
            )
        )


def set_of_tenant(connection: Connection, name: str, quota: Quota) -> None:
    """Puts these values instead of its own."""
    connection.execute(sa.delete(tenant_limits).where(tenant_limits.c.tenant == name))
    if quota != NO_QUOTA:
        connection.execute(
            sa.insert(tenant_limits).values(
                tenant=name,
                connections=quota.connections,
                messages=quota.messages,
                bytes=quota.bytes,
            )
        )


def tenant_exists(connection: Connection, name: str) -> bool:
    statement = sa.select(tenants.c.name).where(tenants.c.name == name)
    return connection.execute(statement).first() is not None


def a_device_of(connection: Connection, tenant: str) -> str | None:
    """The username of one of its devices: each carries the limits of its tenant to the broker."""
    statement = sa.select(devices.c.username).where(devices.c.tenant == tenant)
    return connection.execute(statement.order_by(devices.c.id).limit(1)).scalar()
