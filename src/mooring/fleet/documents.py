"""What the command line and HTTP answer of lists of devices. Times are text."""

from __future__ import annotations

from typing import Any

from mooring.devices import documents
from mooring.dialects.times import iso_or_none
from mooring.fleet.model import Count, CountBy, DeviceRow

__all__ = ["counts", "row"]


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
