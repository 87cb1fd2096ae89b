"""Commands of a device: send one, and what became of the others."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from mooring.commands.model import NewCommand
from mooring.commands.service import Commands
from mooring.dashboard.answers import Redirect
from mooring.dashboard.call import Call
from mooring.dashboard.data.device import frame, opened
from mooring.dashboard.data.fleet import Badge
from mooring.dashboard.data.parameters import declared, fields
from mooring.dashboard.data.parameters import found as declared_one
from mooring.dashboard.data.parameters import read as read_parameters
from mooring.dashboard.forms import Form, row_number
from mooring.dashboard.page import Action, Page
from mooring.dashboard.pages.commands import LOOK
from mooring.devices.model import Device
from mooring.dialects.model import Direction, Kind
from mooring.errors import Invalid

__all__ = ["ACTIONS", "PAGES"]

PAGE_SIZE = 25


def view(call: Call) -> dict[str, Any]:
    """The form, and the newest commands."""
    found = opened(call)
    before = call.query.number("before", 0, ge=1) or None
    commands = call.service(Commands).listed(
        call.who, device=found.device.username, limit=PAGE_SIZE + 1, before=before
    )
    shown = commands[:PAGE_SIZE]
    channels = _channels(found.dialect)
    forms = declared(channels)
    key = call.form.raw("declared") if call.problem else call.query.text("command")
    chosen = declared_one(forms, key)
    return {
        **frame(found, "commands"),
        "channels": [channel.name for channel in channels],
        "known": sorted({name for channel in channels for name, _ in channel.done_when}),
        "declared": [
            (
                one,
                f"{found.href}/commands?{urlencode({'command': one.key})}",
                one == chosen,
            )
            for one in forms
        ],
        "chosen": chosen,
        "fields": fields(chosen.form) if chosen is not None else [],
        "commands": [
            (
                one,
                Badge(*LOOK[one.state]),
                json.dumps(one.parameters, ensure_ascii=False) if one.parameters else "",
            )
            for one in shown
        ],
        "next_page": call.query.with_(before=shown[-1].id) if len(commands) > PAGE_SIZE else "",
    }


def _channels(dialect: Any) -> list[Any]:
    if dialect is None:
        return []
    return [one for one in dialect.of_kind(Kind.COMMAND) if one.direction is Direction.DOWN]


def send(call: Call) -> Redirect:
    """Stores a command."""
    form = call.form
    device = call.app.devices.get(call.who, call.path["device"])
    key = form.raw("declared")
    if key:
        name, channel, parameters = _declared(call, device, key)
    else:
        name = form.text("name", "Command", needed=True, max=128)
        channel = form.text("channel", "Channel", max=128) or None
        parameters = _typed(form)
    minutes = form.number("minutes", "Waits at most", default=0, ge=0, le=525_600)
    reason = form.text("reason", "Reason")
    form.check()
    new = NewCommand(
        name,
        parameters,
        channel,
        form.flag("now"),
        expires_ms=minutes * 60_000 or None,
        reason=reason,
    )
    made = call.service(Commands).send(call.who, device.username, new)
    return call.redirect(
        call.url, f"The command {made.name} was stored. It is sent when the device listens."
    )


def _declared(call: Call, device: Device, key: str) -> tuple[str, str | None, dict[str, Any]]:
    """Name, channel and parameters of a command that the dialect declares."""
    names = call.app.catalogue.names()
    dialect = call.app.catalogue.get(device.dialect) if device.dialect in names else None
    one = declared_one(declared(_channels(dialect)), key)
    if one is None:
        raise Invalid(
            "The dialect does not declare this command any more.",
            hint="Open the page again and select another command.",
            code="invalid_command",
        )
    return one.form.name, one.channel, read_parameters(call.form, one.form)


def _typed(form: Form) -> dict[str, Any]:
    """The JSON object that was typed."""
    text = form.text("parameters", "Parameters", area=True, max=20_000)
    try:
        parameters = json.loads(text) if text else {}
    except (ValueError, RecursionError) as exc:
        form.wrong["parameters"] = f"This is not JSON: {exc}."
        return {}
    if not isinstance(parameters, dict):
        form.wrong["parameters"] = 'Use a JSON object, such as {"level": 3}.'
        return {}
    return parameters


def cancel(call: Call) -> Redirect:
    """Cancels a command of this device."""
    device = call.app.devices.get(call.who, call.path["device"])
    number = row_number(call.path["number"]) or 0
    commands = call.service(Commands)
    commands.of_device(call.who, device.username, number)
    done = commands.cancel(call.who, number)
    said = "cancelled" if done.over else "the device is asked to cancel it"
    return call.redirect(call.url.rsplit("/", 2)[0], f"The command {done.name}: {said}.")


PAGE = Page("/devices/{device}/commands", "Commands", view, "device/commands", place="/devices")
PAGES = (PAGE,)
ACTIONS = (
    Action("/devices/{device}/commands", send, PAGE),
    Action("/devices/{device}/commands/{number}/cancel", cancel, PAGE),
)
