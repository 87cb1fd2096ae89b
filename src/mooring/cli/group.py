"""``mooring group``: groups of devices."""

from __future__ import annotations

from typing import Annotated

import typer

from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago
from mooring.cli.words import Limit, Reason
from mooring.later import later

with later():
    from mooring.devices import documents as device_documents
    from mooring.groups import documents, model
    from mooring.groups import service as groups

__all__ = ["DryRun", "Name", "OfTenant", "app"]

app = noun("Groups of devices.")

Name = Annotated[str, typer.Argument(metavar="GROUP", help="Name of the group.")]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="Tenant of the group.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and count, and change nothing.")]
Query = Annotated[
    str | None,
    typer.Option(
        "--query",
        metavar="QUERY",
        help="Query of a dynamic group, such as 'type = pump and firmware < 1.4.0'.",
    ),
]
Priority = Annotated[
    int | None,
    typer.Option("--priority", help="Settings of the group with the higher priority win."),
]
Description = Annotated[str | None, typer.Option("--description", help="Description for people.")]


def tenant_of(session: Session, tenant: str | None) -> str:
    """The tenant that is meant."""
    return tenant or session.actor.tenant or "default"


@command(app, "create")
def create(
    session: Session,
    name: Name,
    *,
    tenant: OfTenant = None,
    query: Query = None,
    description: Description = None,
    priority: Priority = None,
    dry_run: DryRun = False,
    reason: Reason = "",
) -> None:
    """Create a static group, or with --query a dynamic one."""
    new = model.NewGroup(name, tenant_of(session, tenant), query, description or "", priority or 0)
    with session.open() as platform:
        made = platform.service(groups.Groups).create(
            session.actor, new, dry_run=dry_run, reason=reason
        )
    if session.out.as_json:
        session.out.document(documents.document(made))
        return
    matches = f" {_devices(made.devices or 0)} match now." if query is not None else ""
    if dry_run:
        session.out.say(f"The group {name} can be created.{matches}")
    else:
        session.out.say(f"The group {name} is created.{matches}")


@command(app, "list")
def list_(
    session: Session,
    *,
    tenant: OfTenant = None,
    limit: Limit = 50,
    after: Annotated[str, typer.Option("--after", help="Continue after this group.")] = "",
) -> None:
    """List the groups of a tenant."""
    with session.open() as platform:
        found = platform.service(groups.Groups).page(
            session.actor, tenant_of(session, tenant), after=after, limit=limit + 1
        )
    shown, more = found[:limit], len(found) > limit
    if session.out.as_json:
        session.out.document(
            {
                "groups": [documents.document(one) for one in shown],
                "next_after": shown[-1].group.name if more else None,
            }
        )
        return
    session.out.table(
        ["Group", "Devices", "Query", "Priority", "Description"],
        [
            [
                one.group.name,
                "" if one.devices is None else one.devices,
                one.group.query or "",
                one.group.priority or "",
                one.group.description,
            ]
            for one in shown
        ],
        empty="No groups.",
        right=["Devices", "Priority"],
        optional=("Query", "Priority", "Description"),
    )
    if more:
        session.out.note(f"More are available. --after {shown[-1].group.name} shows the next ones.")


@command(app, "show")
def show(session: Session, name: Name, *, tenant: OfTenant = None) -> None:
    """Show a group and the number of its devices."""
    with session.open() as platform:
        found = platform.service(groups.Groups).show(
            session.actor, tenant_of(session, tenant), name
        )
    if session.out.as_json:
        session.out.document(documents.document(found))
        return
    group = found.group
    session.out.facts(
        [
            ("group", group.name),
            ("tenant", group.tenant),
            ("kind", "static" if group.query is None else "dynamic"),
            *([("query", group.query)] if group.query is not None else []),
            ("devices", f"{found.devices:,}"),
            ("priority", str(group.priority)),
            *([("description", group.description)] if group.description else []),
            ("created", f"{ago(group.created_at)} by {group.created_by}"),
        ]
    )


@command(app, "set")
def set_(
    session: Session,
    name: Name,
    *,
    tenant: OfTenant = None,
    query: Query = None,
    description: Description = None,
    priority: Priority = None,
    dry_run: DryRun = False,
    reason: Reason = "",
) -> None:
    """Change the description or the priority of a group, or the query of a dynamic one."""
    with session.open() as platform:
        changed = platform.service(groups.Groups).change(
            session.actor,
            tenant_of(session, tenant),
            name,
            query=query,
            description=description,
            priority=priority,
            dry_run=dry_run,
            reason=reason,
        )
    if session.out.as_json:
        session.out.document(documents.document(changed))
    elif dry_run:
        session.out.say(f"{name} would have {_devices(changed.devices or 0)}.")
    else:
        session.out.say(f"{name} is changed. It has {_devices(changed.devices or 0)}.")


@command(app, "members")
def members(
    session: Session,
    name: Name,
    *,
    tenant: OfTenant = None,
    limit: Limit = 50,
    after: Annotated[
        int, typer.Option("--after", min=0, help="Continue after the device with this number.")
    ] = 0,
) -> None:
    """List the devices of a group, static or dynamic."""
    with session.open() as platform:
        found = platform.service(groups.Groups).members(
            session.actor, tenant_of(session, tenant), name, after=after, limit=limit + 1
        )
    shown, more = found[:limit], len(found) > limit
    if session.out.as_json:
        session.out.document(
            {
                "devices": [device_documents.device(one) for one in shown],
                "next_after": shown[-1].id if more else None,
            }
        )
        return
    session.out.table(
        ["Device", "Dialect", "Label", "Groups"],
        [[one.name, one.dialect, one.label, ", ".join(one.groups)] for one in shown],
        empty="No devices in this group.",
        optional=("Label",),
    )
    if more:
        session.out.note(f"More are available. --after {shown[-1].id} shows the next ones.")


def _devices(number: int) -> str:
    return "1 device" if number == 1 else f"{number:,} devices"
