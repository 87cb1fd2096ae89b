"""How far the worker has followed changes of devices and dialects."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.store.schema import device_settings_progress

__all__ = ["Progress", "read", "write"]


class Progress(NamedTuple):
    """``devices``, ``dialects``: versions that were followed, -1: none; ``sweep``: the last
    device of a pass over all that have settings, ``None``: no such pass is under way."""

    devices: int = -1
    dialects: int = -1
    sweep: int | None = None


_c = device_settings_progress.c


def read(connection: Connection) -> Progress:
    row = connection.execute(
        sa.select(_c.devices_version, _c.dialects_version, _c.sweep_after)
    ).first()
    return Progress() if row is None else Progress(*row)


def write(connection: Connection, progress: Progress) -> None:
    values = {
        "devices_version": progress.devices,
        "dialects_version": progress.dialects,
        "sweep_after": progress.sweep,
    }
    changed = connection.execute(sa.update(device_settings_progress).values(values))
    if not changed.rowcount:
        connection.execute(sa.insert(device_settings_progress).values(id=1, **values))
