"""Rollouts: firmware for many devices, wave by wave; and the form that starts one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mooring.dashboard.call import Call
from mooring.dashboard.data import newer
from mooring.dashboard.forms import Form, row_number
from mooring.dashboard.page import Action, Nav, Page, Redirect
from mooring.dashboard.pages.job import JOB_WORDS
from mooring.groups.selector import Selector
from mooring.identity.actor import Role
from mooring.jobs.checks import NUMBER_MAX, PACE_MAX
from mooring.jobs.selection import selector
from mooring.ota.releases.model import State as ReleaseState
from mooring.ota.releases.service import Releases
from mooring.ota.rollouts.asked import BYTES_PER_SECOND_MAX, DAYS, JITTER_MAX_MS, window_of
from mooring.ota.rollouts.model import PLAN, GateOn, NewRollout, Rollout, Terms
from mooring.ota.rollouts.service import Rollouts

__all__ = ["ACTIONS", "PAGES", "limit", "look", "pace", "share"]

LISTED = 50
RELEASES = 200  # to choose from, the newest ones
SELECTED = {
    "": "Choose one",
    "all": "All devices of the release's tenant",
    "group": "A group",
    "where": "A query",
    "names": "Names",
}
GATES = {
    GateOn.CONFIRMED: "the new version was proved",
    GateOn.INSTALLED: "the device reports it as installed",
    GateOn.UNPROVED: "the device reports it as installed, or never reports a version",
}


def view(call: Call) -> dict[str, Any]:
    """The newest rollouts, and releases that one can be started from."""
    before = call.query.number("before", 0) or None
    found = call.service(Rollouts).listed(call.who, limit=LISTED + 1, before=before)
    releases = []
    if call.who.role >= Role.OPERATOR:
        releases = call.service(Releases).page(
            call.who, state=ReleaseState.PUBLISHED, limit=RELEASES
        )
    several = call.who.tenant is None
    return {
        "rollouts": [(one, *look(one)) for one in found[:LISTED]],
        "watched": f"rollouts:{','.join(str(one.id) for one in found[:LISTED])}",
        "newer": newer.topic("rollouts") if before is None else "",
        "since": found[0].id if found else 0,
        "older": f"/rollouts?before={found[LISTED - 1].id}" if len(found) > LISTED else "",
        "releases": [
            (str(one.id), f"{one.reference} ({one.tenant})" if several else one.reference)
            for one in releases
        ],
        "release": call.query.text("release"),
        "selected": list(SELECTED.items()),
        "gates": [(str(one), word) for one, word in GATES.items()],
        "plan": PLAN,
        "waves_of_plan": ", ".join(f"{one:g}" for one in PLAN.waves),
    }


def look(rollout: Rollout) -> tuple[str, str]:
    """State and words of its badge."""
    if rollout.approval.open and not rollout.job.over:
        return "warn", "Not approved"
    return JOB_WORDS[rollout.job.state]


def start(call: Call) -> Redirect:
    """A new rollout of a published release, for devices of the release's tenant."""
    form = call.form
    number = form.text("release", "Release", needed=True)
    kind = form.choice("selected", "Devices", [one for one in SELECTED if one])
    value = form.text("value", "Group, query or names", max=10_000, area=True)
    if kind in ("group", "where", "names") and not value:
        form.wrong["value"] = f"{SELECTED[kind]}: say which."
    plan = replace(
        PLAN,
        waves=_waves(form),
        pace=pace(form),
        at_once=limit(form, "at_once", "At once"),
        stop_share=share(form),
    )
    gate_on = form.choice("gate_on", "A success is", [str(one) for one in GateOn], "confirmed")
    terms = Terms(
        zone=form.text("zone", "Time zone", max=128) or "UTC",
        condition=form.text("condition", "Condition", max=1000),
        first=form.text("first", "First", max=128),
        force_downgrade=form.flag("force_downgrade"),
        force_hardware=form.flag("force_hardware"),
        bytes_per_second=_number(form, "bytes_per_second", "Bytes a second", BYTES_PER_SECOND_MAX),
        jitter_ms=1000 * _number(form, "jitter_seconds", "Random delay", JITTER_MAX_MS // 1000),
        download_any_time=form.flag("download_any_time"),
    )
    begin, end = form.text("begin", "From"), form.text("end", "To")
    if bool(begin) != bool(end):
        form.wrong["end" if begin else "begin"] = "Give both times, or none."
    reason = form.text("reason", "Reason")
    form.check()
    terms = replace(terms, gate_on=GateOn(gate_on))
    if begin:
        terms = replace(terms, windows=(window_of(DAYS, begin, end),))
    # A reference may name releases of several tenants; the form has the number.
    release = call.service(Releases).get(call.who, str(row_number(number) or 0))
    made = call.service(Rollouts).create(
        call.who,
        NewRollout(
            str(release.id),
            _selection(release.tenant, kind, value),
            plan,
            terms,
            approval=form.flag("approval"),
            reason=reason,
        ),
    )
    said = "waits for the approval of somebody else" if made.approval.open else "is started"
    return call.redirect(
        f"/rollouts/{made.id}", f"The rollout {made.id} of {release.reference} {said}."
    )


def _selection(tenant: str, kind: str, value: str) -> Selector:
    return selector(
        tenant,
        names=value.replace(",", " ").split() if kind == "names" else None,
        everyone=kind == "all",
        where=value if kind == "where" else None,
        group=value if kind == "group" else None,
    )


def _waves(form: Form) -> tuple[float, ...]:
    text = form.text("waves", "Waves", max=100)
    if not text:
        return PLAN.waves
    try:
        return tuple(float(one) for one in text.replace("%", "").split(","))
    except ValueError:
        form.wrong["waves"] = "Use rising percentages that end with 100, such as 1, 10, 100."
        return PLAN.waves


def pace(form: Form) -> float | None:
    """Devices in a second; ``None``: as fast as possible."""
    found: float | None = form.number("pace", "Pace", ge=0, le=PACE_MAX, whole=False)
    return found or None


def limit(form: Form, name: str, label: str) -> int | None:
    """A number of devices; ``None``: nothing was typed, so there is no limit."""
    if not form.raw(name).strip():
        return None
    found: int | None = form.number(name, label, ge=1, le=NUMBER_MAX)
    return found


def _number(form: Form, name: str, label: str, most: int) -> int:
    """A whole number; 0: nothing was typed."""
    found: int | None = form.number(name, label, default=0, ge=0, le=most)
    return found or 0


def share(form: Form) -> float | None:
    """The share of failures that stops it, typed in percent; ``None``: nothing was typed."""
    if not form.raw("stop_percent").strip():
        return None
    found: float | None = form.number(
        "stop_percent", "Stops at failures", ge=0.1, le=100, whole=False
    )
    return None if found is None else found / 100


PAGE = Page("/rollouts", "Rollouts", view, "rollouts", nav=Nav("change", 40, "Rollouts", "r"))
PAGES = (PAGE,)
ACTIONS = (Action("/rollouts", start, PAGE),)
