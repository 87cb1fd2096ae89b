"""The part presence: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part
from mooring.supervisor.registry import Entry

with later():
    from mooring.presence import projection, reported
    from mooring.settings import presence as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "presence",
    tables=lambda: (
        schema.device_state,
        schema.broker_events,
    ),
    projections=lambda app: (
        projection.LastSeen(),
        projection.DeviceState(app.payload_limits),
        reported.ReportedAttributes(app.payload_limits, app.devices.room),
    ),
    counters=("attributes_refused",),
    workers=(
        Entry("broker log", "up", "reads the broker's log"),
        Entry("evidence", "up", "records what the authority plugin reports"),
        Entry("attention", "up", "switches the broker's packet log on and off"),
    ),
    settings=lambda: settings.PresenceSettings,
)
