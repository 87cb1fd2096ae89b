"""The live values of a serving process, from its start to its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mooring.app import App
from mooring.dashboard.live.socket import Sockets
from mooring.part import Resident
from mooring.stream.streams import Streams
from mooring.web.publisher import Publisher
from mooring.web.services import Current, platform_now

__all__ = ["residents"]


def residents(
    platform: App, current: Current, publisher: Publisher, others: Mapping[type, Any]
) -> dict[type, Resident]:
    """The sockets of open pages; nothing in a process without the live stream, whose hub they
    use."""
    streams = others.get(Streams)
    if streams is None:
        return {}

    async def now() -> App:
        found = await platform_now(current)
        assert isinstance(found, App)
        return found

    return {
        Sockets: Sockets(
            streams.hub,
            now,
            platform.people.authenticate_all,
            platform.tally.count,
            lambda: publisher.connected,
        )
    }
