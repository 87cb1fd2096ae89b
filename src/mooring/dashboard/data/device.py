"""What every page of one device begins with."""

from __future__ import annotations

from typing import Any, NamedTuple

from mooring.dashboard.call import Call
from mooring.dashboard.data.fleet import address, badge
from mooring.devices.attributes.order_store import NEVER
from mooring.devices.attributes.query import Place
from mooring.devices.attributes.store import of_device
from mooring.devices.model import Device
from mooring.dialects.model import Dialect
from mooring.fleet import store
from mooring.fleet.model import DeviceRow

__all__ = ["TABS", "Opened", "frame", "opened"]

TABS = {
    "": "Now",
    "charts": "Charts",
    "connection": "Connection",
    "commands": "Commands",
    "settings": "Settings",
    "firmware": "Firmware",
    "messages": "Messages",
    "credentials": "Credentials",
    "audit": "Audit",
}


class Opened(NamedTuple):
    """A device that a person looks at.

    Attributes:
        row: what is known of it now.
        dialect: ``None``: it does not exist any more.
        href: address of its first page.
        audited: whether the person may see the audit.
    """

    device: Device
    row: DeviceRow
    dialect: Dialect | None
    href: str
    audited: bool = False


def opened(call: Call) -> Opened:
    """The device of the address.

    Raises:
        NotFound: no such device that the person sees.
    """
    device = call.app.devices.get(call.who, call.path["device"])
    with call.app.database.read() as connection:
        known = store.states_of(connection, [device.id]).get(device.id, store.NOTHING)
        problems = store.problems_of(connection, [device.id]).get(device.id, ())
        held = of_device(connection, device.id)
    row = DeviceRow(
        device=device,
        attributes=held,
        presence=known.presence or NEVER,
        presence_since=known.since,
        last_seen_at=known.last_seen_at,
        interval_ms=known.interval_ms,
        connected=known.connected,
        address=known.address,
        firmware=known.firmware,
        problems=problems,
        place=Place(None, device.id),
    )
    names = call.app.catalogue.names()
    dialect = call.app.catalogue.get(device.dialect) if device.dialect in names else None
    return Opened(device, row, dialect, address(device), call.may("admin"))


def frame(found: Opened, tab: str) -> dict[str, Any]:
    """What the head of the page needs."""
    device = found.device
    return {
        "title": f"{device.name} · {TABS[tab]}" if tab else device.name,
        "device": device,
        "row": found.row,
        "state": badge(found.row),
        "dialect": found.dialect,
        "href": found.href,
        "tabs": [
            (word, f"{found.href}/{name}" if name else found.href, name == tab)
            for name, word in TABS.items()
            if name != "audit" or found.audited
        ],
    }
