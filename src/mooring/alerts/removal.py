"""The end of the alerts of a device that is removed, in the transaction that removes it.

They end as cleared, with the reason, so everybody who was notified that they were raised is
notified that they are over.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from mooring.alerts import store
from mooring.alerts.changes import Happened, record
from mooring.alerts.model import Event, Severity
from mooring.devices.model import Device
from mooring.identity.actor import Actor
from mooring.store.engine import now_ms
from mooring.store.tally import add_to_counter

__all__ = ["WHY", "device_removed"]

WHY = "The device was removed."


def device_removed(connection: Connection, actor: Actor, device: Device) -> None:
    """Clears its open alerts and keeps its name with them. Call it before the device is deleted:
    what is still its own then is deleted with it."""
    at = now_ms()
    ended = store.detach(connection, device.id, device.name, actor.name, at)
    if not ended:
        return
    record(
        connection,
        [
            Happened(number, Event.CLEARED, at, Severity(severity), WHY, actor.name)
            for number, severity in ended
        ],
    )
    add_to_counter(connection, "alerts_cleared", len(ended))
