"""``mooring device``: devices and their credentials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli import device_import, device_list
from mooring.cli.attributes import AttributeOption, given, show_attributes
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, clean
from mooring.cli.words import Limit, PasswordStdin, Reason, Yes, read_password
from mooring.later import later

with later():
    from mooring.alerts import service as alerts_service
    from mooring.alerts import store as alert_store
    from mooring.broker import access_rules
    from mooring.broker import address as broker_place
    from mooring.changes import waiting
    from mooring.device_settings import rules, service
    from mooring.devices import documents
    from mooring.devices import model as devices_model
    from mooring.dialects import snippets as device_lines
    from mooring.store import engine
    from mooring.telemetry import documents as telemetry_documents
    from mooring.web import address as access_address

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.device_settings.model import DeviceView
    from mooring.devices.model import Credentials
    from mooring.devices.state import DeviceState
    from mooring.dialects.snippets import Snippets

__all__ = ["app"]

app = noun("Devices and their credentials.")
device_import.declare(app)

ACCEPTANCE_SECONDS = 5.0
PASSWORD_HERE = "YOUR_PASSWORD"  # noqa: S105

Reference = Annotated[
    str,
    typer.Argument(
        metavar="DEVICE", help="Name, tenant:name, username or MAC address of the device."
    ),
]


@command(app, "add")
def add(
    session: Session,
    name: Annotated[str, typer.Argument(help="Device ID used in topics.")],
    *,
    dialect: Annotated[str, typer.Option("--dialect", "-d", help="Dialect the device speaks.")],
    tenant: Annotated[
        str, typer.Option("--tenant", help="Tenant that owns the device.")
    ] = "default",
    mac: Annotated[str | None, typer.Option("--mac", help="MAC address of the device.")] = None,
    label: Annotated[str, typer.Option("--label", help="Label for people.")] = "",
    group: Annotated[
        list[str] | None, typer.Option("--group", help="Group of the device. May be repeated.")
    ] = None,
    username: Annotated[
        str | None,
        typer.Option("--username", help="Username it has already. Default: as its dialect has it."),
    ] = None,
    password_stdin: PasswordStdin = False,
    attribute: AttributeOption = None,
) -> None:
    """Add a device. The password is printed only once, with commands to paste."""
    password = read_password(from_stdin=password_stdin)
    with session.open() as platform:
        groups, held = tuple(group or ()), given(attribute)
        new = devices_model.NewDevice(name, dialect, tenant, label, mac, groups, username, held)
        credentials, changes = platform.devices.add(session.actor, new, password=password)
        accepted, running = _wait_for_broker(platform, changes)
        device = credentials.device
        address = broker_place.broker_address(platform.settings)
        lines = device_lines.snippets(
            platform.catalogue.get(device.dialect),
            device.identity,
            device_lines.Login(
                device.client_id,
                device.username,
                PASSWORD_HERE if password is not None else credentials.password,
            ),
            address,
            engine.now_ms(),
        )
        if session.out.as_json:
            told = access_address.told_to_devices(platform.settings)
            broker = asdict(address) | {"ca_pem": told["broker"]["ca_pem"]}
            document = documents.credentials(credentials, accepted, broker, told["http"])
            session.out.document(document | ({"password": None} if password is not None else {}))
        else:
            follows = _follows(accepted, running, "accept")
            session.out.say(
                _credentials_text(credentials, follows, lines, generated=password is None)
            )


device_list.declare(app)


@command(app, "show")
def show(session: Session, reference: Reference) -> None:
    """Show a device with its attributes, topics and last known state."""
    with session.open() as platform:
        device, held = platform.attributes.of(session.actor, reference)
        topics = platform.devices.topics(device)
        state = platform.states.of(session.actor, device)
        _, view = platform.service(service.DeviceSettings).show(session.actor, device.username)
        alerts = platform.service(alerts_service.Alerts).listed(
            session.actor, alert_store.Wanted(device_id=device.id)
        )
    if session.out.as_json:
        shown = documents.details(device, held, topics, state)
        session.out.document(shown | {"settings": _settings_document(view)})
        return
    session.out.facts(
        [
            ("device", device.name),
            ("tenant", device.tenant),
            ("dialect", device.dialect),
            *([("label", device.label)] if device.label else []),
            *([("MAC", device.mac)] if device.mac else []),
            *([("groups", ", ".join(device.groups))] if device.groups else []),
            ("username", device.username),
            ("client id", device.client_id),
            ("enabled", "yes" if device.enabled else "no"),
            ("added", ago(device.created_at)),
            *_state_facts(state),
            *_settings_facts(view),
        ]
    )
    show_attributes(session, held)
    if alerts:
        session.out.say()
        session.out.table(
            ["Alert", "Severity", "Name", "State", "Raised", "Value"],
            [
                [one.id, one.severity.word, one.name, one.state, ago(one.raised_at), one.value]
                for one in alerts
            ],
            right=["Alert"],
        )
    session.out.say()
    session.out.table(["Kind", "Topic"], list(topics.items()), empty="The device has no topics.")


@command(app, "remove")
def remove(
    session: Session, reference: Reference, *, reason: Reason = "", yes: Yes = False
) -> int | None:
    """Remove a device. Its session ends and its password is rejected."""
    with session.open() as platform:
        device = platform.devices.get(session.actor, reference)
        if not session.confirm(f"Permanently remove {clean(device.reference)}?", yes=yes):
            session.out.note("Nothing was removed.")
            return 1
        _, changes = platform.devices.remove(session.actor, device.username, reason=reason)
        applied, running = _wait_for_broker(platform, changes)
    if session.out.as_json:
        session.out.document({"removed": documents.device(device), "applied_by_broker": applied})
        return None
    session.out.say(f"Removed {clean(device.reference)}. {_follows(applied, running, 'reject')}")
    return None


@command(app, "topics")
def topics_(session: Session, reference: Reference) -> None:
    """Print a device's topics by kind."""
    with session.open() as platform:
        device = platform.devices.get(session.actor, reference)
        topics = platform.devices.topics(device)
        channels = platform.catalogue.get(device.dialect).channels
    if session.out.as_json:
        session.out.document(documents.topics(device, topics))
        return
    told = {c.name: c for c in channels} | {str(c.kind): c for c in reversed(channels)}
    session.out.table(
        ["Kind", "Direction", "QoS", "Topic"],
        [[kind, told[kind].direction, told[kind].qos, topic] for kind, topic in topics.items()],
        empty="The device has no topics.",
    )


