"""Connections of a device: its state, what the broker saw, messages on their way, limits."""

from __future__ import annotations

from typing import Any

from mooring.dashboard.call import Call
from mooring.dashboard.data.device import frame, opened
from mooring.dashboard.data.fleet import Badge, state_badge
from mooring.dashboard.page import Action, Page
from mooring.doctor import store as doctor_store
from mooring.doctor.seen import EventKind
from mooring.downlink.rules import State
from mooring.limits.service import DeviceLimits
from mooring.presence.states.service import DevicePresence

__all__ = ["ACTIONS", "PAGES"]

EVENTS, CHANGES, DOWNLINKS = 50, 50, 20
EVENT_WORDS = {
    EventKind.LOGIN: Badge("ok", "Connected"),
    EventKind.REFUSED: Badge("bad", "Rejected"),
    EventKind.GONE: Badge("off", "Session ended"),
    EventKind.TAKEN_OVER: Badge("warn", "Taken over"),
    EventKind.DENIED: Badge("bad", "Denied"),
    EventKind.LIMITED: Badge("bad", "Limited"),
    EventKind.OVERSIZE: Badge("bad", "Too large"),
    EventKind.TLS_FAILED: Badge("bad", "TLS failed"),
}
DOWNLINK_WORDS = {
    State.WAITING: Badge("off", "Waiting"),
    State.QUEUED: Badge("off", "Waiting for the device"),
    State.SENDING: Badge("off", "Sending"),
    State.HELD: Badge("off", "Waiting for the device"),
    State.UNCONFIRMED: Badge("off", "Not confirmed yet"),
    State.SENT: Badge("off", "Sent"),
    State.CONFIRMED: Badge("ok", "Received"),
    State.UNHEARD: Badge("warn", "Nobody subscribed"),
    State.EXPIRED: Badge("warn", "Expired"),
    State.CANCELLED: Badge("off", "Cancelled"),
    State.FAILED: Badge("bad", "Failed"),
}


def view(call: Call) -> dict[str, Any]:
    """Evidence first, then what happened."""
    found = opened(call)
    device = found.device
    _, presence = call.service(DevicePresence).of(call.who, device.username, limit=CHANGES)
    with call.app.database.read() as connection:
        events = doctor_store.events(connection, device.username)[:EVENTS]
    _, limits = call.service(DeviceLimits).of_device(call.who, device.username)
    return {
        **frame(found, "connection"),
        "presence": presence,
        "with_topic": any(one.topic for one in events),
        "with_client": any(one.client_id for one in events),
        "events": [(one, EVENT_WORDS[one.kind]) for one in events],
        "changes": [(one, state_badge(one.state)) for one in presence.history],
        "downlinks": [
            (one, DOWNLINK_WORDS[one.state])
            for one in call.app.downlinks.of_device(call.who, device, limit=DOWNLINKS)
        ],
        "limits": limits,
    }


PAGE = Page(
    "/devices/{device}/connection", "Connection", view, "device/connection", place="/devices"
)
PAGES = (PAGE,)
ACTIONS: tuple[Action, ...] = ()
