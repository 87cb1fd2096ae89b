"""The small numbers by which message rows name a channel."""

from __future__ import annotations

import sqlalchemy as sa

from mooring.dialects import Catalogue
from mooring.store.engine import Database
from mooring.store.schema import channels

__all__ = ["numbers"]


def numbers(database: Database, catalogue: Catalogue) -> dict[tuple[str, str], int]:
    """(dialect, channel) → number, giving numbers to channels that have none."""
    statement = sa.select(channels.c.dialect, channels.c.name, channels.c.id, channels.c.kind)
    wanted = {
        (dialect.name, channel.name): str(channel.kind)
        for dialect in catalogue.all()
        for channel in dialect.channels
    }
    with database.read() as connection:
        known = {(d, n): (i, k) for d, n, i, k in connection.execute(statement)}
    changed = {key: kind for key, kind in wanted.items() if known.get(key, (0, ""))[1] != kind}
    if changed:
        with database.write() as connection:
            known = {(d, n): (i, k) for d, n, i, k in connection.execute(statement)}
            for (dialect, name), kind in changed.items():
                if (dialect, name) in known:
                    connection.execute(
                        sa.update(channels)
                        .where(channels.c.dialect == dialect, channels.c.name == name)
                        .values(kind=kind)
                    )
                else:
                    connection.execute(
                        sa.insert(channels).values(dialect=dialect, name=name, kind=kind)
                    )
            known = {(d, n): (i, k) for d, n, i, k in connection.execute(statement)}
    return {key: number for key, (number, _) in known.items()}
