"""``mooring device rotate``, ``disable`` and ``enable``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli import device as device_commands
from mooring.cli import many
from mooring.cli.frame import Session, command
from mooring.cli.output import clean
from mooring.cli.words import Reason, Yes
from mooring.durations import seconds_of
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.changes import waiting
    from mooring.credentials.rotation import documents
    from mooring.devices import documents as device_documents
    from mooring.jobs import service

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.credentials.rotation.model import Rotation
    from mooring.devices.model import Device

__all__: list[str] = []

LOOK_SECONDS = 0.2


@command(device_commands.app, "rotate")
def rotate(
    session: Session,
    reference: Annotated[
        str | None,
        typer.Argument(metavar="DEVICE", help="Device. Use the options below to select several."),
    ] = None,
    *,
    everyone: Annotated[bool, typer.Option("--all", help="Select every device.")] = False,
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="Select devices of this tenant.")
    ] = None,
    dialect: Annotated[
        str | None, typer.Option("--dialect", "-d", help="Select devices of this dialect.")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", help="Select devices with passwords older than this, such as 90d."
        ),
    ] = None,
    pace: Annotated[str, typer.Option("--pace", help="Rate at which rotations start.")] = "10/s",
    compromised: Annotated[
        bool,
        typer.Option("--compromised", help="Do not let the old password recover the device later."),
    ] = False,
    stop_after: many.StopAfter = None,
    wait: Annotated[
        str, typer.Option("--wait", help="How long to wait for completion. 0s does not wait.")
    ] = "60s",
    no_wait: many.NoWait = False,
    reason: Reason = "",
    yes: Yes = False,
) -> int | None:
    """Give devices new passwords. A rotation completes when the device has used the new
    password. Several devices are a job: see `mooring job`."""
    several = everyone or tenant is not None or dialect is not None or older_than is not None
    if several == (reference is not None):
        raise Invalid(
            "No devices were selected.",
            hint="Give one DEVICE, or select several with --all, --tenant, --dialect or "
            "--older-than.",
            code="which_devices",
        )
    seconds = 0.0 if no_wait or wait.strip() in {"0", "0s"} else seconds_of(wait)
    plan = many.plan_of(pace, stop_after=stop_after)
    with session.open() as platform:
        if reference is not None:
            device = platform.devices.get(session.actor, reference)
            begun = platform.rotations.start(
                session.actor, device, reason=reason, keep_old=not compromised
            )
            if begun.again:
                session.out.note("A rotation is already in progress. Its state:")
            found = _follow(session, platform, begun.rotation.id, seconds)
            return _one(session, device, found or begun.rotation)
        if not session.confirm("Give all these devices new passwords?", yes=yes):
            session.out.note("Nothing was rotated.")
            return 1
        age = seconds_of(older_than) if older_than else 0
        what = {"older_than_seconds": age, "keep_old": not compromised}
        jobs = [
            platform.service(service.Jobs).start(
                session.actor,
                many.new_job(
                    "rotation",
                    what,
                    many.selector_of(one, **many.of_dialect(dialect)),
                    plan,
                    reason,
                ),
            )
            for one in _tenants(session, platform, tenant, dialect, age_ms=int(age * 1000))
        ]
        if not jobs and not session.out.as_json:
            session.out.say("No devices to rotate.")
            return 0
        if seconds:
            jobs = many.follow(session, platform, jobs, seconds)
        return many.report(session, platform, jobs, waited=bool(seconds))


@command(device_commands.app, "disable")
def disable(session: Session, reference: device_commands.Reference, *, reason: Reason = "") -> None:
    """Disable a device. Its session ends, and it cannot connect until it is enabled."""
    _set_enabled(session, reference, reason, enabled=False)


@command(device_commands.app, "enable")
def enable(session: Session, reference: device_commands.Reference, *, reason: Reason = "") -> None:
    """Enable a device. It connects with its current password."""
    _set_enabled(session, reference, reason, enabled=True)


def _tenants(
    session: Session, platform: App, tenant: str | None, dialect: str | None, *, age_ms: int
) -> list[str]:
    """Tenants with devices to rotate: each gets a job of its own."""
    names = [tenant] if tenant is not None else platform.people.tenants(session.actor)
    return [
        name
        for name in names
        if platform.rotations.candidates(
            session.actor, tenant=name, dialect=dialect, older_than_ms=age_ms, limit=1
        )
    ]


def _follow(session: Session, platform: App, number: str, seconds: float) -> Rotation | None:
    """Waits until it completes or the time is over; its state."""
    deadline = time.monotonic() + seconds
    with session.out.progress("Settled", 1) as report:
        while True:
            found = platform.rotations.by_ids([number])
            over = sum(rotation.phase.over for rotation in found)
            report(over)
            if over == len(found) or time.monotonic() >= deadline:
                return found[0] if found else None
            time.sleep(LOOK_SECONDS)


def _one(session: Session, device: Device, rotation: Rotation) -> int:
    settled = rotation.phase == "settled"
    if session.out.as_json:
        session.out.document(documents.rotation(device.name, device.tenant, rotation))
    elif settled:
        session.out.say(f"{clean(device.reference)} uses its new password.")
    elif rotation.phase.over:
        session.out.say(
            f"{clean(device.reference)} keeps its old password: {clean(rotation.outcome)}."
        )
    else:
        session.out.say(
            f"{clean(device.reference)}: {rotation.phase}. It continues in the background. Run "
            f"this command again to see its state."
        )
    return 0 if settled or not rotation.phase.over else 1


def _set_enabled(session: Session, reference: str, reason: str, *, enabled: bool) -> None:

    with session.open() as platform:
        device, changes = platform.devices.set_enabled(
            session.actor, reference, enabled=enabled, reason=reason
        )
        applied = waiting.wait_for_broker(platform.database, changes)
    if session.out.as_json:
        session.out.document(
            {"device": device_documents.device(device), "applied_by_broker": applied}
        )
        return
    state, verb = ("enabled", "accept") if enabled else ("disabled", "reject")
    told = f"The broker {verb}s it." if applied else f"The broker will {verb} it when it runs."
    session.out.say(f"{clean(device.reference)} is {state}. {told}")
