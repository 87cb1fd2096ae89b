"""``mooring device rotate``, ``disable`` and ``enable``."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli import device as device_commands
from mooring.cli.duration import seconds_of
from mooring.cli.frame import Session, command
from mooring.cli.output import clean, iso
from mooring.cli.words import Reason, Yes
from mooring.errors import Invalid, MooringError
from mooring.later import later

with later():
    from mooring.changes import waiting

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.credentials.rotation.model import Rotation
    from mooring.devices.model import Device

__all__ = ["pace_of"]

LOOK_SECONDS = 0.2
PAGE = 500


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
    wait: Annotated[
        str, typer.Option("--wait", help="How long to wait for completion. 0s does not wait.")
    ] = "60s",
    reason: Reason = "",
    yes: Yes = False,
) -> int | None:
    """Give devices new passwords. A rotation completes when the device has used the new
    password."""
    several = everyone or tenant is not None or dialect is not None or older_than is not None
    if several == (reference is not None):
        raise Invalid(
            "No devices were selected.",
            hint="Give one DEVICE, or select several with --all, --tenant, --dialect or "
            "--older-than.",
            code="which_devices",
        )
    seconds = 0.0 if wait.strip() in {"0", "0s"} else seconds_of(wait)
    per_second = pace_of(pace)
    with session.open() as platform:
        if reference is not None:
            device = platform.devices.get(session.actor, reference)
            begun = platform.rotations.start(
                session.actor, device, reason=reason, keep_old=not compromised
            )
            if begun.again:
                session.out.note("A rotation is already in progress. Its state:")
            found = _follow(session, platform, [begun.rotation.id], seconds)
            return _one(session, device, found[0] if found else begun.rotation)
        if not session.confirm("Give all these devices new passwords?", yes=yes):
            session.out.note("Nothing was rotated.")
            return 1
        age = int(seconds_of(older_than) * 1000) if older_than else 0
        numbers = list(_candidates(session, platform, tenant, dialect, age))
        ids, refused = _begin(
            session, platform, numbers, per_second, reason=reason, keep_old=not compromised
        )
        return _many(session, _follow(session, platform, ids, seconds), refused)


@command(device_commands.app, "disable")
def disable(session: Session, reference: device_commands.Reference, *, reason: Reason = "") -> None:
    """Disable a device. Its session ends, and it cannot connect until it is enabled."""
    _set_enabled(session, reference, reason, enabled=False)


@command(device_commands.app, "enable")
def enable(session: Session, reference: device_commands.Reference, *, reason: Reason = "") -> None:
    """Enable a device. It connects with its current password."""
    _set_enabled(session, reference, reason, enabled=True)


def pace_of(text: str) -> float:
    """``10/s``, ``100/min``, ``500/h``: how many in a second.

    Raises:
        Invalid: it has another form.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)/(\d*[a-z]+)", text.strip().lower(), re.ASCII)
    if found is None or float(found[1]) <= 0:
        raise Invalid(
            f"{text[:40]!a} is not a valid rate.",
            hint="Use a number and a unit, for example 10/s or 100/min.",
            code="invalid_pace",
        )
    each = found[2] if found[2][0].isdigit() else f"1{found[2]}"
    return float(found[1]) / seconds_of(each)


def _candidates(
    session: Session, platform: App, tenant: str | None, dialect: str | None, age_ms: int
) -> Iterator[int]:
    after = 0
    while True:
        page = platform.rotations.candidates(
            session.actor,
            tenant=tenant,
            dialect=dialect,
            older_than_ms=age_ms,
            limit=PAGE,
            after=after,
        )
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1]


def _begin(
    session: Session,
    platform: App,
    numbers: list[int],
    per_second: float,
    *,
    reason: str,
    keep_old: bool,
) -> tuple[list[str], list[dict[str, str]]]:
    """Starts one after the other; returns rotation ids and failures."""
    ids: list[str] = []
    refused: list[dict[str, str]] = []
    started = time.monotonic()
    with session.out.progress("Beginning", len(numbers)) as report:
        for done, number in enumerate(numbers, 1):
            device = platform.devices.numbered(session.actor, number)
            if device is not None:
                try:
                    begun = platform.rotations.start(
                        session.actor, device, reason=reason, keep_old=keep_old
                    )
                except MooringError as exc:  # this one cannot be; the others can
                    refused.append(
                        {"device": device.reference, "code": exc.slug, "message": exc.message}
                    )
                else:
                    ids.append(begun.rotation.id)
            report(done)
            pause = started + done / per_second - time.monotonic()
            if pause > 0 and done < len(numbers):
                time.sleep(pause)
    return ids, refused


def _follow(session: Session, platform: App, ids: list[str], seconds: float) -> list[Rotation]:
    """Waits until they complete or the time is over; returns their states."""
    deadline = time.monotonic() + seconds
    with session.out.progress("Settled", len(ids)) as report:
        while True:
            found = platform.rotations.by_ids(ids)
            over = sum(rotation.phase.over for rotation in found)
            report(over)
            if over == len(found) or time.monotonic() >= deadline:
                return found
            time.sleep(LOOK_SECONDS)


def _one(session: Session, device: Device, rotation: Rotation) -> int:
    settled = rotation.phase == "settled"
    if session.out.as_json:
        session.out.document({"device": device.name, **_document(rotation)})
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


def _many(session: Session, found: list[Rotation], refused: list[dict[str, str]]) -> int:
    count: dict[str, int] = {}
    for rotation in found:
        word = str(rotation.phase) if rotation.phase.over else "in progress"
        count[word] = count.get(word, 0) + 1
    if session.out.as_json:
        session.out.document(
            {"rotations": [_document(r) for r in found], "count": count, "refused": refused}
        )
    else:
        session.out.table(
            ["State", "Devices"],
            [[word, number] for word, number in sorted(count.items())],
            empty="No devices to rotate.",
            right=["Devices"],
        )
        for one in refused[:20]:
            session.out.note(f"{clean(one['device'])}: {clean(one['message'])}")
    failed = count.get("rolled_back", 0) + count.get("cancelled", 0) + len(refused)
    return 1 if failed else 0


def _document(rotation: Rotation) -> dict[str, Any]:
    return {
        "id": rotation.id,
        "phase": str(rotation.phase),
        "over": rotation.phase.over,
        "outcome": rotation.outcome,
        "reason": rotation.reason,
        "requested_by": rotation.actor,
        "created_at": iso(rotation.created_at),
        "finished_at": iso(rotation.finished_at),
        "sends": rotation.sends,
        "changes": rotation.flips,
    }


def _set_enabled(session: Session, reference: str, reason: str, *, enabled: bool) -> None:

    with session.open() as platform:
        device, changes = platform.devices.set_enabled(
            session.actor, reference, enabled=enabled, reason=reason
        )
        applied = waiting.wait_for_broker(platform.database, changes)
    if session.out.as_json:
        session.out.document(
            {"device": device_commands.device_document(device), "applied_by_broker": applied}
        )
        return
    state, verb = ("enabled", "accept") if enabled else ("disabled", "reject")
    told = f"The broker {verb}s it." if applied else f"The broker will {verb} it when it runs."
    session.out.say(f"{clean(device.reference)} is {state}. {told}")
