"""The first device: name it, paste a line, watch it. What the platform sees appears in words."""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple
from urllib.parse import quote

from mooring.broker.address import broker_address
from mooring.dashboard.call import Call
from mooring.dashboard.data import first_signs
from mooring.dashboard.page import Action, Page, Shown
from mooring.devices.model import Device, NewDevice
from mooring.devices.service import Devices
from mooring.dialects.model import Dialect, Kind
from mooring.dialects.snippets import Login, Snippets, example_payload, snippets
from mooring.identity.actor import Role
from mooring.web.address import http_url

__all__ = ["ACTIONS", "PAGES", "shown"]


class Added(NamedTuple):
    """The device that was just added, with lines that have its password."""

    name: str
    reference: str
    lines: Snippets
    http: str
    applied: bool


def values(call: Call) -> dict[str, Any]:
    """The form, and what was seen lately."""
    dialects = sorted(call.app.catalogue.all(), key=lambda one: (one.needs_mac, one.name))
    return {
        "title": "First device",
        "dialects": [(one.name, _described(one)) for one in dialects],
        "tenants": call.app.people.tenants(call.who, limit=100),
        "added": None,
        "device": call.query.text("device"),
        "signs": first_signs.of(call.app, call.who, call.query.text("device"), call.now),
    }


def _described(dialect: Dialect) -> str:
    return f"{dialect.name}: {dialect.title}" if dialect.title else dialect.name


def shown(call: Call) -> Shown:
    """The page instead of an empty one."""
    return Shown(values(call), "first_device")


def add(call: Call) -> Shown:
    """Adds the device; its password is on this page alone."""
    form = call.form
    name = form.text("name", "Name", needed=True, max=128)
    dialect = form.choice("dialect", "Dialect", call.app.catalogue.names())
    mac = form.text("mac", "MAC address", max=40)
    tenant = call.who.tenant or form.text("tenant", "Tenant", max=128) or "default"
    known = dialect in call.app.catalogue.names()
    if known and call.app.catalogue.get(dialect).needs_mac and not mac:
        form.wrong["mac"] = f"Devices of the dialect {dialect} need a MAC address."
    form.check()
    new = NewDevice(name, dialect, tenant, form.text("label", "Label", max=200), mac or None)
    credentials, changes = call.service(Devices).add(call.who, new)
    device = credentials.device
    address = broker_address(call.app.settings)
    chosen = call.app.catalogue.get(device.dialect)
    login = Login(device.client_id, device.username, credentials.password)
    added = Added(
        device.name,
        device.reference,
        snippets(chosen, device.identity, login, address, call.now),
        _http(call, chosen, device, login),
        call.applied(changes),
    )
    found = {
        **values(call),
        "added": added,
        "device": device.reference,
        "signs": first_signs.of(call.app, call.who, device.reference, call.now),
    }
    return Shown(found, "first_device", secret=True)


def _http(call: Call, dialect: Dialect, device: Device, login: Login) -> str:
    """A line that sends a reading over HTTP; empty where no safe address is known."""
    place = http_url(call.app.settings, asked_at=call.request.url.hostname)
    channel = next((one for one in dialect.ups() if one.kind is Kind.TELEMETRY), None)
    if place is None or channel is None:
        return ""
    words = ["curl", "-u", f"{login.username}:{login.password}", "-H"]
    words += ["Content-Type: application/json"]
    words += ["-d", example_payload(channel, device.identity, call.now)]
    words.append(f"{place}/api/v1/devices/{quote(device.reference, safe=':')}/telemetry")
    return shlex.join(words)


PAGE = Page("/first-device", "First device", shown, "first_device", role=Role.OPERATOR)
PAGES = (PAGE,)
ACTIONS = (Action("/first-device", add, PAGE),)
