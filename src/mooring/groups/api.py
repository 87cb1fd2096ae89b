"""Routes of groups."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import Field, StringConstraints
from starlette.concurrency import run_in_threadpool

from mooring.devices.api import DeviceOut
from mooring.devices.attributes.language import QUERY_MAX
from mooring.devices.documents import device as device_document
from mooring.errors import Invalid
from mooring.groups.documents import document, members_document
from mooring.groups.model import MembersChanged, NewGroup
from mooring.groups.selector import NAMES_MAX, Selector
from mooring.groups.service import DESCRIPTION_MAX, PRIORITY_MAX, Groups
from mooring.identity.actor import Actor
from mooring.web.auth import Who
from mooring.web.fields import Document, Line, Reason, Time, Word
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided
from mooring.web.watching import Watch

__all__ = ["router"]

ACCEPTANCE_SECONDS = 2.0

router = Routes(prefix="/api/v1/groups", tags=["groups"])

GroupsNow = Annotated[Groups, provided(Groups)]
GroupName = Annotated[str, Path(min_length=1, max_length=128, description="Name of the group.")]
OfTenant = Annotated[
    Word | None, Query(description="Tenant of the group. Default: that of the login.")
]
DryRun = Annotated[bool, Query(description="Check and count, and change nothing.")]
QueryText = Annotated[str, StringConstraints(min_length=1, max_length=QUERY_MAX)]
Priority = Annotated[int, Field(ge=-PRIORITY_MAX, le=PRIORITY_MAX)]
Description = Annotated[Line, StringConstraints(max_length=DESCRIPTION_MAX)]


class GroupOut(Document):
    """A group of devices."""

    group: str
    tenant: str
    dynamic: bool
    query: str | None = Field(description="Of a dynamic group; null: it is static.")
    description: str
    priority: int = Field(description="Settings of the group with the higher priority win.")
    devices: int | None = Field(description="Null in a list: the query was not evaluated.")
    created_at: Time
    created_by: str


class GroupIn(Document):
    """A group to create."""

    name: Word
    tenant: Word | None = None
    query: QueryText | None = Field(None, description="Makes it dynamic.")
    description: Description = ""
    priority: Priority = 0
    reason: Reason = ""


class GroupPatch(Document):
    """What changes of a group; what is missing stays."""

    query: QueryText | None = None
    description: Description | None = None
    priority: Priority | None = None
    reason: Reason = ""


class Selection(Document):
    """Which devices: by names, by a query, by another group, or all of the tenant."""

    devices: Annotated[list[Word], Field(max_length=NAMES_MAX)] | None = None
    where: QueryText | None = None
    group: Word | None = None
    all: bool = False
    reason: Reason = ""


class MembersOut(Document):
    """What a change of members did, or with `dry_run` would do."""

    devices: int = Field(description="Devices added or removed.")
    rights_changed: int = Field(description="How many of them may use other topics.")
    sessions_ended: int = Field(
        description="How many connections end at most because of that: Mosquitto 2.1 with Dynamic "
        "Security ends those of devices whose rights change."
    )
    applied_by_broker: bool | None = Field(description="Null with `dry_run`.")


def _tenant(who: Actor, tenant: str | None) -> str:
    return tenant or who.tenant or "default"


def _selector(selection: Selection, tenant: str) -> Selector:
    if not (selection.devices or selection.where or selection.group or selection.all):
        raise Invalid(
            "No devices are selected.",
            hint="Use devices, where, group or all.",
            code="invalid_selector",
        )
    names = None if selection.devices is None else tuple(selection.devices)
    if selection.all and (names or selection.where or selection.group):
        raise Invalid(
            "All devices and some of them are selected.",
            hint="Use one of devices, where, group and all.",
            code="invalid_selector",
        )
    return Selector(tenant, names, selection.where, selection.group)


@router.get("", response_model=PageOf[GroupOut])
def list_groups(
    groups: GroupsNow, who: Who, paging: PagingDep, tenant: OfTenant = None
) -> PageOf[dict[str, Any]]:
    """Lists the groups of a tenant, sorted by name."""
    (after,) = paging.key(str) or ("",)
    found = groups.page(who, _tenant(who, tenant), after=str(after), limit=paging.limit + 1)
    return paging.cut([document(one) for one in found], lambda one: (str(one["group"]),))


@router.post("", status_code=201, response_model=GroupOut)
def create_group(
    groups: GroupsNow, who: Who, group: GroupIn, *, dry_run: DryRun = False
) -> dict[str, Any]:
    """Creates a group and counts its devices."""
    new = NewGroup(
        group.name, _tenant(who, group.tenant), group.query, group.description, group.priority
    )
    return document(groups.create(who, new, dry_run=dry_run, reason=group.reason))


@router.get("/{group}", response_model=GroupOut)
def show_group(
    groups: GroupsNow, who: Who, group: GroupName, tenant: OfTenant = None
) -> dict[str, Any]:
    """Returns a group and the number of its devices."""
    return document(groups.show(who, _tenant(who, tenant), group))


@router.patch("/{group}", response_model=GroupOut)
def change_group(
    *,
    groups: GroupsNow,
    who: Who,
    group: GroupName,
    new: GroupPatch,
    tenant: OfTenant = None,
    dry_run: DryRun = False,
) -> dict[str, Any]:
    """Changes a group and counts its devices."""
    changed = groups.change(
        who,
        _tenant(who, tenant),
        group,
        query=new.query,
        description=new.description,
        priority=new.priority,
        dry_run=dry_run,
        reason=new.reason,
    )
    return document(changed)


@router.delete("/{group}", response_model=MembersOut)
async def remove_group(
    *,
    groups: GroupsNow,
    who: Who,
    watch: Watch,
    group: GroupName,
    tenant: OfTenant = None,
    dry_run: DryRun = False,
) -> dict[str, Any]:
    """Removes a group. Its devices stay, without the rights that it gave them."""
    done = await run_in_threadpool(groups.remove, who, _tenant(who, tenant), group, dry_run=dry_run)
    return await _answer(watch, done, dry_run=dry_run)


@router.get("/{group}/members", response_model=PageOf[DeviceOut])
def list_members(
    groups: GroupsNow, who: Who, paging: PagingDep, group: GroupName, tenant: OfTenant = None
) -> PageOf[dict[str, Any]]:
    """Lists the devices of a group, static or dynamic."""
    (after,) = paging.key(int) or (0,)
    found = groups.members(
        who, _tenant(who, tenant), group, after=int(after), limit=paging.limit + 1
    )
    return paging.cut([device_document(one) for one in found], lambda one: (int(one["id"]),))


@router.post("/{group}/members", response_model=MembersOut)
async def add_members(
    *,
    groups: GroupsNow,
    who: Who,
    watch: Watch,
    group: GroupName,
    selection: Selection,
    tenant: OfTenant = None,
    dry_run: DryRun = False,
) -> dict[str, Any]:
    """Adds devices to a static group."""
    selector = _selector(selection, _tenant(who, tenant))
    done = await run_in_threadpool(
        groups.add, who, group, selector, dry_run=dry_run, reason=selection.reason
    )
    return await _answer(watch, done, dry_run=dry_run)


@router.post("/{group}/members/remove", response_model=MembersOut)
async def remove_members(
    *,
    groups: GroupsNow,
    who: Who,
    watch: Watch,
    group: GroupName,
    selection: Selection,
    tenant: OfTenant = None,
    dry_run: DryRun = False,
) -> dict[str, Any]:
    """Takes devices out of a static group."""
    selector = _selector(selection, _tenant(who, tenant))
    done = await run_in_threadpool(
        groups.drop, who, group, selector, dry_run=dry_run, reason=selection.reason
    )
    return await _answer(watch, done, dry_run=dry_run)


async def _answer(watch: Watch, done: MembersChanged, *, dry_run: bool) -> dict[str, Any]:
    applied = None
    if not dry_run:
        applied = await watch.applied(list(done.changes), ACCEPTANCE_SECONDS)
    return {**members_document(done), "applied_by_broker": applied}
