"""What the command line and HTTP answer of lists of devices. Times are text."""

from __future__ import annotations

from typing import Any

from mooring.devices import documents
from mooring.dialects.times import iso_or_none
from mooring.fleet.model import Count, CountBy, DeviceRow, Map

__all__ = ["counts", "map_of", "row"]


def row(one: DeviceRow) -> dict[str, Any]:
    """A device in a list."""
    return {
        **documents.listed(one.device, one.attributes),
        "presence": one.presence,
        "presence_since": iso_or_none(one.presence_since),
        "last_seen_at": iso_or_none(one.last_seen_at),
        "connected": one.connected,
        "address": one.address,
        "firmware": one.firmware,
        "problems": [str(problem) for problem in one.problems],
    }


def counts(by: CountBy, found: list[Count]) -> dict[str, Any]:
    """How many devices have each value."""
    return {
        "by": str(by),
        "counts": [{"value": one.value, "devices": one.devices} for one in found],
    }


def map_of(found: Map, zoom: int) -> dict[str, Any]:
    """Devices on a map."""
    return {
        "zoom": zoom,
        "spots": [
            {
                "latitude": round(one.latitude, 6),
                "longitude": round(one.longitude, 6),
                "devices": one.devices,
                "state": one.state,
                **one.box._asdict(),
                "names": list(one.names),
            }
            for one in found.spots
        ],
        "placed": found.placed,
        "shown": found.shown,
        "without": found.without,
        "more": found.more,
    }
