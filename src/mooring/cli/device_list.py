"""``mooring device list`` and ``device count``."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.attributes import shown_value
from mooring.cli.frame import Session, command
from mooring.cli.output import ago
from mooring.cli.words import Limit
from mooring.durations import seconds_of
from mooring.later import later

with later():
    from mooring.devices.attributes import query
    from mooring.fleet import documents, model, service

if TYPE_CHECKING:
    from mooring.fleet.model import Filter, Listing

__all__ = ["declare"]

NO_DEVICES = "No devices yet. Add one with `mooring device add NAME --dialect mooring`."

OfTenant = Annotated[str | None, typer.Option("--tenant", help="Only this tenant.")]
OfDialect = Annotated[
    str | None, typer.Option("--dialect", "-d", help="Only devices of this dialect.")
]
Search = Annotated[
    str | None,
    typer.Option("--search", help="Part of a name, label, MAC address, username or address."),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="QUERY",
        help="Only devices that meet this query, such as type=pump or 'firmware < 1.4 and "
        "online'. May be repeated.",
    ),
]
OfGroup = Annotated[
    str | None, typer.Option("--group", help="Only devices of this group, static or dynamic.")
]
InState = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        help="Only devices in this state: online, silent, offline, connected, disabled … May be "
        "repeated; one must hold.",
    ),
]
OfFirmware = Annotated[
    list[str] | None,
    typer.Option("--firmware", help="Only this version; empty: none is known. May be repeated."),
]
SilentFor = Annotated[
    str | None,
    typer.Option("--silent-for", help="Only devices without a message for this long, such as 2h."),
]
WithProblem = Annotated[
    list[str] | None,
    typer.Option(
        "--problem",
        help="Only devices with this problem: any, alert, login, denied, dead_letter … May be "
        "repeated; one must hold.",
    ),
]


class ByWord(StrEnum):
    """``mooring.fleet.model.CountBy`` as an option value."""

    FIRMWARE = "firmware"
    DIALECT = "dialect"
    GROUP = "group"
    PRESENCE = "presence"
    TENANT = "tenant"


def list_(
    session: Session,
    *,
    tenant: OfTenant = None,
    dialect: OfDialect = None,
    search: Search = None,
    where: Where = None,
    group: OfGroup = None,
    state: InState = None,
    firmware: OfFirmware = None,
    silent_for: SilentFor = None,
    problem: WithProblem = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            help="name, dialect, firmware, presence, last_seen_at, added or an attribute; -NAME "
            "for the reverse order.",
        ),
    ] = None,
    limit: Limit = 50,
    after: Annotated[
        int, typer.Option("--after", min=0, help="Continue after the device with this number.")
    ] = 0,
    total: Annotated[
        bool, typer.Option("--total", help="Count the devices of the whole list.")
    ] = False,
) -> None:
    """List devices in the order they were added, or in another one."""
    wanted = _filter(
        session,
        tenant=tenant,
        dialect=dialect,
        search=search,
        where=where,
        group=group,
        state=state,
        firmware=firmware,
        silent_for=silent_for,
        problem=problem,
    )
    with session.open() as platform:
        found = platform.service(service.DeviceLists).page(
            session.actor,
            wanted,
            order=None if sort is None else query.order(sort),
            after=after or None,
            limit=limit,
            total=total,
        )
    last = found.rows[-1].device.id if found.more and found.rows else None
    if session.out.as_json:
        document = {
            "devices": [documents.row(one) for one in found.rows],
            "next_after": last,
        }
        session.out.document(document | ({"total": found.total} if total else {}))
        return
    _table(session, found, narrowed=wanted.narrowed or after > 0)
    if found.total is not None:
        session.out.note(f"{found.total:,} devices match.")
    if last is not None:
        session.out.note(
            f"More are available. --after {last} shows the next ones, or raise --limit."
        )


def count(
    session: Session,
    *,
    by: Annotated[ByWord, typer.Option("--by", help="What the devices are counted by.")],
    tenant: OfTenant = None,
    dialect: OfDialect = None,
    search: Search = None,
    where: Where = None,
    group: OfGroup = None,
    state: InState = None,
    firmware: OfFirmware = None,
    silent_for: SilentFor = None,
    problem: WithProblem = None,
) -> None:
    """Count devices by firmware, dialect, group, presence or tenant."""
    wanted = _filter(
        session,
        tenant=tenant,
        dialect=dialect,
        search=search,
        where=where,
        group=group,
        state=state,
        firmware=firmware,
        silent_for=silent_for,
        problem=problem,
    )
    how = model.CountBy(by.value)
    with session.open() as platform:
        found = platform.service(service.DeviceLists).counts(session.actor, how, wanted)
    if session.out.as_json:
        session.out.document(documents.counts(how, found))
        return
    session.out.table(
        [by.value.capitalize(), "Devices"],
        [["none" if one.value is None else one.value, one.devices] for one in found],
        right=["Devices"],
        empty="No matching devices." if wanted.narrowed else NO_DEVICES,
    )


def _filter(
    session: Session,
    *,
    tenant: str | None,
    dialect: str | None,
    search: str | None,
    where: list[str] | None,
    group: str | None,
    state: list[str] | None,
    firmware: list[str] | None,
    silent_for: str | None,
    problem: list[str] | None,
) -> Filter:
    if group is not None:  # its name means something in one tenant only
        tenant = tenant or session.actor.tenant or "default"
    return model.Filter(
        tenant,
        dialect,
        search or "",
        tuple(where or ()),
        tuple(state or ()),
        tuple(firmware or ()),
        group,
        None if silent_for is None else max(1, round(seconds_of(silent_for) * 1000)),
        tuple(problem or ()),
    )


def _table(session: Session, found: Listing, *, narrowed: bool) -> None:
    session.out.table(
        [
            *("Device", "Tenant", "State", "Last message", "Dialect", "Firmware", "Problems"),
            *("MAC", "Label", "Groups", "Type", "Tags", "Added"),
        ],
        [
            [
                *(d.name, d.tenant, one.presence.replace("_", " ")),
                "" if one.last_seen_at is None else ago(one.last_seen_at),
                d.dialect,
                *(one.firmware, ", ".join(p.replace("_", " ") for p in one.problems)),
                *(d.mac, d.label, ", ".join(d.groups)),
                *(shown_value(one.attributes, "type"), shown_value(one.attributes, "tags")),
                ago(d.created_at),
            ]
            for one in found.rows
            for d in (one.device,)
        ],
        empty="No matching devices." if narrowed else NO_DEVICES,
        optional=("Firmware", "Problems", "MAC", "Label", "Groups", "Type", "Tags"),
    )


def declare(app: typer.Typer) -> None:
    """Adds the commands."""
    both: tuple[tuple[str, Callable[..., None]], ...] = (("list", list_), ("count", count))
    for name, function in both:
        command(app, name)(function)
