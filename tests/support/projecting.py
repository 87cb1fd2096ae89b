"""Batches through the real planner and a real sink, with projections of the caller's choice."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet
from mqtt5 import PublishPacket, QoS

from mooring.alerts.projection import DeviceAlerts
from mooring.commands.projection import CommandReplies
from mooring.device_settings.projection import SettingsReported
from mooring.devices.attributes.merge import Room
from mooring.devices.index import DeviceIndex
from mooring.devices.model import Device
from mooring.dialects import load_all
from mooring.dialects.payload import PayloadLimits
from mooring.ingest.ledger import Ledger
from mooring.ingest.plan import Plan
from mooring.ingest.planner import Planner
from mooring.ingest.projection import Projection
from mooring.ingest.projections import Projections
from mooring.ingest.routing import RouteTable
from mooring.ingest.sink import Sink
from mooring.ingest.sink_postgres import PostgresSink
from mooring.ingest.sink_sqlite import SqliteSink
from mooring.ota.updates.projection import FirmwareProgress, FirmwareVersions
from mooring.presence.projection import AnnouncedAbsence, DeviceState, LastSeen
from mooring.presence.reported import ReportedAttributes
from mooring.secrets.instance import Instance
from mooring.sequences.projection import SequenceNumbers
from mooring.store.engine import Database
from mooring.store.schema import devices, tenants

__all__ = [
    "CATALOGUE",
    "CHANNEL_IDS",
    "DEVICES",
    "INSTANCE",
    "NOW",
    "Desk",
    "add_devices",
    "packet",
    "registered",
]

NOW = 1_771_000_000_000
CATALOGUE = load_all(None)
CHANNEL_IDS = {
    (dialect.name, channel.name): number
    for number, (dialect, channel) in enumerate(
        ((d, c) for d in CATALOGUE.all() for c in d.channels), start=1
    )
}
DEVICES = [
    Device(1, "acme", "a", "", "mooring", None, "u1", "c1", True, 0, ()),
    Device(2, "rival", "b", "", "mooring", None, "u2", "c2", True, 0, ()),
    Device(3, "1", "ESP32_001", "", "smarthome", None, "u3", "c3", True, 0, ()),
    Device(4, "acme", "trap", "", "mousetrap", "AA:BB:CC:DD:EE:01", "u4", "c4", True, 0, ()),
    Device(5, "acme", "boiler", "", "iotflow", None, "u5", "c5", True, 0, ()),
]
INSTANCE = Instance(Fernet.generate_key().decode(), "", "", "")
_numbers = itertools.count(1)


def registered() -> list[Projection]:
    """Those of the platform, as ingest runs them."""
    limits = PayloadLimits()
    return [
        LastSeen(),
        DeviceState(limits),
        AnnouncedAbsence(),
        ReportedAttributes(limits, Room()),
        SequenceNumbers(),
        CommandReplies(),
        SettingsReported(INSTANCE),
        DeviceAlerts(),
        FirmwareProgress(),
        FirmwareVersions(),
    ]


def packet(
    topic: str, payload: object, *, number: int | None = None, retain: bool = False
) -> PublishPacket:
    """A live message with QoS 1, unlike all others to the broker; with ``retain`` one that the
    broker had kept."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    number = next(_numbers) % 65_000 + 1 if number is None else number
    return PublishPacket(topic, body, qos=QoS.AT_LEAST_ONCE, packet_id=number, retain=retain)


def add_devices(database: Database) -> None:
    """Puts ``DEVICES`` into the database, for projections that look there."""
    with database.write() as connection:
        connection.execute(
            sa.insert(tenants),
            [{"name": name, "created_at": 0} for name in sorted({d.tenant for d in DEVICES})],
        )
        connection.execute(
            sa.insert(devices),
            [
                {
                    **{name: getattr(d, name) for name in ("id", "tenant", "name", "dialect")},
                    **{name: getattr(d, name) for name in ("username", "client_id", "enabled")},
                    "scope": d.tenant,
                    "created_at": 0,
                }
                for d in DEVICES
            ],
        )


class Desk:
    """A planner and a sink on one database."""

    def __init__(self, url: str, projections: Iterable[Projection]) -> None:
        self.projections = Projections(list(projections))
        limits = PayloadLimits()
        routes = RouteTable(
            CATALOGUE,
            DeviceIndex.of(DEVICES, CATALOGUE),
            CHANNEL_IDS,
            limits,
            interests=self.projections,
        )
        self.planner = Planner(routes, Ledger(1000), limits, first_unique=1)
        self.sink: Sink
        if url.startswith("sqlite"):
            path = Path(url.removeprefix("sqlite:///"))
            self.sink = SqliteSink(path, projections=self.projections)
        else:
            self.sink = PostgresSink(url, projections=self.projections)
        self._batch = 0

    def plan(self, packets: Sequence[PublishPacket], at: int = NOW) -> Plan:
        plan = self.planner.plan(list(packets), at)
        if plan.retained:
            self.planner.settle(plan, {})
        return plan

    def commit(self, plan: Plan) -> Any:
        self._batch += 1
        return self.sink.commit(plan, "c", self._batch, 0)

    def batch(self, packets: Sequence[PublishPacket], at: int = NOW) -> Any:
        """Plans and commits; what the sink answers."""
        return self.commit(self.plan(packets, at))

    def close(self) -> None:
        self.sink.close()
