"""Firmware of a device: what is known, and its updates."""

from __future__ import annotations

from typing import Any

from mooring.dashboard.call import Call
from mooring.dashboard.data.device import frame, opened
from mooring.dashboard.page import Action, Page
from mooring.devices.state import DeviceStates
from mooring.fleet.model import CountBy, Filter
from mooring.fleet.service import DeviceLists
from mooring.ota.latest.model import How
from mooring.ota.latest.service import Announcements
from mooring.ota.updates.model import FINAL, State
from mooring.ota.updates.service import Updates
from mooring.presence.states.service import DevicePresence

__all__ = ["ACTIONS", "PAGES"]

VERSIONS, FACTS_MAX, UPDATES = 20, 100, 10
GOOD = {State.CONFIRMED, State.INSTALLED}
BAD = {State.FAILED, State.REVERTED, State.REGRESSED, State.TIMED_OUT, State.REJECTED}

HOW = {
    How.UPDATE: "The device has it from an update of its own.",
    How.TOPIC: "The device has it from this announcement: it had no update to it.",
    How.BEFORE: "The device had it before it was announced.",
    How.NOT_YET: "The device does not report it.",
    None: "Which version the device has is not counted.",
}


def _look(state: State) -> tuple[str, str]:
    kind = "ok" if state in GOOD else "bad" if state in BAD else "off" if state in FINAL else "warn"
    return kind, state.value.replace("_", " ").capitalize()


def view(call: Call) -> dict[str, Any]:
    """The version, what the device reports of itself, and what others of its dialect run."""
    found = opened(call)
    device = found.device
    state = call.service(DeviceStates).of(call.who, device)
    others = Filter(tenant=device.tenant, dialect=device.dialect)
    updates = call.service(Updates).listed(call.who, device=device.reference, limit=UPDATES)
    versions = call.service(DeviceLists).counts(call.who, CountBy.FIRMWARE, others)
    return {
        **frame(found, "firmware"),
        "known": state,
        "told": sorted(state.metadata.items())[:FACTS_MAX],
        "changes": call.service(DevicePresence).versions(call.who, device.reference)[1][::-1],
        "versions": versions[:VERSIONS],
        "announced": [
            (one, HOW[one.how]) for one in call.service(Announcements).of_device(call.who, device)
        ],
        "updates": [(one, *_look(one.state)) for one in updates],
        "listing": f"/devices?tenant={device.tenant}&dialect={device.dialect}&firmware=",
    }


PAGE = Page("/devices/{device}/firmware", "Firmware", view, "device/firmware", place="/devices")
PAGES = (PAGE,)
ACTIONS: tuple[Action, ...] = ()
