"""Alerts: which are open, and acknowledging, clearing, snoozing and assigning them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mooring.alerts.model import Alert, Severity, State
from mooring.alerts.service import Alerts
from mooring.alerts.store import Wanted
from mooring.dashboard.answers import Redirect
from mooring.dashboard.call import Call
from mooring.dashboard.data import newer
from mooring.dashboard.forms import row_number
from mooring.dashboard.page import Action, Nav, Page
from mooring.errors import Invalid, NotFound

__all__ = ["ACTIONS", "LOOK", "PAGES", "SEVERITY"]

LISTED = 50
COMMENT_MAX = 1000
HOUR_MS = 3_600_000
SNOOZE = {"1h": "1 hour", "4h": "4 hours", "1d": "1 day", "7d": "7 days"}
SNOOZE_MS = {"1h": HOUR_MS, "4h": 4 * HOUR_MS, "1d": 24 * HOUR_MS, "7d": 168 * HOUR_MS}
SHOWN = {"": "Open", "all": "All", "cleared": "Cleared"}

SEVERITY = {
    Severity.INFO: ("off", "Info"),
    Severity.WARNING: ("warn", "Warning"),
    Severity.ERROR: ("bad", "Error"),
    Severity.CRITICAL: ("bad", "Critical"),
}
LOOK = {
    State.RAISED: ("warn", "Raised"),
    State.ACKNOWLEDGED: ("off", "Acknowledged"),
    State.CLEARED: ("ok", "Cleared"),
}


def view(call: Call) -> dict[str, Any]:
    """The newest first."""
    shown = call.query.choice("show", tuple(SHOWN))
    severity = call.query.choice("severity", [one.name.lower() for one in Severity])
    device = call.query.text("device")
    before = call.query.number("before", 0)
    service = call.service(Alerts)
    found = service.listed(
        call.who,
        Wanted(
            opened=newer.ALERTS[shown],
            severity=Severity[severity.upper()] if severity else None,
            before=before or None,
            limit=LISTED + 1,
        ),
        device=device or None,
    )
    rows = found[:LISTED]
    more = call.query.with_(before=rows[-1].id) if len(found) > LISTED else ""
    return {
        "alerts": [(one, _address(one)) for one in rows],
        "counts": [
            (number, *SEVERITY[one], one.name.lower())
            for one, number in service.open_by_severity(call.who).items()
        ],
        "shown": shown,
        "choices": SHOWN,
        "severity": severity,
        "severities": [(one.name.lower(), SEVERITY[one][1]) for one in Severity],
        "device": device,
        "more": more,
        "newer": ""
        if before
        else newer.topic("alerts", [("show", shown), ("severity", severity), ("device", device)]),
        "since": rows[0].id if rows else 0,
        "severity_look": SEVERITY,
        "look": LOOK,
    }


def device_address(reference: str | None) -> str:
    """The page of an alert's device; empty for an alert of the platform."""
    return f"/devices/{quote(reference, safe=':')}" if reference else ""


def _address(alert: Alert) -> str:
    return "" if alert.device_id is None else device_address(alert.device)


def show(call: Call) -> dict[str, Any]:
    """One alert with its history."""
    alert = call.service(Alerts).get(call.who, _number(call))
    return {
        "title": f"Alert {alert.id}: {alert.name}",
        "alert": alert,
        "href": _address(alert),
        "severity_look": SEVERITY,
        "look": LOOK[alert.state],
        "address": f"/alerts/{alert.id}",
        "snooze": list(SNOOZE.items()),
        "severities": [(one.name.lower(), SEVERITY[one][1]) for one in Severity],
        "asleep": alert.snoozed_until is not None and alert.snoozed_until > call.now,
    }


def acknowledge(call: Call) -> Redirect:
    """Somebody looks after it."""
    return _done(call, call.service(Alerts).acknowledge(call.who, _number(call)).id, "acknowledged")


def clear(call: Call) -> Redirect:
    """It is over. If its cause still exists, the next reading raises a new one."""
    return _done(call, call.service(Alerts).clear(call.who, _number(call)).id, "cleared")


def snooze(call: Call) -> Redirect:
    """Nobody is notified for a time."""
    chosen = call.form.choice("time", "Time", SNOOZE, "1h")
    call.form.check()
    found = call.service(Alerts).snooze(call.who, _number(call), SNOOZE_MS[chosen])
    return _done(call, found.id, f"snoozed for {SNOOZE[chosen]}")


def assign(call: Call) -> Redirect:
    """Somebody is responsible; empty: nobody."""
    person = call.form.text("assignee", "Person", max=128)
    call.form.check()
    found = call.service(Alerts).assign(call.who, _number(call), person)
    return _done(call, found.id, f"assigned to {person}" if person else "assigned to nobody")


def severity(call: Call) -> Redirect:
    """Another severity."""
    chosen = call.form.choice("severity", "Severity", [one.name.lower() for one in Severity])
    call.form.check()
    found = call.service(Alerts).set_severity(call.who, _number(call), Severity[chosen.upper()])
    return _done(call, found.id, f"given the severity {chosen}")


def comment(call: Call) -> Redirect:
    """A remark in its history."""
    text = call.form.text("text", "Comment", needed=True, max=COMMENT_MAX, area=True)
    call.form.check()
    found = call.service(Alerts).comment(call.who, _number(call), text)
    return _done(call, found.id, "commented on")


def _number(call: Call) -> int:
    found = row_number(call.path["number"])
    if found is None:
        raise NotFound("There is no such alert.", code="alert_not_found")
    return found


def _done(call: Call, number: int, what: str) -> Redirect:
    return call.redirect(f"/alerts/{number}", f"The alert was {what}.")


def many(call: Call) -> Redirect:
    """Acknowledges or clears the ticked ones."""
    do = call.form.choice("do", "Action", ("acknowledge", "clear"))
    ticked = dict.fromkeys(map(row_number, call.form.many("number")))
    numbers = [one for one in ticked if one is not None][:LISTED]
    call.form.check()
    if not numbers:
        raise Invalid("No alert is ticked.", hint="Tick the alerts first.", code="nothing_ticked")
    service = call.service(Alerts)
    for number in numbers:
        if do == "acknowledge":
            service.acknowledge(call.who, number)
        else:
            service.clear(call.who, number)
    word = "acknowledged" if do == "acknowledge" else "cleared"
    alerts = "1 alert was" if len(numbers) == 1 else f"{len(numbers)} alerts were"
    return call.redirect("/alerts", f"{alerts} {word}.")


PAGE = Page("/alerts", "Alerts", view, "alerts", nav=Nav("fleet", 30, "Alerts", "a"))
ONE = Page("/alerts/{number}", "Alert", show, "alert", place="/alerts")
PAGES = (PAGE, ONE)
ACTIONS = (
    Action("/alerts", many, PAGE),
    Action("/alerts/{number}/acknowledge", acknowledge, ONE),
    Action("/alerts/{number}/clear", clear, ONE),
    Action("/alerts/{number}/snooze", snooze, ONE),
    Action("/alerts/{number}/assign", assign, ONE),
    Action("/alerts/{number}/severity", severity, ONE),
    Action("/alerts/{number}/comment", comment, ONE),
)
