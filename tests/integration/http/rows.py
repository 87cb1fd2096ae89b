"""Rows as ingest writes them, put straight into the database."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from mooring.devices.model import Device
from mooring.store.engine import Database
from mooring.store.schema import (
    channels,
    counters,
    dead_letters,
    device_state,
    latest,
    messages,
    strangers,
)

__all__ = ["AddDevice", "channel_id", "say", "seen", "spoil", "stranger", "tally"]

AddDevice = Callable[..., Device]

_fingerprints = itertools.count(1)
DEVICE, NO_TIME, IMPLAUSIBLE = 0, 1, 2


def channel_id(connection: sa.Connection, dialect: str, name: str, kind: str) -> int:
    found = connection.execute(
        sa.select(channels.c.id).where(channels.c.dialect == dialect, channels.c.name == name)
    ).scalar()
    if found is None:
        found = connection.execute(
            sa.insert(channels)
            .values(dialect=dialect, name=name, kind=kind)
            .returning(channels.c.id)
        ).scalar_one()
    return int(found)


def say(
    database: Database,
    device: Device,
    ts: int,
    payload: dict[str, Any] | str,
    *,
    channel: str = "telemetry",
    kind: str = "telemetry",
    seq: int | None = None,
    time_source: int = DEVICE,
) -> None:
    """One message: its row, and the row of the newest."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    with database.write() as connection:
        number = channel_id(connection, device.dialect, channel, kind)
        said = {"ts": ts, "received_at": ts + 5, "time_source": time_source, "payload": text}
        key = {"device_id": device.id, "channel_id": number}
        connection.execute(
            sa.insert(messages).values(**key, **said, seq=seq, fingerprint=next(_fingerprints))
        )
        connection.execute(sa.delete(latest).filter_by(**key))
        connection.execute(sa.insert(latest).values(**key, **said))


def seen(database: Database, device: Device, **values: Any) -> None:
    """The device's state."""
    with database.write() as connection:
        connection.execute(sa.insert(device_state).values(device_id=device.id, **values))


def spoil(
    database: Database,
    at: int,
    payload: bytes,
    *,
    reason: str = "not_json",
    tenant: str | None = None,
    device: Device | None = None,
) -> None:
    """A dead letter."""
    with database.write() as connection:
        connection.execute(
            sa.insert(dead_letters).values(
                received_at=at,
                reason=reason,
                detail="It is not JSON.",
                topic="smarthome/x/y/telemetry",
                tenant=device.tenant if device else tenant,
                device_id=device.id if device else None,
                size=len(payload),
                payload=payload,
            )
        )


def stranger(database: Database, name: str, at: int, *, tenant: str = "a") -> None:
    """A device that speaks and is not known."""
    with database.write() as connection:
        connection.execute(
            sa.insert(strangers).values(
                dialect="smarthome",
                tenant=tenant,
                name=name,
                first_seen_at=at - 1000,
                last_seen_at=at,
                messages=3,
                last_topic=f"smarthome/{tenant}/{name}/telemetry",
            )
        )


def tally(database: Database, **values: int) -> None:
    """Counters."""
    with database.write() as connection:
        for name, value in values.items():
            connection.execute(sa.insert(counters).values(name=name, value=value))
