"""Whose devices a topic concerns: SQL behind ``mooring.publish.rules``."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.dialects import Attribute, Identity, Match
from mooring.identity.actor import Actor, walled
from mooring.store.schema import device_groups, devices

__all__ = ["foreign_dialects", "group_members", "tenants_of"]


def tenants_of(connection: Connection, match: Match) -> set[str]:
    """The tenants whose devices publish or listen where ``match`` says.

    Without a device in the topic these are all tenants with devices of the dialect (and, if
    it names one, of the group or tenant): everybody who could read it.
    """
    statement = (
        sa.select(devices.c.tenant).where(devices.c.dialect == match.dialect.name).distinct()
    )
    columns = {
        Attribute.TENANT: devices.c.tenant,
        Attribute.DEVICE: devices.c.name,
        Attribute.MAC: devices.c.mac,
    }
    for attribute, value in match.values.items():
        if attribute in columns:
            statement = statement.where(columns[attribute] == value)
        elif attribute is Attribute.GROUP:
            statement = statement.where(
                devices.c.id.in_(
                    sa.select(device_groups.c.device_id).where(device_groups.c.group_name == value)
                )
            )
    return set(connection.execute(statement).scalars())


def group_members(
    connection: Connection, actor: Actor, group: str, *, limit: int
) -> list[tuple[int, str, Identity]]:
    """Number, dialect and identity of the group's enabled devices that the actor sees."""
    statement = (
        sa.select(
            devices.c.id,
            devices.c.dialect,
            devices.c.tenant,
            devices.c.name,
            devices.c.mac,
        )
        .join_from(devices, device_groups, device_groups.c.device_id == devices.c.id)
        .where(device_groups.c.group_name == group, devices.c.enabled)
        .order_by(devices.c.id)
        .limit(limit)
    )
    rows = connection.execute(walled(statement, devices.c.tenant, actor))
    return [(row[0], row[1], Identity(row[2], row[3], row[4], (group,))) for row in rows]


def foreign_dialects(connection: Connection, actor: Actor, group: str) -> set[str]:
    """Dialects of the group's devices that the actor does not see."""
    if actor.tenant is None:
        return set()
    statement = (
        sa.select(devices.c.dialect)
        .join_from(devices, device_groups, device_groups.c.device_id == devices.c.id)
        .where(device_groups.c.group_name == group, devices.c.tenant != actor.tenant)
        .distinct()
    )
    return set(connection.execute(statement).scalars())
