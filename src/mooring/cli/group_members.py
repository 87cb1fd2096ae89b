"""``mooring group add``, ``drop`` and ``remove``: who is in a group."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.asking import told
from mooring.cli.device_import import read_table
from mooring.cli.frame import Session, command
from mooring.cli.group import DryRun, Name, OfTenant, app, tenant_of
from mooring.cli.words import Reason, Yes
from mooring.errors import Invalid
from mooring.later import later

with later():
    from mooring.bulk import sheet
    from mooring.groups import documents, selector
    from mooring.groups import service as groups

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.groups.model import MembersChanged
    from mooring.groups.selector import Selector

__all__ = ["add", "drop", "remove"]

APPLY_SECONDS = 120.0

Devices = Annotated[
    list[str] | None, typer.Argument(metavar="[DEVICE]...", help="Names of devices.")
]
Where = Annotated[
    str | None,
    typer.Option("--where", metavar="QUERY", help="All devices that meet this query now."),
]
Of = Annotated[str | None, typer.Option("--of", metavar="GROUP", help="All devices of a group.")]
All = Annotated[bool, typer.Option("--all", help="All devices of the tenant.")]
From = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="CSV file of devices with a column name."),
]


@command(app, "add")
def add(
    session: Session,
    name: Name,
    devices: Devices = None,
    *,
    tenant: OfTenant = None,
    where: Where = None,
    of: Of = None,
    every: All = False,
    file: From = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
) -> int | None:
    """Add devices to a static group."""
    selection = _selection(tenant_of(session, tenant), devices, where, of, file, every=every)
    with session.open() as platform:
        service = platform.service(groups.Groups)
        planned = service.add(session.actor, name, selection, dry_run=True)
        if dry_run or not _agreed(session, platform, planned, yes=yes):
            return _planned(session, planned, dry_run=dry_run)
        done = service.add(session.actor, name, selection, reason=reason)
        applied = told(platform, done.changes, APPLY_SECONDS)
    _say(session, done, f"added to {name}", applied=applied)
    return None


@command(app, "drop")
def drop(
    session: Session,
    name: Name,
    devices: Devices = None,
    *,
    tenant: OfTenant = None,
    where: Where = None,
    of: Of = None,
    every: All = False,
    file: From = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
) -> int | None:
    """Take devices out of a static group."""
    selection = _selection(tenant_of(session, tenant), devices, where, of, file, every=every)
    with session.open() as platform:
        service = platform.service(groups.Groups)
        planned = service.drop(session.actor, name, selection, dry_run=True)
        if dry_run or not _agreed(session, platform, planned, yes=yes):
            return _planned(session, planned, dry_run=dry_run)
        done = service.drop(session.actor, name, selection, reason=reason)
        applied = told(platform, done.changes, APPLY_SECONDS)
    _say(session, done, f"taken out of {name}", applied=applied)
    return None


@command(app, "remove")
def remove(
    session: Session,
    name: Name,
    *,
    tenant: OfTenant = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = "",
) -> int | None:
    """Remove a group. Its devices stay."""
    where = tenant_of(session, tenant)
    with session.open() as platform:
        service = platform.service(groups.Groups)
        planned = service.remove(session.actor, where, name, dry_run=True)
        if dry_run or not _agreed(session, platform, planned, yes=yes):
            return _planned(session, planned, dry_run=dry_run)
        done = service.remove(session.actor, where, name, reason=reason)
        applied = told(platform, done.changes, APPLY_SECONDS)
    _say(session, done, f"taken out of {name}, which is removed", applied=applied)
    return None


def _selection(
    tenant: str,
    devices: list[str] | None,
    where: str | None,
    of: str | None,
    file: Path | None,
    *,
    every: bool,
) -> Selector:
    """The devices that arguments and options select.

    Raises:
        Invalid: ``invalid_selector``: none or several ways are used.
    """
    ways = [bool(devices), where is not None, of is not None, file is not None, every]
    if sum(ways) != 1:
        raise Invalid(
            "No devices are selected." if not any(ways) else "Devices are selected twice.",
            hint="Use names of devices, or one of --where, --of, --from and --all.",
            code="invalid_selector",
        )
    names = None
    if devices or file is not None:
        found = devices or _names(file)
        names = tuple(dict.fromkeys(one.removeprefix(f"{tenant}:") for one in found))
    return selector.Selector(tenant, names, where, of)


def _names(file: Path | None) -> list[str]:
    if file is None:
        return []
    rows, wrong = sheet.parse(read_table(file), dialect="any")
    if wrong:
        raise Invalid(
            f"{len(wrong)} lines of {file} are invalid. Nothing was changed.\n{wrong[0]}",
            hint="Correct them and try again.",
            code="wrong_lines",
            lines=[{"line": one.line, "why": one.why} for one in wrong],
        )
    return [row.device.name for row in rows]


def _agreed(session: Session, platform: App, planned: MembersChanged, *, yes: bool) -> bool:
    """Asks before connections end."""
    if not planned.sessions:
        return True
    session.out.note(
        f"{planned.devices} devices change; {planned.rights} of them get other rights. "
        f"Up to {planned.sessions} connected devices are disconnected once and reconnect."
    )
    return session.confirm("Continue?", yes=yes)


def _planned(session: Session, planned: MembersChanged, *, dry_run: bool) -> int | None:
    if not dry_run:
        session.out.note("Nothing was changed.")
        return 1
    if session.out.as_json:
        session.out.document({**documents.members_document(planned), "applied_by_broker": None})
    else:
        session.out.say(
            f"{planned.devices} devices would change, {planned.rights} of them their rights; "
            f"up to {planned.sessions} connections would end."
        )
    return None


def _say(session: Session, done: MembersChanged, what: str, *, applied: bool) -> None:
    if session.out.as_json:
        session.out.document({**documents.members_document(done), "applied_by_broker": applied})
        return
    later = "" if applied else " The broker applies the changes when it runs."
    session.out.say(f"{done.devices} devices {what}.{later}")
