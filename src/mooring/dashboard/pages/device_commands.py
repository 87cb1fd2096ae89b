"""Commands of a device: send one, and what became of the others."""

from __future__ import annotations

import json
from typing import Any

from mooring.commands.model import NewCommand
from mooring.commands.rules import State
from mooring.commands.service import Commands
from mooring.dashboard.answers import Redirect
from mooring.dashboard.call import Call
from mooring.dashboard.data.device import frame, opened
from mooring.dashboard.data.fleet import Badge
from mooring.dashboard.forms import row_number
from mooring.dashboard.page import Action, Page
from mooring.dialects.model import Direction, Kind

__all__ = ["ACTIONS", "PAGES"]

PAGE_SIZE = 25
_LOOKS = {
    State.DONE: "ok",
    State.FAILED: "bad",
    State.REJECTED: "bad",
    State.TIMED_OUT: "bad",
    State.EXPIRED: "warn",
    State.UNCONFIRMED: "warn",
}


def view(call: Call) -> dict[str, Any]:
    """The form, and the newest commands."""
    found = opened(call)
    before = call.query.number("before", 0, ge=1) or None
    commands = call.service(Commands).listed(
        call.who, device=found.device.username, limit=PAGE_SIZE + 1, before=before
    )
    shown = commands[:PAGE_SIZE]
    channels = _channels(found.dialect)
    return {
        **frame(found, "commands"),
        "channels": [channel.name for channel in channels],
        "known": sorted({name for channel in channels for name, _ in channel.done_when}),
        "commands": [
            (
                one,
                Badge(_LOOKS.get(one.state, "off"), str(one.state).replace("_", " ")),
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
    name = form.text("name", "Command", needed=True, max=128)
    text = form.text("parameters", "Parameters", area=True, max=20_000)
    minutes = form.number("minutes", "Waits at most", default=0, ge=0, le=525_600)
    try:
        parameters = json.loads(text) if text else {}
        if not isinstance(parameters, dict):
            form.wrong["parameters"] = 'Use a JSON object, such as {"level": 3}.'
    except (ValueError, RecursionError) as exc:
        form.wrong["parameters"] = f"This is not JSON: {exc}."
    reason = form.text("reason", "Reason")
    channel = form.text("channel", "Channel", max=128) or None
    form.check()
    new = NewCommand(
        name,
        parameters,
        channel,
        form.flag("now"),
        expires_ms=minutes * 60_000 or None,
        reason=reason,
    )
    device = call.app.devices.get(call.who, call.path["device"])
    made = call.service(Commands).send(call.who, device.username, new)
    return call.redirect(
        call.url, f"The command {made.name} was stored. It is sent when the device listens."
    )


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
