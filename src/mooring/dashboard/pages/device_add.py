"""Add device: its password is shown once, with lines to paste."""

from __future__ import annotations

from typing import Any

from mooring.broker.address import broker_address
from mooring.dashboard.answers import Shown
from mooring.dashboard.call import Call
from mooring.dashboard.data import fleet
from mooring.dashboard.page import Action, Page
from mooring.devices.model import Device, NewDevice
from mooring.dialects.snippets import Login, Snippets, snippets
from mooring.identity.actor import Role

__all__ = ["ACTIONS", "PAGES", "lines"]


def view(call: Call) -> dict[str, Any]:
    """The form."""
    return {"dialects": call.app.catalogue.names(), "made": None}


def add(call: Call) -> Shown:
    """Adds the device and shows its password."""
    form = call.form
    name = form.text("name", "Name", needed=True, max=128)
    label = form.text("label", "Label", max=200)
    mac = form.text("mac", "MAC address", max=64) or None
    groups = tuple(one.strip() for one in form.text("groups", "Groups").split(",") if one.strip())
    dialect = form.text("dialect", "Dialect", needed=True, max=64)
    tenant = call.who.tenant or form.text("tenant", "Tenant", max=128) or "default"
    form.check()
    new = NewDevice(name, dialect, tenant, label, mac, groups)
    made, changes = call.app.devices.add(call.who, new)
    said = call.stored(f"{made.device.reference}", changes)
    return Shown(
        {
            "dialects": call.app.catalogue.names(),
            "made": made,
            "said": said,
            "lines": lines(call, made.device, made.password),
            "href": fleet.address(made.device),
        },
        secret=True,
        title=f"Added {made.device.name}",
    )


def lines(call: Call, device: Device, password: str) -> Snippets:
    """Lines to paste, with the addresses of this platform."""
    return snippets(
        call.app.catalogue.get(device.dialect),
        device.identity,
        Login(device.client_id, device.username, password),
        broker_address(call.app.settings),
        call.now,
    )


PAGE = Page("/devices/new", "Add device", view, "device_add", role=Role.OPERATOR, place="/devices")
PAGES = (PAGE,)
ACTIONS = (Action("/devices/new", add, PAGE),)
