"""What is known of devices that are to be updated, in one statement for all of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.ota.updates.evidence import FILESYSTEM
from mooring.ota.updates.model import Kind, Way
from mooring.ota.updates.store import Link
from mooring.presence.state import unpack_metadata
from mooring.store.given import given, parameter
from mooring.store.schema import (
    alerts,
    ddi_controllers,
    device_attributes,
    device_state,
    devices,
    presence,
)

__all__ = ["About", "about_devices", "critical_alerts"]

CRITICAL = 4  # mooring.alerts.model.Severity.CRITICAL


class About(NamedTuple):
    """What is known of one device.

    Attributes:
        firmware: the version it reports; empty: none.
        metadata: what it last reported of itself.
        link: its connection.
        hardware: the attribute; empty: not known.
        max_packet: bytes of the largest packet it accepts; 0: not known.
        interval_ms: how often it sends; ``None``: not known.
        heard_at: its newest message.
        asked_at: when it last asked for updates over HTTP; ``None``: never.
        told: the version that it named there; empty: none.
    """

    firmware: str
    metadata: Mapping[str, Any]
    link: Link
    hardware: str
    max_packet: int
    interval_ms: int | None
    heard_at: int | None
    asked_at: int | None = None
    told: str = ""

    def way(self, since: int) -> Way:
        """How it gets offers.

        Args:
            since: a device that asked over HTTP since then does so again.
        """
        return Way.DDI if self.asked_at is not None and self.asked_at >= since else Way.MQTT

    def version(self, kind: Kind) -> str:
        """The version of that kind that it reports; empty: none."""
        if kind is Kind.FIRMWARE:
            return self.told or self.firmware
        if kind is Kind.FILESYSTEM:
            for name, value in self.metadata.items():
                if name.rpartition(".")[2] in FILESYSTEM and value:
                    return str(value)[:128]
        return ""


_STATEMENTS: dict[str, Any] = {}


def _statement(engine: str) -> Any:
    """Put together once: that costs more than running it."""
    found = _STATEMENTS.get(engine)
    if found is None:
        asked = given(engine, {"id": devices.c.id.type})
        state = device_state.c
        attribute = device_attributes.alias("packet"), device_attributes.alias("hardware")
        columns = [
            *(devices.c.id, state.firmware, state.metadata, state.connected, state.connected_at),
            *(state.online, state.online_at, state.last_seen_at, presence.c.interval_ms),
            *(one.c.value for one in attribute),
            *(ddi_controllers.c.polled_at, ddi_controllers.c.version),
        ]
        tables = asked.join(devices, devices.c.id == asked.c.id)
        for table in (device_state, presence, ddi_controllers):
            tables = tables.outerjoin(table, table.c.device_id == devices.c.id)
        for one, name in zip(attribute, ("max_packet", "hardware"), strict=True):
            of = sa.and_(one.c.device_id == devices.c.id, one.c.name == name)
            tables = tables.outerjoin(one, of)
        found = _STATEMENTS[engine] = sa.select(*columns).select_from(tables)
    return found


def about_devices(connection: Connection, numbers: Collection[int]) -> dict[int, About]:
    """Number → what is known; devices that are gone are left out."""
    if not numbers:
        return {}
    rows = connection.execute(
        _statement(connection.dialect.name), parameter([one] for one in sorted(numbers))
    )
    found = {}
    for row in rows:
        number, firmware, about, connected, since, online, online_at, heard, interval = row[:9]
        packet, hardware, asked_at, told = row[9:]
        found[number] = About(
            firmware or "",
            unpack_metadata(about),
            Link.of(connected, since, online, online_at),
            str(json.loads(hardware)) if hardware else "",
            int(packet or 0),
            interval,
            heard,
            asked_at,
            told or "",
        )
    return found


_CRITICAL = sa.select(alerts.c.device_id).where(
    alerts.c.device_id.in_(sa.bindparam("devices", expanding=True)),
    alerts.c.cleared_at.is_(None),
    alerts.c.severity == CRITICAL,
)


def critical_alerts(connection: Connection, numbers: Collection[int]) -> set[int]:
    """Those of these devices with an open critical alert."""
    ordered = sorted(numbers)
    found: set[int] = set()
    for start in range(0, len(ordered), 500):
        part = ordered[start : start + 500]
        found |= set(connection.execute(_CRITICAL, {"devices": part}).scalars())
    return found
