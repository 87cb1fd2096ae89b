"""Commands to devices, and jobs: the same thing for many devices."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from mooring.commands.rules import State
from mooring.commands.service import Commands
from mooring.dashboard.call import Call
from mooring.dashboard.data import newer
from mooring.dashboard.forms import row_number
from mooring.dashboard.page import Action, Nav, Page, Redirect
from mooring.dashboard.pages.job import JOB_WORDS
from mooring.jobs.service import Jobs

__all__ = ["ACTIONS", "LOOK", "PAGES"]

LISTED = 50

LOOK = {
    State.QUEUED: ("off", "Waiting for the device"),
    State.SENT: ("off", "Sent"),
    State.DELIVERED: ("off", "Received"),
    State.DONE: ("ok", "Done"),
    State.FAILED: ("bad", "Failed"),
    State.REJECTED: ("bad", "Rejected by the device"),
    State.TIMED_OUT: ("warn", "No answer"),
    State.UNCONFIRMED: ("warn", "Not confirmed"),
    State.EXPIRED: ("warn", "Expired"),
    State.CANCELLED: ("off", "Cancelled"),
}
"""State → how it is shown."""


def view(call: Call) -> dict[str, Any]:
    """Jobs first, then single commands."""
    chosen = call.query.choice("state", newer.COMMANDS)
    device = call.query.text("device")
    before = call.query.number("before", 0) or None
    found = call.service(Commands).listed(
        call.who,
        device=device or None,
        states=newer.COMMANDS[chosen][1],
        limit=LISTED + 1,
        before=before,
    )
    jobs = call.service(Jobs).listed(call.who, limit=10)
    kept = [(name, value) for name, value in (("state", chosen), ("device", device)) if value]
    older = [*kept, ("before", str(found[LISTED - 1].id))] if len(found) > LISTED else None
    return {
        "commands": [(one, *LOOK[one.state]) for one in found[:LISTED]],
        "older": f"/commands?{urlencode(older)}" if older else "",
        "jobs": [(one, *JOB_WORDS[one.state]) for one in jobs],
        "states": [(key, word) for key, (word, _) in newer.COMMANDS.items()],
        "newer": newer.topic("commands", kept) if before is None else "",
        "since": found[0].id if found else 0,
        "newest_job": jobs[0].id if jobs else 0,
        "chosen": chosen,
        "device": device,
    }


def show(call: Call) -> dict[str, Any]:
    """One command with its evidence."""
    found = call.service(Commands).get(call.who, _number(call))
    state, word = LOOK[found.state]
    return {
        "title": f"Command {found.id}: {found.name}",
        "command": found,
        "state": state,
        "word": word,
        "address": f"/commands/{found.id}",
    }


def cancel(call: Call) -> Redirect:
    """Ends a command that was not sent, or asks the device to."""
    found = call.service(Commands).cancel(call.who, _number(call))
    said = "was cancelled" if found.state is State.CANCELLED else "the device is asked to cancel it"
    return call.redirect(f"/commands/{found.id}", f"Command {found.id}: {said}.")


def _number(call: Call) -> int:
    found = row_number(call.path["number"])
    return -1 if found is None else found


PAGE = Page("/commands", "Commands", view, "commands", nav=Nav("change", 30, "Commands", "s"))
COMMAND = Page("/commands/{number}", "Command", show, "command", place="/commands")
PAGES = (PAGE, COMMAND)
ACTIONS = (Action("/commands/{number}/cancel", cancel, COMMAND),)