class Does(StrEnum):
    """Access to a topic."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


DENIALS = {
    "no_right": "no topic filter of its dialect covers it",
    "reserved": "only the platform itself may use it",
    "invalid_topic": "it is not a valid topic",
    "locked": "the device is disabled",
    "unknown_username": "the broker knows no such account",
}


@command(app, "can")
def can(
    session: Session,
    reference: Reference,
    action: Annotated[Does, typer.Argument(help="Access to check: publish or subscribe.")],
    topic: Annotated[str, typer.Argument(help="Topic, or topic filter for subscribe.")],
) -> int:
    """Check whether a device may publish or subscribe to a topic, and which rule decides."""
    with session.open() as platform:
        device = platform.devices.get(session.actor, reference)
        verdict = platform.devices.may(device, access_rules.Action(action.value), topic)
    if session.out.as_json:
        session.out.document(documents.can(device, action.value, topic, verdict))
    else:
        why = f"the filter {verdict.rule} covers it"
        if verdict.reason is not None:
            why = DENIALS[verdict.reason]
        word = "may" if verdict.allowed else "may not"
        session.out.say(clean(f"{device.reference} {word} {action.value} to {topic}: {why}."))
    return 0 if verdict.allowed else 1


@command(app, "unknown")
@command(app, "strangers", hidden=True)  # the former name
def unknown_devices(session: Session, *, limit: Limit = 50) -> None:
    """List unknown devices: they publish but were never added. Their messages are dead letters."""
    with session.open() as platform:
        page = platform.telemetry.strangers(session.actor, limit=limit)
    if session.out.as_json:
        session.out.document(
            {
                "strangers": [telemetry_documents.unknown_device(one) for one in page.items],
                "more": page.next is not None,
            }
        )
        return
    session.out.table(
        ["Device", "Tenant", "Dialect", "Messages", "Last seen", "Last topic"],
        [
            [s.name, s.tenant, s.dialect, s.messages, ago(s.last_seen_at), s.last_topic]
            for s in page.items
        ],
        right=["Messages"],
        empty="No unknown devices.",
    )
    if page.items:
        session.out.note("To add one: mooring device add NAME --dialect D --tenant T")
    if page.next is not None:
        session.out.note("More are available. Raise --limit.")


# ---------------------------------------------------------------------- what is printed


def _settings_document(view: DeviceView) -> dict[str, object]:
    record = view.row.record
    return {
        "version": record.version,
        "state": str(record.state),
        "state_text": rules.label(record.state, reports=view.reports),
        "refused_because": record.words,
    }


def _settings_facts(view: DeviceView) -> list[tuple[str, object]]:
    """Version and state, and the device's words where it has refused them."""
    record = view.row.record
    if not record.version:
        return []
    words = f": {clean(record.words)}" if record.words else ""
    said = rules.label(record.state, reports=view.reports)
    return [("settings", f"version {record.version}, {said}{words}")]


