"""The newest payloads that are stored: what a retained message is compared with."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from mooring.store.engine import Database
from mooring.store.schema import latest

__all__ = ["newest_payloads"]

_AT_ONCE = 400  # pairs in one statement; SQLite takes 999 parameters at least


def newest_payloads(
    database: Database, pairs: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], str]:
    """(device, channel) → the newest payload, where there is one.

    Raises:
        DatabaseUnavailable: it cannot be asked now.
    """
    wanted = sorted(set(pairs))
    found = {}
    with database.read() as connection:
        for start in range(0, len(wanted), _AT_ONCE):
            statement = sa.select(latest.c.device_id, latest.c.channel_id, latest.c.payload).where(
                sa.tuple_(latest.c.device_id, latest.c.channel_id).in_(
                    wanted[start : start + _AT_ONCE]
                )
            )
            for device, channel, payload in connection.execute(statement):
                found[device, channel] = payload
    return found
