"""Commands to devices, and jobs: the same thing for many devices."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from mooring.commands.rules import OPEN, State
from mooring.commands.service import Commands
from mooring.dashboard.call import Call
from mooring.dashboard.page import Action, Nav, Page, Redirect
from mooring.jobs.rules import State as JobState
from mooring.jobs.rules import TargetState
from mooring.jobs.service import Jobs

__all__ = ["ACTIONS", "JOB_LOOK", "LOOK", "PAGES"]

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
JOB_LOOK = {
    JobState.PREPARING: ("off", "Listing its devices"),
    JobState.RUNNING: ("off", "Running"),
    JobState.PAUSED: ("warn", "Paused"),
    JobState.STOPPED: ("bad", "Stopped"),
    JobState.CANCELLING: ("warn", "Being cancelled"),
    JobState.EXPIRING: ("warn", "Expiring"),
    JobState.DONE: ("ok", "Finished"),
    JobState.CANCELLED: ("off", "Cancelled"),
    JobState.EXPIRED: ("warn", "Expired"),
}
TARGET_LOOK = {
    TargetState.WAITING: ("off", "Waiting"),
    TargetState.HANDED_OVER: ("off", "Started"),
    TargetState.SUCCEEDED: ("ok", "Done"),
    TargetState.FAILED: ("bad", "Failed"),
    TargetState.SKIPPED: ("warn", "Skipped"),
    TargetState.CANCELLED: ("off", "Cancelled"),
}
TARGET_CHOICES = [("", "All"), *((key.value, look[1]) for key, look in TARGET_LOOK.items())]
GROUPS = {
    "": ("All", ()),
    "open": ("Open", tuple(OPEN)),
    "failed": ("Failed", (State.FAILED, State.REJECTED, State.TIMED_OUT, State.EXPIRED)),
    "done": ("Done", (State.DONE,)),
}


def view(call: Call) -> dict[str, Any]:
    """Jobs first, then single commands."""
    chosen = call.query.choice("state", GROUPS)
    device = call.query.text("device")
    before = call.query.number("before", 0) or None
    found = call.service(Commands).listed(
        call.who,
        device=device or None,
        states=GROUPS[chosen][1],
        limit=LISTED + 1,
        before=before,
    )
    jobs = call.service(Jobs).listed(call.who, limit=10)
    kept = [(name, value) for name, value in (("state", chosen), ("device", device)) if value]
    older = [*kept, ("before", str(found[LISTED - 1].id))] if len(found) > LISTED else None
    return {
        "commands": [(one, *LOOK[one.state]) for one in found[:LISTED]],
        "older": f"/commands?{urlencode(older)}" if older else "",
        "jobs": [(one, *JOB_LOOK[one.state]) for one in jobs],
        "states": [(key, word) for key, (word, _) in GROUPS.items()],
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
    found = call.path["number"]
    return int(found) if found.isascii() and found.isdigit() and len(found) < 19 else -1


def show_job(call: Call) -> dict[str, Any]:
    """One job with its devices, those that failed first if they are asked for."""
    number = _number(call)
    jobs = call.service(Jobs)
    found = jobs.get(call.who, number)
    only = call.query.choice("state", [one.value for one in TargetState])
    rank, device = call.query.number("rank", -1), call.query.number("after", -1)
    targets = jobs.targets(
        call.who,
        number,
        limit=LISTED + 1,
        after=(rank, device) if rank >= 0 and device >= 0 else None,
        states=(TargetState(only),) if only else (),
    )
    last = targets[LISTED - 1] if len(targets) > LISTED else None
    state, word = JOB_LOOK[found.state]
    address = f"/jobs/{found.id}"
    more = ""
    if last is not None:
        more = f"{address}{call.query.with_(rank=last.rank, after=last.device_id)}"
    return {
        "title": f"Job {found.id}: {found.title}",
        "job": found,
        "state": state,
        "word": word,
        "targets": [(one, *TARGET_LOOK[one.state]) for one in targets[:LISTED]],
        "target_states": TARGET_CHOICES,
        "only": only,
        "more": more,
        "what": jobs.what(found),
        "address": address,
    }


def steer(call: Call) -> Redirect:
    """Pause, resume, cancel, or retry the failed."""
    jobs, number = call.service(Jobs), _number(call)
    acts = {
        "pause": (jobs.pause, "is paused"),
        "resume": (jobs.resume, "continues"),
        "cancel": (jobs.cancel, "is being cancelled"),
        "retry": (jobs.retry, "starts its failed devices again"),
    }
    chosen = call.form.choice("act", "Action", acts)
    call.form.check()
    act, said = acts[chosen]
    found = act(call.who, number)
    return call.redirect(f"/jobs/{found.id}", f"Job {found.id} {said}.")


PAGE = Page("/commands", "Commands", view, "commands", nav=Nav("change", 30, "Commands", "s"))
COMMAND = Page("/commands/{number}", "Command", show, "command", place="/commands")
JOB = Page("/jobs/{number}", "Job", show_job, "job", place="/commands")
PAGES = (PAGE, COMMAND, JOB)
ACTIONS = (
    Action("/commands/{number}/cancel", cancel, COMMAND),
    Action("/jobs/{number}", steer, JOB),
)
