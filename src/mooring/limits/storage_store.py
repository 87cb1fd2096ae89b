"""SQL of what tenants may store, and of what they do store."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.limits.storage import Storage, Usage
from mooring.store.schema import (
    tenant_dead_letters,
    tenant_limits,
    tenant_usage,
    tenant_usage_days,
    tenants,
)

__all__ = ["Full", "dead_letters_over", "messages_over", "own", "set_own", "usage"]


class Full(NamedTuple):
    """A tenant that has reached a share of a limit.

    Attributes:
        messages: how many take these bytes; 0 for dead letters, which are not counted.
        displaced_at: when some were last deleted because of the limit, epoch milliseconds.
    """

    tenant: str
    bytes: int
    most: int
    messages: int = 0
    displaced_at: int | None = None


def messages_over(connection: Connection, setting: int, percent: int = 100) -> list[Full]:
    """Tenants whose messages take at least that share of their limit; 0: all of them.

    Args:
        setting: the limit of a tenant without its own; 0: none.
    """
    c = tenant_usage.c
    most = _most(tenant_limits.c.stored_bytes, setting)
    statement = (
        sa.select(c.tenant, c.bytes, most, c.messages, c.displaced_at)
        .outerjoin(tenant_limits, tenant_limits.c.tenant == c.tenant)
        .where(_reached(c.bytes, most, percent))
        .order_by(c.tenant)
    )
    return [Full(*row) for row in connection.execute(statement)]


def dead_letters_over(connection: Connection, setting: int, percent: int = 100) -> list[Full]:
    """The same of dead letters. A tenant that nobody has created has the setting's limit."""
    c = tenant_dead_letters.c
    most = _most(tenant_limits.c.dead_letter_bytes, setting)
    statement = (
        sa.select(c.tenant, c.bytes, most)
        .outerjoin(tenant_limits, tenant_limits.c.tenant == c.tenant)
        .where(_reached(c.bytes, most, percent))
        .order_by(c.tenant)
    )
    return [Full(*row) for row in connection.execute(statement)]


def _reached(
    used: sa.Column[int], most: sa.ColumnElement[int], percent: int
) -> sa.ColumnElement[bool]:
    if not percent:
        return sa.true()
    return sa.and_(most > 0, used * 100 >= most * percent)


def _most(own: sa.Column[int], setting: int) -> sa.ColumnElement[int]:
    return sa.func.coalesce(own, sa.literal(setting, sa.BigInteger))


def own(connection: Connection, tenant: str) -> Storage:
    """The tenant's own limits."""
    c = tenant_limits.c
    row = connection.execute(
        sa.select(c.stored_bytes, c.dead_letter_bytes).where(c.tenant == tenant)
    ).first()
    return Storage() if row is None else Storage(row[0], row[1])


def set_own(connection: Connection, tenant: str, new: Storage) -> None:
    """Puts these limits instead of its own; its limits on the broker stay."""
    values = {"stored_bytes": new.stored_bytes, "dead_letter_bytes": new.dead_letter_bytes}
    c = tenant_limits.c
    changed = connection.execute(
        sa.update(tenant_limits).where(c.tenant == tenant).values(values)
    ).rowcount
    if not changed and new != Storage():
        connection.execute(sa.insert(tenant_limits).values(tenant=tenant, **values))


def usage(connection: Connection, tenant: str) -> Usage:
    """What it stores now."""
    u, d = tenant_usage.c, tenant_usage_days.c
    row = connection.execute(
        sa.select(
            u.messages, u.bytes, u.displaced_messages, u.displaced_bytes, u.displaced_at
        ).where(u.tenant == tenant)
    ).first()
    devices = connection.execute(
        sa.select(tenants.c.devices).where(tenants.c.name == tenant)
    ).scalar()
    dead = connection.execute(
        sa.select(tenant_dead_letters.c.bytes).where(tenant_dead_letters.c.tenant == tenant)
    ).scalar()
    oldest = connection.execute(sa.select(sa.func.min(d.day)).where(d.tenant == tenant)).scalar()
    number, size, displaced, displaced_size, at = (0, 0, 0, 0, None) if row is None else row
    return Usage(devices or 0, number, size, displaced, displaced_size, at, dead or 0, oldest)
