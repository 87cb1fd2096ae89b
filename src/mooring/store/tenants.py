"""Whether a tenant exists, for everything that belongs to one."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.store.schema import tenants

__all__ = ["tenant_exists"]


def tenant_exists(connection: Connection, name: str) -> bool:
    """Whether a tenant of this name has been added."""
    found = sa.select(tenants.c.name).where(tenants.c.name == name)
    return connection.execute(found).first() is not None
