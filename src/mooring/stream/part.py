"""The part stream: what it brings to the processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mooring.later import later
from mooring.part import Part
from mooring.supervisor.registry import Entry

with later():
    from mooring.dialects import live
    from mooring.settings import stream as settings
    from mooring.store import versions
    from mooring.stream import api, hub, snapshot, streams
    from mooring.web import services

if TYPE_CHECKING:
    from mooring.web.services import Current

__all__ = ["PART"]


def _streams(app: Any, current: Current) -> streams.Streams:
    async def snapshots() -> snapshot.Snapshots:
        platform = await services.platform_now(current)
        return platform.service(snapshot.Snapshots)

    stored = versions.stored(app.database, "dialects")
    catalogue = live.LiveCatalogue(app.settings.dialects_dir, stored, app.catalogue)
    return streams.Streams(
        hub.Hub(app.database, app.endpoint, catalogue, app.payload_limits, app.tally.count),
        app.settings,
        app.people.authenticate_all,
        snapshots,
        app.tally.count,
    )


PART = Part(
    "stream",
    routers=lambda: (api.router,),
    services=lambda: {
        snapshot.Snapshots: lambda app: snapshot.Snapshots(
            app.database, app.devices, app.telemetry
        ),
    },
    residents=lambda: {streams.Streams: _streams},
    workers=(
        Entry("stream", "serve", "receives live changes for the stream's clients"),
        Entry("stream logins", "serve", "ends streams whose login has ended"),
    ),
    counters=(
        "stream_clients_rejected",
        "stream_faults",
        "stream_logins_rejected",
        "stream_passed_over",
    ),
    settings=lambda: settings.StreamSettings,
)
