"""``mooring notify``: recipients of notifications."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, iso
from mooring.cli.schedule import schedule_document
from mooring.cli.words import Limit, Reason, Yes
from mooring.durations import seconds_of
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.notify import documents, model, service

if TYPE_CHECKING:
    from mooring.notify.model import Notification, Recipient
    from mooring.notify.service import Added

__all__ = ["app"]

app = noun("Recipients of notifications of alerts.")

TEST_SECONDS = 40.0

Name = Annotated[str, typer.Argument(metavar="RECIPIENT", help="Name or number of the recipient.")]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the recipient.")]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="Tenant of the recipient.")]
SeverityOption = Annotated[
    str | None,
    typer.Option("--severity", help="Only alerts at least as severe. Default: warning."),
]
AlertOption = Annotated[
    list[str] | None,
    typer.Option("--alert", metavar="NAME", help="Only alerts of this name; * fits anything."),
]
DeviceOption = Annotated[
    list[str] | None,
    typer.Option("--device", metavar="NAME", help="Only this device; * fits anything."),
]
QuietOption = Annotated[
    list[str] | None,
    typer.Option(
        "--quiet",
        metavar="TIMES",
        help="When only critical alerts are sent: 'mon-fri 22:00-06:00 Europe/Berlin', or none.",
    ),
]
Wait = Annotated[
    str | None,
    typer.Option(
        "--wait", metavar="DURATION", help="How long a first alert waits for others. Default: 30s."
    ),
]
Interval = Annotated[
    str | None,
    typer.Option(
        "--interval", metavar="DURATION", help="Least time between notifications. Default: 5m."
    ),
]
Repeat = Annotated[
    str | None,
    typer.Option(
        "--repeat", metavar="DURATION", help="When an open alert is sent again. Default: 4h."
    ),
]
Cleared = Annotated[
    bool | None, typer.Option("--cleared/--no-cleared", help="Whether the end of alerts is sent.")
]
Private = Annotated[
    bool | None,
    typer.Option("--private/--no-private", help="Allow addresses of private networks."),
]
OfPlatform = Annotated[
    bool | None,
    typer.Option("--platform/--no-platform", help="Also alerts of the platform itself."),
]


@command(app, "add")
def add(
    session: Session,
    name: NewName,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="URL: https://… of a webhook, or an Apprise URL (mailto://…)."
        ),
    ],
    *,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", help="apprise, webhook or alertmanager. Default: by the scheme of TARGET."
        ),
    ] = None,
    severity: SeverityOption = None,
    alert: AlertOption = None,
    device: DeviceOption = None,
    quiet: QuietOption = None,
    wait: Wait = None,
    interval: Interval = None,
    repeat: Repeat = None,
    cleared: Cleared = None,
    private: Private = None,
    platform: OfPlatform = None,
    tenant: OfTenant = None,
    reason: Reason = "",
) -> None:
    """Add a recipient. It is notified of alerts raised from then on."""
    options = _options(severity, alert, device, quiet, wait, interval, repeat, cleared)
    with session.open() as app_:
        added = app_.service(service.Recipients).add(
            session.actor,
            name,
            _kind(kind, target),
            target,
            options=options,
            private=bool(private),
            platform=bool(platform),
            tenant=tenant,
            reason=reason,
        )
    _print_added(session, added)


@command(app, "list")
def list_(session: Session, *, tenant: OfTenant = None, limit: Limit = 200) -> None:
    """List recipients."""
    with session.open() as app_:
        recipients = app_.service(service.Recipients)
        found = recipients.listed(session.actor, tenant=tenant, limit=limit)
    if session.out.as_json:
        session.out.document({"recipients": [documents.recipient_json(one) for one in found]})
        return
    session.out.table(
        ["Number", "Tenant", "Recipient", "Kind", "Target", "State", "Sent", "Failures", "Error"],
        [
            [
                one.id,
                one.tenant,
                one.name,
                one.kind,
                one.target,
                "on" if one.enabled else "off",
                ago(one.last_sent_at),
                one.failures,
                one.last_error if one.failures else "",
            ]
            for one in found
        ],
        right=["Number", "Failures"],
        empty="No recipients.",
    )


@command(app, "show")
def show(session: Session, name: Name, *, tenant: OfTenant = None) -> None:
    """Show a recipient."""
    with session.open() as app_:
        found = app_.service(service.Recipients).get(session.actor, name, tenant=tenant)
    if session.out.as_json:
        session.out.document(documents.recipient_json(found))
        return
    _print(session, found)


@command(app, "set")
def set_(
    session: Session,
    name: Name,
    *,
    target: Annotated[
        str | None, typer.Option("--target", metavar="URL", help="Another target.")
    ] = None,
    severity: SeverityOption = None,
    alert: AlertOption = None,
    device: DeviceOption = None,
    quiet: QuietOption = None,
    wait: Wait = None,
    interval: Interval = None,
    repeat: Repeat = None,
    cleared: Cleared = None,
    on: Annotated[
        bool | None, typer.Option("--on/--off", help="Switch the recipient on or off.")
    ] = None,
    private: Private = None,
    platform: OfPlatform = None,
    renew_secret: Annotated[
        bool, typer.Option("--renew-secret", help="Make another secret for a webhook.")
    ] = False,
    tenant: OfTenant = None,
    reason: Reason = "",
) -> None:
    """Change a recipient."""
    options = _options(severity, alert, device, quiet, wait, interval, repeat, cleared)
    with session.open() as app_:
        changed = app_.service(service.Recipients).change(
            session.actor,
            name,
            target=target,
            options=options or None,
            enabled=on,
            private=private,
            platform=platform,
            renew_secret=renew_secret,
            tenant=tenant,
            reason=reason,
        )
    _print_added(session, changed)


@command(app, "remove")
def remove(
    session: Session, name: Name, *, tenant: OfTenant = None, yes: Yes = False, reason: Reason = ""
) -> None:
    """Remove a recipient with its history."""
    if not session.confirm(f"Remove the recipient {name}?", yes=yes):
        return
    with session.open() as app_:
        recipients = app_.service(service.Recipients)
        gone = recipients.remove(session.actor, name, tenant=tenant, reason=reason)
    if session.out.as_json:
        session.out.document({"removed": gone.name, "tenant": gone.tenant})
        return
    session.out.say(f"Removed the recipient {gone.name}.")


@command(app, "test")
def test(session: Session, name: Name, *, tenant: OfTenant = None, reason: Reason = "") -> int:
    """Send a test notification and wait for its outcome. Needs a running `mooring worker`."""
    with session.open() as app_:
        recipients = app_.service(service.Recipients)
        recipient, made = recipients.test(session.actor, name, tenant=tenant, reason=reason)
        until = time.monotonic() + TEST_SECONDS
        while not _is_tried(made) and time.monotonic() < until:
            time.sleep(0.2)
            made = recipients.notification(session.actor, recipient, made.id)
    if session.out.as_json:
        session.out.document(documents.notification_json(made))
    elif made.state is model.State.SENT:
        session.out.say(f"Sent to {recipient.target}.")
    elif _is_tried(made):
        session.out.say(f"Not sent to {recipient.target}: {made.last_error}.")
    else:
        session.out.say("Not sent yet. Check with `mooring status` that a worker runs.")
    return 0 if made.state is model.State.SENT else 1


def _is_tried(made: Notification) -> bool:
    return made.state is not model.State.WAITING or bool(made.last_error)


@command(app, "history")
def history(session: Session, name: Name, *, tenant: OfTenant = None, limit: Limit = 50) -> None:
    """List notifications of a recipient, the newest first."""
    with session.open() as app_:
        recipients = app_.service(service.Recipients)
        found = recipients.history(session.actor, name, tenant=tenant, limit=limit)
    if session.out.as_json:
        made = [documents.notification_json(one) for one in found]
        session.out.document({"notifications": made})
        return
    session.out.table(
        ["Number", "Made", "State", "Attempts", "Alerts", "Title", "Error"],
        [
            [
                one.id,
                ago(one.created_at),
                one.state,
                one.attempts,
                one.alerts,
                one.title,
                one.last_error,
            ]
            for one in found
        ],
        right=["Number", "Attempts", "Alerts"],
        empty="No notifications.",
        optional=["Error"],
    )


# ---------------------------------------------------------------------- inside


def _print_added(session: Session, added: Added) -> None:
    if session.out.as_json:
        document = documents.recipient_json(added.recipient)
        session.out.document({**document, "secret": added.secret or None})
        return
    _print(session, added.recipient)
    if added.secret:
        session.out.say(
            f"\nSecret: {added.secret}\nIt signs each notification. It is shown only once."
        )


def _print(session: Session, found: Recipient) -> None:
    options = found.options
    quiet = documents.recipient_document(found)["options"]["quiet"]
    session.out.facts(
        [
            ("recipient", f"{found.name} ({found.id})"),
            ("tenant", found.tenant),
            ("kind", found.kind),
            ("target", found.target),
            ("state", "on" if found.enabled else f"off {found.why_off}".strip()),
            ("severity", f"{model.word_of(options.severity)} or worse"),
            ("alerts", ", ".join(options.alerts) or "all"),
            ("devices", ", ".join(options.devices) or "all"),
            *[("quiet", _quiet_words(one)) for one in quiet],
            ("waits", f"{options.wait_seconds} s"),
            ("interval", f"{options.interval_seconds} s"),
            ("repeats after", f"{options.repeat_seconds} s"),
            ("end of alerts", "sent" if options.cleared else "not sent"),
            ("private addresses", "allowed" if found.private else "not allowed"),
            ("alerts of the platform", "yes" if found.platform else "no"),
            ("last sent", iso(found.last_sent_at) or "never"),
            ("failures in a row", found.failures),
            *([("last error", found.last_error)] if found.last_error else []),
        ]
    )


def _quiet_words(quiet: dict[str, Any]) -> str:
    return f"{','.join(quiet['days'])} {quiet['from']}-{quiet['to']} {quiet['zone']}"


def _kind(word: str | None, target: str) -> Any:
    if word is None:
        return model.Kind.WEBHOOK if target.startswith(("https:", "http:")) else model.Kind.APPRISE
    try:
        return model.Kind(word)
    except ValueError as exc:
        raise Invalid(
            f"{word!a:.60} is not a kind of recipient.",
            hint=f"Use one of: {', '.join(model.Kind)}.",
            code="invalid_recipient",
        ) from exc


def _options(
    severity: str | None,
    alert: list[str] | None,
    device: list[str] | None,
    quiet: list[str] | None,
    wait: str | None,
    interval: str | None,
    repeat: str | None,
    cleared: bool | None,
) -> dict[str, Any]:
    """Those that were given, as a document."""
    given: dict[str, Any] = {
        "severity": severity,
        "alerts": _names(alert),
        "devices": _names(device),
        "quiet": None if not quiet else [schedule_document(one) for one in quiet if one != "none"],
        "wait_seconds": _seconds(wait),
        "interval_seconds": _seconds(interval),
        "repeat_seconds": _seconds(repeat),
        "cleared": cleared,
    }
    return {key: value for key, value in given.items() if value is not None}


def _names(given: list[str] | None) -> list[str] | None:
    """An empty name alone: all."""
    return None if not given else [one for one in given if one]


def _seconds(given: str | None) -> float | None:
    if given is None:
        return None
    return 0 if given in ("0", "0s") else seconds_of(given)
