"""The part presence: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part
from mooring.supervisor.registry import Entry

with later():
    from mooring.presence import projection, reported
    from mooring.presence.states import api, service, worker
    from mooring.settings import presence as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "presence",
    routers=lambda: (api.router,),
    services=lambda: {
        service.DevicePresence: lambda app: service.DevicePresence(
            app.database, app.devices, app.states
        ),
    },
    tables=lambda: (
        schema.device_state,
        schema.firmware_changes,
        schema.presence,
        schema.presence_changes,
        schema.presence_marks,
        schema.broker_events,
    ),
    projections=lambda app: (
        projection.LastSeen(),
        projection.DeviceState(app.payload_limits),
        projection.AnnouncedAbsence(),
        reported.ReportedAttributes(app.payload_limits, app.devices.room),
    ),
    counters=("attributes_refused",),
    workers=(
        Entry("broker log", "up", "reads the broker's log"),
        Entry("evidence", "up", "records what the authority plugin reports"),
        Entry(
            "presence",
            "worker",
            "follows whether devices are there",
            lambda app: worker.PresenceWorker.of(app.database, app.settings, app.catalogue).run(),
        ),
        Entry("attention", "up", "switches the broker's packet log on and off"),
    ),
    settings=lambda: settings.PresenceSettings,
)
