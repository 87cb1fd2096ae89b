"""SQL for many devices at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.bulk.model import Checked
from mooring.devices.attributes.store import insert_many
from mooring.devices.group_store import add_members, ensure
from mooring.devices.password_store import newest_event
from mooring.devices.store import count_devices, ensure_tenant
from mooring.identity.actor import Actor
from mooring.store.engine import now_ms
from mooring.store.schema import audit, broker_users, credentials, devices

__all__ = ["Limits", "Taken", "insert", "record", "taken"]

AT_ONCE = 1000  # rows a statement


@dataclass(frozen=True, slots=True)
class Limits:
    """How many tenants, and devices and groups of one tenant, there may be."""

    tenants: int
    devices: int
    groups: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What exists already: none of it may be there twice."""

    usernames: set[str]
    client_ids: set[str]
    names: set[tuple[str, str]]  # tenant, name
    scopes: set[tuple[str, str]]  # scope, name
    macs: set[tuple[str, str, str]]  # mac_key, dialect, tenant


def taken(connection: Connection) -> Taken:
    rows = connection.execute(
        sa.select(
            devices.c.username,
            devices.c.client_id,
            devices.c.tenant,
            devices.c.name,
            devices.c.scope,
            devices.c.mac_key,
            devices.c.dialect,
        )
    ).all()
    users = set(connection.execute(sa.select(broker_users.c.username)).scalars())
    return Taken(
        usernames=users | {row.username for row in rows},
        client_ids={row.client_id for row in rows},
        names={(row.tenant, row.name) for row in rows},
        scopes={(row.scope, row.name) for row in rows},
        macs={(row.mac_key, row.dialect, row.tenant) for row in rows if row.mac_key},
    )


def insert(
    connection: Connection, every: Sequence[Checked], limits: Limits, actor: str
) -> list[int]:
    """Adds tenants, devices, credentials and groups in the caller's transaction; the numbers of
    the devices, the lowest first.

    Args:
        actor: who named the groups.

    Raises:
        Conflict: ``limit_reached``: too many tenants, or devices or groups of one;
            ``group_is_dynamic``.
    """
    event = newest_event(connection)
    added: list[int] = []
    named: dict[str, set[str]] = defaultdict(set)
    for one in every:
        named[one.device.tenant].update(one.device.groups)
    for tenant, adding in Counter(one.device.tenant for one in every).items():
        ensure_tenant(connection, tenant, limits.tenants)
        count_devices(connection, tenant, limits.devices, adding)
        ensure(connection, tenant, named[tenant], most=limits.groups, actor=actor)
    for start in range(0, len(every), AT_ONCE):
        part = every[start : start + AT_ONCE]
        connection.execute(sa.insert(devices), [_row(one) for one in part])
        numbers = _numbers(connection, [one.device.username for one in part])
        added += numbers.values()
        connection.execute(
            sa.insert(credentials),
            [
                {
                    "device_id": numbers[one.device.username],
                    "verifier": one.verifier,
                    "created_at": one.device.created_at,
                    "since_event": event,
                }
                for one in part
            ],
        )
        insert_many(
            connection,
            [(numbers[one.device.username], one.device.tenant, one.attributes) for one in part],
        )
        add_members(
            connection,
            [
                (numbers[one.device.username], one.device.tenant, group)
                for one in part
                for group in one.device.groups
            ],
        )
    return sorted(added)


def record(
    connection: Connection, actor: Actor, action: str, every: Sequence[Checked], reason: str
) -> None:
    """An audit entry for each device."""
    at = now_ms()
    for start in range(0, len(every), AT_ONCE):
        connection.execute(
            sa.insert(audit),
            [
                {
                    "at": at,
                    "actor": actor.name,
                    "origin": actor.origin,
                    "action": action,
                    "subject": one.device.reference,
                    "tenant": one.device.tenant,
                    "reason": reason,
                }
                for one in every[start : start + AT_ONCE]
            ],
        )


def _row(one: Checked) -> dict[str, object]:
    device = one.device
    return {
        "tenant": device.tenant,
        "name": device.name,
        "scope": one.scope,
        "label": device.label,
        "dialect": device.dialect,
        "mac": device.mac,
        "mac_key": one.mac_key,
        "username": device.username,
        "client_id": device.client_id,
        "enabled": device.enabled,
        "created_at": device.created_at,
    }


def _numbers(connection: Connection, usernames: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(usernames), 500):
        rows = connection.execute(
            sa.select(devices.c.username, devices.c.id).where(
                devices.c.username.in_(usernames[start : start + 500])
            )
        )
        found |= {row.username: row.id for row in rows}
    return found
