"""SQL of the keys whose signatures devices accept. The caller decides on transactions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.identity.actor import Actor, walled
from mooring.ota.releases.model import Key, KeyState
from mooring.store.room import limit_reached
from mooring.store.schema import firmware_keys

__all__ = ["KEYS_MAX", "end", "find", "insert", "keys_of", "page"]

KEYS_MAX = 32
"""Keys of one tenant, those that were retired or revoked among them."""

_C = firmware_keys.c


def insert(
    connection: Connection,
    *,
    tenant: str,
    name: str,
    key: str,
    algorithm: str,
    pem: str,
    by: str,
    at: int,
) -> int:
    """Adds a trusted key.

    Raises:
        Conflict: ``limit_reached``.
        IntegrityError: the tenant has this key, or one of this name.
    """
    count = sa.select(sa.func.count()).select_from(firmware_keys).where(_C.tenant == tenant)
    if connection.execute(count).scalar_one() >= KEYS_MAX:
        raise limit_reached("firmware keys", KEYS_MAX, "KEYS_MAX")
    statement = sa.insert(firmware_keys).values(
        tenant=tenant,
        name=name,
        key=key,
        algorithm=algorithm,
        pem=pem,
        state=str(KeyState.TRUSTED),
        created_at=at,
        created_by=by,
    )
    return int(connection.execute(statement.returning(_C.id)).scalar_one())


def _keys(connection: Connection, statement: sa.Select[Any]) -> list[Key]:
    return [
        Key(**{**row, "state": KeyState(row["state"])})
        for row in connection.execute(statement).mappings()
    ]


def keys_of(connection: Connection, tenant: str) -> list[Key]:
    """All keys of a tenant."""
    statement = sa.select(firmware_keys).where(_C.tenant == tenant).order_by(_C.id)
    return _keys(connection, statement)


def find(connection: Connection, actor: Actor, name: str, tenant: str | None = None) -> list[Key]:
    """Keys by name or identifier; at most two, because one is wanted."""
    statement = sa.select(firmware_keys).where(sa.or_(_C.name == name, _C.key == name))
    if tenant is not None:
        statement = statement.where(_C.tenant == tenant)
    return _keys(connection, walled(statement.order_by(_C.id).limit(2), _C.tenant, actor))


def page(
    connection: Connection,
    actor: Actor,
    *,
    tenant: str | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[Key]:
    """The oldest first."""
    statement = sa.select(firmware_keys).where(_C.id > after).order_by(_C.id).limit(limit)
    if tenant is not None:
        statement = statement.where(_C.tenant == tenant)
    return _keys(connection, walled(statement, _C.tenant, actor))


def end(connection: Connection, number: int, state: KeyState, at: int) -> None:
    """Retires or revokes a key."""
    connection.execute(
        sa.update(firmware_keys).where(_C.id == number).values(state=str(state), ended_at=at)
    )
