"""SQL of what devices and tenants may take of the broker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.identity.account import NO_QUOTA, Quota
from mooring.store.given import given, parameter
from mooring.store.keyed import Keyed
from mooring.store.schema import device_limits, devices, limit_disconnects, tenant_limits

__all__ = [
    "a_device_of",
    "disconnect",
    "disconnect_seconds_of",
    "disconnected",
    "end_disconnect",
    "in_force",
    "of_device",
    "of_devices",
    "of_tenant",
    "of_tenants",
    "reconnect",
    "set_disconnect_seconds",
    "set_of_device",
    "set_of_tenant",
]

_OF_DEVICE = (device_limits.c.connections, device_limits.c.messages, device_limits.c.bytes)
_OF_TENANT = (tenant_limits.c.connections, tenant_limits.c.messages, tenant_limits.c.bytes)

# What every change of a device needs is put together once: that costs more than running it.
_DEVICES = sa.select(device_limits.c.device_id, *_OF_DEVICE)
_NUMBERED = Keyed(lambda match: _DEVICES.where(match(device_limits.c.device_id)))
_SPAN = _DEVICES.where(
    device_limits.c.device_id.between(sa.bindparam("first"), sa.bindparam("last"))
)
_TENANTS = sa.select(tenant_limits.c.tenant, *_OF_TENANT)
_NAMED = Keyed(lambda match: _TENANTS.where(match(tenant_limits.c.tenant)))
_DISCONNECTED = sa.select(limit_disconnects.c.device_id, limit_disconnects.c.until)
_DISCONNECTED_NUMBERED = Keyed(
    lambda match: _DISCONNECTED.where(match(limit_disconnects.c.device_id))
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


def of_devices(
    connection: Connection,
    numbers: Sequence[int] | None = None,
    *,
    span: tuple[int, int] | None = None,
) -> dict[int, Quota]:
    """Values of their own of devices: those with these numbers, or from one to another."""
    if span is not None:
        rows = connection.execute(_SPAN, {"first": span[0], "last": span[1]})
    elif numbers:
        rows = _NUMBERED.execute(connection, numbers)
    else:
        return {}
    return {number: Quota(*row) for number, *row in rows}


def of_tenants(connection: Connection, names: Sequence[str] | None = None) -> dict[str, Quota]:
    """Values of their own of all tenants, or of these."""
    if names is None:
        rows = connection.execute(_TENANTS)
    elif names:
        rows = _NAMED.execute(connection, names)
    else:
        return {}
    return {name: Quota(*row) for name, *row in rows}


def of_device(connection: Connection, device_id: int) -> Quota:
    """Its own values."""
    return of_devices(connection, [device_id]).get(device_id, NO_QUOTA)


def of_tenant(connection: Connection, name: str) -> Quota:
    """Its own values."""
    return of_tenants(connection, [name]).get(name, NO_QUOTA)


def set_of_device(connection: Connection, device_id: int, quota: Quota) -> None:
    """Puts these values instead of its own."""
    connection.execute(sa.delete(device_limits).where(device_limits.c.device_id == device_id))
    if quota != NO_QUOTA:
        values = {"device_id": device_id, **asdict(quota)}
        connection.execute(sa.insert(device_limits).values(values))


def set_of_tenant(connection: Connection, name: str, quota: Quota) -> None:
    """Puts these values instead of its own; what it may store stays as it is."""
    values = asdict(quota)
    update = sa.update(tenant_limits).where(tenant_limits.c.tenant == name).values(values)
    if not connection.execute(update).rowcount and quota != NO_QUOTA:
        connection.execute(sa.insert(tenant_limits).values(tenant=name, **values))


def a_device_of(connection: Connection, tenant: str) -> str | None:
    """The username of one of its devices: each carries the limits of its tenant to the broker."""
    statement = sa.select(devices.c.username).where(devices.c.tenant == tenant)
    return connection.execute(statement.order_by(devices.c.id).limit(1)).scalar()


def disconnected(connection: Connection, numbers: Sequence[int] | None = None) -> dict[int, int]:
    """Devices that are disconnected for a time because of a limit: all, or of these. Each with the
    time of its end, in epoch milliseconds."""
    if numbers is None:
        return {row.device_id: row.until for row in connection.execute(_DISCONNECTED)}
    if not numbers:
        return {}
    rows = _DISCONNECTED_NUMBERED.execute(connection, numbers)
    return {row.device_id: row.until for row in rows}


def disconnect(connection: Connection, until: Mapping[int, int], since: int) -> list[int]:
    """Rejects devices until their times, in epoch milliseconds, with one statement; those that it
    concerns. Removed devices, and those that are rejected already, are left out."""
    d = limit_disconnects.c
    names = {"device_id": d.device_id.type, "until": d.until.type}
    new = given(connection.dialect.name, names)
    known = sa.exists().where(devices.c.id == new.c.device_id)
    there = sa.exists().where(d.device_id == new.c.device_id)
    some = sa.select(new.c.device_id, sa.literal(since, d.since.type), new.c.until)
    found = connection.execute(
        sa.insert(limit_disconnects)
        .from_select(["device_id", "since", "until"], some.where(known, sa.not_(there)))
        .returning(d.device_id),
        parameter([[number, at] for number, at in sorted(until.items())]),
    )
    return list(found.scalars())


def reconnect(connection: Connection, now: int) -> list[str]:
    """Accepts the devices again whose time is up; their usernames."""
    d = limit_disconnects.c
    rows = connection.execute(
        sa.select(devices.c.username)
        .join(limit_disconnects, devices.c.id == d.device_id)
        .where(d.until <= now)
    )
    found = list(rows.scalars())
    if found:
        connection.execute(sa.delete(limit_disconnects).where(d.until <= now))
    return found


def end_disconnect(connection: Connection, device_id: int) -> None:
    """Accepts this device again before its time is up."""
    d = limit_disconnects
    connection.execute(sa.delete(d).where(d.c.device_id == device_id))


def disconnect_seconds_of(connection: Connection, tenant: str) -> int | None:
    """How long the tenant's devices are disconnected; ``None``: as the setting says, 0: not."""
    c = tenant_limits.c
    statement = sa.select(c.disconnect_seconds).where(c.tenant == tenant)
    return connection.execute(statement).scalar()


def set_disconnect_seconds(connection: Connection, tenant: str, seconds: int | None) -> None:
    """Puts this value instead of its own."""
    c, values = tenant_limits.c, {"disconnect_seconds": seconds}
    update = sa.update(tenant_limits).where(c.tenant == tenant).values(values)
    if not connection.execute(update).rowcount and seconds is not None:
        connection.execute(sa.insert(tenant_limits).values(tenant=tenant, **values))
