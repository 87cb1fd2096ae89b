"""Firmware of a device: what is known."""

from __future__ import annotations

from typing import Any

from mooring.dashboard.call import Call
from mooring.dashboard.data.device import frame, opened
from mooring.dashboard.page import Action, Page
from mooring.devices.state import DeviceStates
from mooring.fleet.model import CountBy, Filter
from mooring.fleet.service import DeviceLists
from mooring.presence.states.service import DevicePresence

__all__ = ["ACTIONS", "PAGES"]

VERSIONS, FACTS_MAX = 20, 100


def view(call: Call) -> dict[str, Any]:
    """The version, what the device reports of itself, and what others of its dialect run."""
    found = opened(call)
    device = found.device
    state = call.service(DeviceStates).of(call.who, device)
    others = Filter(tenant=device.tenant, dialect=device.dialect)
    versions = call.service(DeviceLists).counts(call.who, CountBy.FIRMWARE, others)
    return {
        **frame(found, "firmware"),
        "known": state,
        "told": sorted(state.metadata.items())[:FACTS_MAX],
        "changes": call.service(DevicePresence).versions(call.who, device.reference)[1][::-1],
        "versions": versions[:VERSIONS],
        "listing": f"/devices?tenant={device.tenant}&dialect={device.dialect}&firmware=",
    }


PAGE = Page("/devices/{device}/firmware", "Firmware", view, "device/firmware", place="/devices")
PAGES = (PAGE,)
ACTIONS: tuple[Action, ...] = ()
