"""``mooring alert``: what needs somebody's attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, iso
from mooring.cli.words import Limit, Reason
from mooring.durations import seconds_of
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.alerts import documents, model, service, store

if TYPE_CHECKING:
    from mooring.alerts.model import Alert

__all__ = ["app"]

app = noun("Alerts of devices and of the platform.")

Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Number of the alert.")]


@command(app, "list")
def list_(
    session: Session,
    *,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", help="Only this state. Default: open alerts."),
    ] = None,
    severity: Annotated[
        str | None, typer.Option("--severity", help="Only alerts at least as severe.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Only alerts of this device.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="Only alerts of this tenant.")
    ] = None,
    assignee: Annotated[
        str | None, typer.Option("--assignee", help="Only alerts of this person.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """List alerts, the newest first."""
    wanted = store.Wanted(
        opened=None if state else True,
        states=tuple(_state(one) for one in state or ()),
        severity=None if severity is None else _severity(severity),
        tenant=tenant,
        assignee=assignee,
        limit=limit,
    )
    with session.open() as platform:
        found = platform.service(service.Alerts).listed(session.actor, wanted, device=device)
    if session.out.as_json:
        session.out.document({"alerts": [documents.alert_json(one) for one in found]})
        return
    session.out.table(
        ["Number", "Severity", "Device", "Alert", "State", "Raised", "Value", "Message"],
        [
            [
                one.id,
                one.severity.word,
                one.device or "",
                one.name,
                _state_words(one),
                ago(one.raised_at),
                one.value,
                one.message,
            ]
            for one in found
        ],
        right=["Number"],
        empty="No alerts.",
    )


@command(app, "show")
def show(session: Session, number: Number) -> None:
    """Show an alert with its history."""
    with session.open() as platform:
        found = platform.service(service.Alerts).get(session.actor, number)
    _print(session, found)


@command(app, "ack")
def ack(session: Session, number: Number, reason: Reason = "") -> None:
    """Acknowledge an alert."""
    with session.open() as platform:
        alerts = platform.service(service.Alerts)
        found = alerts.acknowledge(session.actor, number, reason=reason)
    _print(session, found)


@command(app, "clear")
def clear(session: Session, number: Number, reason: Reason = "") -> None:
    """Clear an alert. If its cause still exists, the next reading raises a new one."""
    with session.open() as platform:
        found = platform.service(service.Alerts).clear(session.actor, number, reason=reason)
    _print(session, found)


@command(app, "snooze")
def snooze(
    session: Session,
    number: Number,
    duration: Annotated[
        str, typer.Argument(metavar="DURATION", help="How long, for example 2h; 0 ends it.")
    ],
    reason: Reason = "",
) -> None:
    """Notify nobody of an alert for a time."""
    ms = 0 if duration in ("0", "0s") else round(seconds_of(duration) * 1000)
    with session.open() as platform:
        alerts = platform.service(service.Alerts)
        found = alerts.snooze(session.actor, number, ms, reason=reason)
    _print(session, found)


@command(app, "assign")
def assign(
    session: Session,
    number: Number,
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Name; '' for nobody.")],
    reason: Reason = "",
) -> None:
    """Make somebody responsible for an alert."""
    with session.open() as platform:
        alerts = platform.service(service.Alerts)
        found = alerts.assign(session.actor, number, person, reason=reason)
    _print(session, found)


@command(app, "severity")
def severity_(
    session: Session,
    number: Number,
    severity: Annotated[
        str, typer.Argument(metavar="SEVERITY", help="info, warning, error or critical.")
    ],
    reason: Reason = "",
) -> None:
    """Give an alert another severity."""
    with session.open() as platform:
        alerts = platform.service(service.Alerts)
        found = alerts.set_severity(session.actor, number, _severity(severity), reason=reason)
    _print(session, found)


@command(app, "comment")
def comment(
    session: Session,
    number: Number,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The comment.")],
) -> None:
    """Add a comment to an alert."""
    with session.open() as platform:
        found = platform.service(service.Alerts).comment(session.actor, number, text)
    _print(session, found)


def _print(session: Session, alert: Alert) -> None:
    if session.out.as_json:
        session.out.document(documents.alert_json(alert))
        return
    session.out.facts(
        [
            ("alert", f"{alert.name} ({alert.id})"),
            ("device", alert.device or "the platform"),
            ("severity", alert.severity.word),
            ("state", _state_words(alert)),
            ("message", alert.message),
            ("value", alert.value),
            ("raised", f"{iso(alert.raised_at)}, {alert.count} times"),
            *([("cleared", iso(alert.cleared_at))] if alert.cleared_at else []),
            *([("assigned to", alert.assignee)] if alert.assignee else []),
            ("source", str(alert.source)),
        ]
    )
    session.out.say()
    session.out.table(
        ["Time", "Event", "By", "Severity", "Detail"],
        [
            [
                iso(entry.at),
                entry.event + (" (late)" if entry.late else ""),
                entry.actor,
                entry.severity.word,
                entry.detail,
            ]
            for entry in alert.history
        ],
    )


def _state_words(alert: Alert) -> str:
    words = str(alert.state)
    if alert.snoozed:
        words += ", snoozed"
    return words + (", late" if alert.late else "")


def _severity(word: str) -> Any:
    for severity in model.Severity:
        if severity.word == word:
            return severity
    raise Invalid(
        f"{word!a:.60} is not a severity.",
        hint="Use info, warning, error or critical.",
        code="invalid_severity",
    )


def _state(word: str) -> Any:
    try:
        return model.State(word)
    except ValueError as exc:
        raise Invalid(
            f"{word!a:.60} is not a state of alerts.",
            hint=f"Use one of: {', '.join(model.State)}.",
            code="invalid_state",
        ) from exc
