"""Routes of lists of devices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request
from pydantic import Field, StringConstraints

from mooring.devices.api import DeviceListed
from mooring.devices.attributes.query import Place, order
from mooring.fleet import documents
from mooring.fleet.kept import KeptMaps
from mooring.fleet.model import VALUES_MAX, CountBy, Filter
from mooring.fleet.service import DeviceLists
from mooring.fleet.spots import CLOSEST_ZOOM, Box
from mooring.web.auth import Who
from mooring.web.fields import Document, Line, Time, Word
from mooring.web.paging import PageOf, Paging, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1", tags=["devices"])

ListsNow = Annotated[DeviceLists, provided(DeviceLists)]
Version = Annotated[str, StringConstraints(max_length=128)]

StateName = Literal[
    "never_seen",
    "online",
    "silent",
    "updating",
    "offline",
    "flapping",
    "connected",
    "disconnected",
    "enabled",
    "disabled",
]
ProblemName = Literal[
    "alert",
    "login",
    "denied",
    "dead_letter",
    "missing",
    "rotation",
    "certificate",
    "settings",
    "silent",
]


class DeviceRowOut(DeviceListed):
    """A device in a list: its attributes, whether it is there, its last message and its
    problems."""

    presence: Literal["never_seen", "online", "silent", "updating", "offline", "flapping"]
    presence_since: Time | None
    last_seen_at: Time | None
    connected: bool | None
    address: str | None
    firmware: str | None
    problems: list[ProblemName]


class DevicePageOut(PageOf[DeviceRowOut]):
    """A page of a list of devices."""

    total: int | None = Field(description="Devices of the whole list; null without `total`.")


class CountOut(Document):
    """The number of devices with a value; null: devices without one."""

    value: str | None
    devices: int


class CountsOut(Document):
    """Numbers of devices, the most frequent value first; at most 200."""

    by: CountBy
    counts: list[CountOut]


def _filter(
    *,
    tenant: Word | None = None,
    dialect: Word | None = None,
    search: Annotated[
        Line,
        Query(description="Part of a name, label, MAC address, username or network address."),
    ] = "",
    where: Annotated[
        list[Line] | None,
        Query(
            max_length=100,
            description="Query, such as `type=pump` or `firmware < 1.4 and not online`. May be "
            "repeated; all must hold.",
        ),
    ] = None,
    state: Annotated[
        list[StateName] | None,
        Query(max_length=VALUES_MAX, description="One of these states. May be repeated."),
    ] = None,
    firmware: Annotated[
        list[Version] | None,
        Query(
            max_length=VALUES_MAX,
            description="One of these versions; empty: none is known. May be repeated.",
        ),
    ] = None,
    group: Annotated[
        Word | None,
        Query(description="Static or dynamic group, of `tenant` or of the tenant of the login."),
    ] = None,
    silent_for: Annotated[
        float | None,
        Query(gt=0, le=315_360_000, description="No message for this long, in seconds."),
    ] = None,
    problem: Annotated[
        list[ProblemName | Literal["any"]] | None,
        Query(max_length=VALUES_MAX, description="One of these problems. May be repeated."),
    ] = None,
) -> Filter:
    return Filter(
        tenant,
        dialect,
        search,
        tuple(where or ()),
        tuple(state or ()),
        tuple(firmware or ()),
        group,
        None if silent_for is None else max(1, round(silent_for * 1000)),
        tuple(problem or ()),
    )


FilterDep = Annotated[Filter, Depends(_filter)]


@router.get("/devices", response_model=DevicePageOut)
def list_devices(
    *,
    lists: ListsNow,
    who: Who,
    paging: PagingDep,
    wanted: FilterDep,
    sort: Annotated[
        Line | None,
        Query(
            description="`name`, `dialect`, `firmware`, `presence` (what needs attention first), "
            "`last_seen_at`, `added` or an attribute, with `-` before it in reverse order. "
            "Default: the order in which devices were added."
        ),
    ] = None,
    total: Annotated[bool, Query(description="Count the devices of the whole list.")] = False,
) -> dict[str, Any]:
    """Lists devices. Devices without the value to sort by come last."""
    ordered = None if sort is None else order(sort)
    found = lists.page(
        who,
        wanted,
        order=ordered,
        after=_place(paging, sort is not None),
        limit=paging.limit,
        total=total,
    )
    following = None
    if found.more and found.rows:
        key, number = found.rows[-1].place
        following = (number,) if ordered is None else (_key(key), key or "", number)
    page = paging.page([documents.row(one) for one in found.rows], following)
    return {**page.model_dump(), "total": found.total}


@router.get("/device-counts", response_model=CountsOut)
def count_devices(
    lists: ListsNow,
    who: Who,
    wanted: FilterDep,
    by: Annotated[CountBy, Query(description="What the devices are counted by.")],
) -> dict[str, Any]:
    """Counts devices by firmware, dialect, group, presence or tenant."""
    return documents.counts(by, lists.counts(who, by, wanted))


class SpotOut(Document):
    """Devices that are near to each other at this zoom."""

    latitude: float = Field(description="The middle of them, in degrees.")
    longitude: float
    devices: int
    state: Literal[
        "flapping", "silent", "updating", "offline", "never_seen", "disabled", "online"
    ] = Field(description="Of the device that needs attention most.")
    west: float
    south: float
    east: float
    north: float
    names: list[str] = Field(description="`tenant:name` of five of them at most.")


class MapOut(Document):
    """Devices on a map."""

    zoom: int
    spots: list[SpotOut]
    placed: int = Field(description="Devices with a position.")
    shown: int = Field(description="Of them, those in the box.")
    without: int = Field(description="Devices without a position.")
    more: bool = Field(description="Some were left out.")


Longitude = Annotated[float, Query(ge=-180, le=180)]
Latitude = Annotated[float, Query(ge=-90, le=90)]


@router.get("/device-map", response_model=MapOut)
def map_devices(
    *,
    request: Request,
    lists: ListsNow,
    who: Who,
    wanted: FilterDep,
    zoom: Annotated[
        int,
        Query(
            ge=0, le=CLOSEST_ZOOM, description="0: the world is 256 units wide; each step doubles."
        ),
    ] = 2,
    west: Longitude = -180,
    south: Latitude = -90,
    east: Longitude = 180,
    north: Latitude = 90,
) -> dict[str, Any]:
    """Shows where devices are. Devices in one square of 40 units are one spot."""
    kept = request.app.state.residents[KeptMaps]
    found = lists.map(who, wanted, zoom=zoom, box=Box(west, south, east, north), kept=kept)
    return documents.map_of(found, zoom)


def _key(key: str | None) -> int:
    return 0 if key is None else 1


def _place(paging: Paging, ordered: bool) -> Place | None:
    """Where the list continues."""
    if not ordered:
        place = paging.key(int)
        return None if place is None else Place(None, int(place[0]))
    place = paging.key(int, str, int)
    if place is None:
        return None
    return Place(str(place[1]) if place[0] else None, int(place[2]))
