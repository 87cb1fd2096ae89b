"""SQL of saved views."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.people.model import SavedView
from mooring.store.room import require_room
from mooring.store.schema import saved_views, users

__all__ = ["delete_view", "insert_view", "owner_of", "require_view_room", "views_of"]

_C = saved_views.c


def owner_of(connection: Connection, name: str, *, lock: bool = False) -> int | None:
    """The number of somebody with a login.

    Args:
        lock: until the transaction ends, so that two requests of one person are counted after
            each other.
    """
    statement = sa.select(users.c.id).where(users.c.name == name)
    return connection.execute(statement.with_for_update() if lock else statement).scalar()


def views_of(connection: Connection, owner: int) -> list[SavedView]:
    """By name."""
    statement = sa.select(_C.name, _C.query, _C.created_at).where(_C.user_id == owner)
    return [SavedView(*row) for row in connection.execute(statement.order_by(_C.name))]


def require_view_room(connection: Connection, owner: int, most: int) -> None:
    """Raises ``Conflict`` (``limit_reached``) where somebody has ``most`` views."""
    require_room(
        connection,
        saved_views,
        most,
        _C.user_id == owner,
        what="saved views",
        setting="saved_views_max_per_user",
    )


def insert_view(connection: Connection, owner: int, view: SavedView) -> None:
    row = {"name": view.name, "query": view.query, "created_at": view.created_at}
    connection.execute(sa.insert(saved_views).values(user_id=owner, **row))


def delete_view(connection: Connection, owner: int, name: str) -> bool:
    """Whether it existed."""
    statement = sa.delete(saved_views).where(_C.user_id == owner, _C.name == name)
    return connection.execute(statement).rowcount > 0
