"""Ending a rotation because the device gets another password altogether."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices import password_store as store
from mooring.devices.model import Device
from mooring.store.engine import now_ms
from mooring.store.schema import rotations

__all__ = ["supersede"]


def supersede(connection: Connection, device: Device, why: str, until: int) -> None:
    """Ends a rotation in progress; both its passwords are kept as former ones.

    The credential itself is the caller's matter.
    """
    under_way = sa.and_(rotations.c.device_id == device.id, rotations.c.finished_at.is_(None))
    rows = connection.execute(
        sa.select(rotations.c.old_verifier, rotations.c.new_verifier).where(under_way)
    ).all()
    for old, new in rows:
        for verifier in (old, new):
            store.retire(connection, device, verifier, until=until)
    if rows:
        connection.execute(
            sa.update(rotations)
            .where(under_way)
            .values(
                phase="rolled_back",
                outcome=why,
                finished_at=now_ms(),
                sealed_secret=None,
                old_verifier=None,
                new_verifier=None,
            )
        )
