"""``mooring device settings``: settings of one device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli import device as device_commands
from mooring.cli.assignments import patch_of, read_object, removal_of
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, iso
from mooring.cli.words import Limit, Reason
from mooring.durations import seconds_of
from mooring.later import later

with later():
    from mooring.device_settings import api, model, service

if TYPE_CHECKING:
    from mooring.device_settings.model import DeviceView
    from mooring.devices.model import Device

__all__ = ["app"]

app = noun("Settings of one device.")
device_commands.app.add_typer(app, name="settings")

Assignments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Settings, for example wifi.ssid=attic."),
]
FromFile = Annotated[
    Path | None,
    typer.Option("--file", help="File with a JSON object of settings; - is standard input."),
]
IfVersion = Annotated[
    str | None,
    typer.Option("--if-version", help="Change only this version, as `show` prints it."),
]
GuardFor = Annotated[
    str | None,
    typer.Option(
        "--guard",
        help="Take the change back unless the device confirms it in a new session within this "
        "time, for example 10m.",
    ),
]


@command(app, "show")
def show(session: Session, reference: device_commands.Reference) -> None:
    """Show what a device is to have, what it reports, and the state."""
    with session.open() as platform:
        found, view = platform.service(service.DeviceSettings).show(session.actor, reference)
    _say(session, found, view)


@command(app, "set")
def set_(
    session: Session,
    reference: device_commands.Reference,
    assignments: Assignments = None,
    *,
    file: FromFile = None,
    guard: GuardFor = None,
    if_version: IfVersion = None,
    reason: Reason = "",
) -> None:
    """Set settings of a device. Values are JSON, or else text."""
    patch = patch_of(assignments or (), None if file is None else read_object(file))
    _change(session, reference, patch, guard=guard, if_version=if_version, reason=reason)


@command(app, "unset")
def unset(
    session: Session,
    reference: device_commands.Reference,
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="Keys to remove.")],
    *,
    guard: GuardFor = None,
    if_version: IfVersion = None,
    reason: Reason = "",
) -> None:
    """Remove settings of a device, so that the levels above it decide again."""
    _change(session, reference, removal_of(keys), guard=guard, if_version=if_version, reason=reason)


@command(app, "history")
def history(session: Session, reference: device_commands.Reference, *, limit: Limit = 50) -> None:
    """List the versions of a device's settings, newest first."""
    with session.open() as platform:
        settings = platform.service(service.DeviceSettings)
        device, found = settings.history(session.actor, reference, limit=limit)
    if session.out.as_json:
        items = [{**api.history_document(one), "at": iso(one.at)} for one in found]
        session.out.document({"device": device.name, "versions": items})
        return
    session.out.table(
        ["Version", "Changed", "By", "Level", "Settings", "Reason"],
        [
            [
                one.version,
                ago(one.at),
                one.cause.actor,
                one.cause.what,
                json.dumps(one.document, ensure_ascii=False),
                one.cause.reason,
            ]
            for one in found
        ],
        right=["Version"],
        empty=f"{device.name} has no settings.",
    )


@command(app, "adopt")
def adopt(
    session: Session,
    reference: device_commands.Reference,
    *,
    if_version: IfVersion = None,
    reason: Reason = "",
) -> None:
    """Make the settings that a device reports its desired settings."""
    with session.open() as platform:
        settings = platform.service(service.DeviceSettings)
        found, view = settings.adopt(
            session.actor, reference, if_match=_versions(if_version), reason=reason
        )
    _say(session, found, view)


@command(app, "resend")
def resend(session: Session, reference: device_commands.Reference, *, reason: Reason = "") -> None:
    """Send the newest version again, also after the device has refused it too often."""
    with session.open() as platform:
        settings = platform.service(service.DeviceSettings)
        found, view = settings.resend(session.actor, reference, reason=reason)
    _say(session, found, view)


def _change(
    session: Session,
    reference: str,
    patch: dict[str, Any],
    *,
    guard: str | None,
    if_version: str | None,
    reason: str,
) -> None:
    change = model.Change(
        patch,
        if_match=_versions(if_version),
        guard_ms=0 if guard is None else int(seconds_of(guard) * 1000),
        reason=reason,
    )
    with session.open() as platform:
        settings = platform.service(service.DeviceSettings)
        found, view = settings.change(session.actor, reference, change)
    _say(session, found, view)


def _versions(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset({text})


def _say(session: Session, device: Device, view: DeviceView) -> None:
    document = api.document(device, view)
    reported = document["reported"]
    if session.out.as_json:
        for times in (document, reported, *([document["guard"]] if document["guard"] else [])):
            times |= {
                key: iso(times[key])
                for key in ("changed_at", "sent_at", "at", "until")
                if times.get(key) is not None
            }
        session.out.document({**document, "if_version": view.etag})
        return
    guard = document["guard"]
    facts: list[tuple[str, object]] = [
        ("device", device.reference),
        ("version", f"{document['version']}  (for --if-version: {view.etag})"),
        ("state", document["state_text"]),
        ("desired", _json(view.document)),
        ("own level", _json(view.own.document)),
        ("reported version", reported["version"] if reported["version"] is not None else "none"),
        ("reported", "nothing" if view.reported is None else _json(view.reported)),
    ]
    if view.differs:
        facts.append(("difference", "The device reports other settings than the desired ones."))
    if document["refused_because"]:
        facts.append(("refused because", document["refused_because"]))
    if guard is not None:
        facts.append(("guarded until", iso(guard["until"])))
    if document["problem"]:
        facts.append(("problem", document["problem"]))
    session.out.facts(facts)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
