"""Reading whether devices are there, with all evidence."""

from __future__ import annotations

from dataclasses import dataclass

from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.devices.state import DeviceState, DeviceStates
from mooring.identity.actor import Actor
from mooring.presence.firmware_store import VersionSeen, versions_of
from mooring.presence.states import store
from mooring.presence.states.machine import Record, State, shown
from mooring.presence.states.store import Changed, Known
from mooring.store.engine import Database

__all__ = ["DevicePresence", "Presence"]


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a device is there. Times are epoch milliseconds.

    Attributes:
        record: what the state comes from.
        interval_ms: how often the device sends; ``None``: not known.
        declared: whether its dialect says so.
        evidence: what the broker and the device report now.
        history: newest first.
    """

    record: Record
    interval_ms: int | None
    declared: bool
    evidence: DeviceState
    history: list[Changed]

    @property
    def state(self) -> State:
        return shown(self.record)

    @property
    def since(self) -> int | None:
        """``None``: it was never seen."""
        at = self.record.flapping_at
        return (at if at is not None else self.record.since) or None


@dataclass(frozen=True, slots=True)
class DevicePresence:
    """Presence of the devices of one installation."""

    database: Database
    devices: Devices
    states: DeviceStates

    def of(
        self, actor: Actor, reference: str, *, limit: int = store.HISTORY_MAX
    ) -> tuple[Device, Presence]:
        """A device's state, its evidence and its history.

        Raises:
            NotFound: no such device.
        """
        device = self.devices.get(actor, reference)
        evidence = self.states.of(actor, device)
        with self.database.read() as connection:
            known = store.of_device(connection, device.id) or Known(Record())
            history = store.history(connection, device.id, limit)
        dialect = next((d for d in self.devices.catalogue.all() if d.name == device.dialect), None)
        declared = dialect is not None and dialect.interval_ms is not None
        return device, Presence(known.record, known.interval, declared, evidence, history)

    def versions(self, actor: Actor, reference: str) -> tuple[Device, list[VersionSeen]]:
        """Versions of firmware that a device has reported, the oldest first.

        Raises:
            NotFound: no such device that the actor sees.
        """
        device = self.devices.get(actor, reference)
        with self.database.read() as connection:
            return device, versions_of(connection, device.id)
