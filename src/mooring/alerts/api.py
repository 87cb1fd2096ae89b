"""Routes of alerts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import Field

from mooring.alerts.answers import AlertOut, Severities, States
from mooring.alerts.documents import alert_document
from mooring.alerts.model import Severity, State
from mooring.alerts.service import Alerts
from mooring.alerts.store import Wanted
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Line, Reason, Word
from mooring.web.paging import PageOf, Paging, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router", "severity_word"]

router = Routes(prefix="/api/v1", tags=["alerts"])

AlertsNow = Annotated[Alerts, provided(Alerts)]
Number = Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of the alert.")]


class SnoozeIn(Document):
    seconds: float = Field(ge=0, le=2_592_000, description="0 ends the snooze.")
    reason: Reason = ""


class AssignIn(Document):
    assignee: Line = Field(description="Empty: nobody.")
    reason: Reason = ""


class SeverityIn(Document):
    severity: Severities
    reason: Reason = ""


class CommentIn(Document):
    text: Annotated[str, Field(min_length=1, max_length=1000)]


def severity_word(word: str) -> Severity:
    return Severity[word.upper()]


def _page(
    alerts: Alerts, who: Who, paging: Paging, wanted: Wanted, device: str | None
) -> PageOf[dict[str, Any]]:
    rows = alerts.listed(who, wanted, device=device)
    return paging.cut([alert_document(one) for one in rows], lambda item: (item["number"],))


@router.get("/alerts", response_model=PageOf[AlertOut])
def list_alerts(
    *,
    alerts: AlertsNow,
    who: Who,
    paging: PagingDep,
    states: Annotated[
        list[States] | None,
        Query(alias="state", description="Only these states. Default: open alerts."),
    ] = None,
    severity: Annotated[
        Severities | None, Query(description="Only alerts at least as severe.")
    ] = None,
    tenant: Annotated[Word | None, Query(description="Only alerts of this tenant.")] = None,
    device: Annotated[Line | None, Query(description="Only alerts of this device.")] = None,
    assignee: Annotated[Line | None, Query(description="Only alerts of this person.")] = None,
) -> PageOf[dict[str, Any]]:
    """Lists alerts, the newest first."""
    key = paging.key(int)
    wanted = Wanted(
        opened=None if states else True,
        states=tuple(State(one) for one in states or ()),
        severity=None if severity is None else severity_word(severity),
        tenant=tenant,
        assignee=assignee,
        before=None if key is None else int(key[0]),
        limit=paging.limit + 1,
    )
    return _page(alerts, who, paging, wanted, device)


@router.get("/devices/{device}/alerts", response_model=PageOf[AlertOut])
def list_alerts_of_device(
    alerts: AlertsNow, who: Who, device: DeviceReference, paging: PagingDep
) -> PageOf[dict[str, Any]]:
    """Lists open and cleared alerts of a device, the newest first."""
    key = paging.key(int)
    before = None if key is None else int(key[0])
    wanted = Wanted(opened=None, before=before, limit=paging.limit + 1)
    return _page(alerts, who, paging, wanted, device)


@router.get("/alerts/{number}", response_model=AlertOut)
def show_alert(alerts: AlertsNow, who: Who, number: Number) -> dict[str, Any]:
    """Returns an alert with its history."""
    return alert_document(alerts.get(who, number))


@router.post("/alerts/{number}/acknowledge", response_model=AlertOut)
def acknowledge_alert(
    alerts: AlertsNow, who: Who, number: Number, reason: Reason = ""
) -> dict[str, Any]:
    """Acknowledges an alert."""
    return alert_document(alerts.acknowledge(who, number, reason=reason))


@router.post("/alerts/{number}/clear", response_model=AlertOut)
def clear_alert(alerts: AlertsNow, who: Who, number: Number, reason: Reason = "") -> dict[str, Any]:
    """Clears an alert. If its cause still exists, the next reading raises a new one."""
    return alert_document(alerts.clear(who, number, reason=reason))


@router.post("/alerts/{number}/snooze", response_model=AlertOut)
def snooze_alert(alerts: AlertsNow, who: Who, number: Number, given: SnoozeIn) -> dict[str, Any]:
    """Notifies nobody of an alert for a time."""
    ms = round(given.seconds * 1000)
    return alert_document(alerts.snooze(who, number, ms, reason=given.reason))


@router.post("/alerts/{number}/assign", response_model=AlertOut)
def assign_alert(alerts: AlertsNow, who: Who, number: Number, given: AssignIn) -> dict[str, Any]:
    """Makes somebody responsible for an alert."""
    return alert_document(alerts.assign(who, number, given.assignee, reason=given.reason))


@router.post("/alerts/{number}/severity", response_model=AlertOut)
def set_alert_severity(
    alerts: AlertsNow, who: Who, number: Number, given: SeverityIn
) -> dict[str, Any]:
    """Gives an alert another severity."""
    severity = severity_word(given.severity)
    return alert_document(alerts.set_severity(who, number, severity, reason=given.reason))


@router.post("/alerts/{number}/comments", response_model=AlertOut)
def comment_on_alert(
    alerts: AlertsNow, who: Who, number: Number, given: CommentIn
) -> dict[str, Any]:
    """Adds a comment to an alert."""
    return alert_document(alerts.comment(who, number, given.text))