def _state_facts(state: DeviceState) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [("last seen", ago(state.last_seen_at))]
    if state.online is not None:
        said = "online" if state.online else "offline"
        facts.append(("says it is", f"{said}, {ago(state.online_at)}"))
    if state.connected is not None:
        there = "connected" if state.connected else "not connected"
        place = f" from {state.address}" if state.connected and state.address else ""
        facts.append(("broker", f"{there}{place}, {ago(state.connected_at)}"))
    if state.firmware:
        facts.append(("firmware", state.firmware))
    facts += [(f"  {name}", value) for name, value in sorted(state.metadata.items())]
    return facts


def _credentials_text(
    credentials: Credentials, follows: str, lines: Snippets, *, generated: bool
) -> str:
    device = credentials.device
    parts = [
        f"Added {clean(device.reference)}. {follows}",
        "",
        f"  username   {clean(device.username)}",
        f"  password   {credentials.password if generated else 'the one you gave'}",
        f"  client id  {clean(device.client_id)}",
        "",
        "The password is shown only once and is not stored."
        if generated
        else f"Replace {PASSWORD_HERE} with it below.",
    ]
    for title, text in (
        ("Send a message:", lines.publish),
        ("Listen:", lines.subscribe),
        ("Python (pip install paho-mqtt):", lines.python),
        ("ESP32 (Arduino, PubSubClient):", lines.esp32),
    ):
        if text:
            parts += ["", title, "", text]  # not indented: it is to be pasted
    return "\n".join(parts)


def _follows(applied: bool, running: bool, verb: str) -> str:
    if applied:
        return f"The broker {verb}s it."
    if running:
        return (
            f"The broker did not confirm within {ACCEPTANCE_SECONDS:g} s that it {verb}s it. See "
            f"`mooring status`."
        )
    return f"The broker will {verb} it when it runs. Start it with `mooring up`."


def _wait_for_broker(platform: App, changes: Sequence[int]) -> tuple[bool, bool]:
    """Whether the broker has applied the changes, and whether a process is running that applies
    them."""
    running = waiting.broker_runs(platform.database)
    applied = waiting.wait_applied(
        platform.database, changes, ACCEPTANCE_SECONDS if running else 0.0
    )
    return applied, running
