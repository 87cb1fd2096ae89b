"""Routes of the settings of levels above the devices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import Body, Path, Query, Response
from pydantic import Field

from mooring.device_settings.api import MERGE_PATCH, IfMatch, Settings, wanted
from mooring.device_settings.levels import PRIORITY_MAX, SettingsLevels
from mooring.device_settings.model import Change, Level, LevelView
from mooring.web.auth import Who
from mooring.web.fields import Document, Json, Reason, Time, Word
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["document", "router"]

router = Routes(prefix="/api/v1/settings", tags=["settings"])

LevelsNow = Annotated[SettingsLevels, provided(SettingsLevels)]
LevelWord = Annotated[
    Literal["tenant", "dialect", "type", "group"],
    Path(description="Devices of the tenant, a dialect, a type or a group."),
]
LevelName = Annotated[
    str,
    Path(
        min_length=1,
        max_length=128,
        description="Name of the tenant, dialect, type or group.",
    ),
]
Tenant = Annotated[
    Word | None, Query(description="Tenant of a dialect's, type's or group's devices.")
]
Priority = Annotated[
    int | None,
    Query(
        ge=-PRIORITY_MAX,
        le=PRIORITY_MAX,
        description="Of a group: of two groups of a device the one with the higher priority wins.",
    ),
]


class LevelOut(Document):
    """Settings of one level. Secret values are masked."""

    tenant: str
    level: Literal["tenant", "dialect", "type", "group"]
    name: str
    version: int = Field(description="0: nothing was ever set.")
    priority: int
    settings: dict[str, Any]
    has_schema: bool
    updated_at: Time | None
    updated_by: str
    reason: str
    pending: bool = Field(description="Whether it is still being applied to devices.")


def document(view: LevelView) -> dict[str, Any]:
    """A level as CLI and REST show it."""
    row = view.row
    return {
        "tenant": row.key.tenant,
        "level": str(row.key.level),
        "name": row.key.name or row.key.tenant,
        "version": row.version,
        "priority": row.priority,
        "settings": row.document,
        "has_schema": row.schema is not None,
        "updated_at": row.updated_at,
        "updated_by": row.updated_by,
        "reason": row.reason,
        "pending": row.pending,
    }


def _place(who: Any, level: str, place: str, tenant: str | None) -> tuple[str, Level, str]:
    """Tenant, level and name of an address."""
    if level == "tenant":
        return place, Level.TENANT, ""
    return tenant or who.tenant or "default", Level(level), place


def _answer(response: Response, view: LevelView) -> dict[str, Any]:
    response.headers["ETag"] = f'"{view.etag}"'
    return document(view)


@router.get("", response_model=PageOf[LevelOut])
def list_settings(
    levels: LevelsNow, who: Who, paging: PagingDep, tenant: Tenant = None
) -> PageOf[dict[str, Any]]:
    """Lists the levels of a tenant that have settings, in the order in which they were added."""
    (after,) = paging.key(int) or (0,)
    where = tenant or who.tenant or "default"
    found = levels.page(who, where, after=int(after), limit=paging.limit + 1)
    numbers = [number for number, _ in found]
    items = [document(view) for _, view in found]
    if len(items) <= paging.limit:
        return paging.page(items, None)
    return paging.page(items[: paging.limit], (numbers[paging.limit - 1],))


@router.get("/{level}/{place}", response_model=LevelOut)
def level_settings(
    *,
    levels: LevelsNow,
    who: Who,
    level: LevelWord,
    place: LevelName,
    response: Response,
    tenant: Tenant = None,
) -> dict[str, Any]:
    """Returns the settings of a level. `ETag` is the version for `If-Match`."""
    return _answer(response, levels.show(who, *_place(who, level, place, tenant)))


@router.patch("/{level}/{place}", response_model=LevelOut)
def change_level_settings(
    *,
    levels: LevelsNow,
    who: Who,
    level: LevelWord,
    place: LevelName,
    patch: Annotated[Settings, Body(media_type=MERGE_PATCH)],
    response: Response,
    tenant: Tenant = None,
    priority: Priority = None,
    if_match: IfMatch = None,
    reason: Reason = "",
) -> dict[str, Any]:
    """Changes the settings of a level: a JSON merge patch (RFC 7396). The worker applies them to
    the level's devices."""
    change = Change(patch, if_match=wanted(if_match), reason=reason)
    view = levels.change(who, *_place(who, level, place, tenant), change, priority=priority)
    return _answer(response, view)


@router.put("/{level}/{place}", response_model=LevelOut)
def replace_level_settings(
    *,
    levels: LevelsNow,
    who: Who,
    level: LevelWord,
    place: LevelName,
    settings: Annotated[Settings, Body()],
    response: Response,
    tenant: Tenant = None,
    priority: Priority = None,
    if_match: IfMatch = None,
    reason: Reason = "",
) -> dict[str, Any]:
    """Replaces the settings of a level. Null removes what the levels above set."""
    change = Change(settings, whole=True, if_match=wanted(if_match), reason=reason)
    view = levels.change(who, *_place(who, level, place, tenant), change, priority=priority)
    return _answer(response, view)


@router.get("/{level}/{place}/schema", response_model=dict[str, Any])
def level_schema(
    levels: LevelsNow, who: Who, level: LevelWord, place: LevelName, tenant: Tenant = None
) -> dict[str, Any]:
    """Returns the JSON Schema of a level, with its references replaced."""
    stored = levels.schema(who, *_place(who, level, place, tenant))
    found: dict[str, Any] = msgspec.json.decode(stored)
    return found


@router.put("/{level}/{place}/schema", response_model=LevelOut)
def set_level_schema(
    *,
    levels: LevelsNow,
    who: Who,
    level: LevelWord,
    place: LevelName,
    schema: Annotated[dict[str, Json], Body()],
    response: Response,
    tenant: Tenant = None,
    if_match: IfMatch = None,
    reason: Reason = "",
) -> dict[str, Any]:
    """Sets the JSON Schema (draft 2020-12) that settings of the level's devices must fulfil."""
    view = levels.set_schema(
        who,
        *_place(who, level, place, tenant),
        msgspec.json.encode(schema),
        if_match=wanted(if_match),
        reason=reason,
    )
    return _answer(response, view)


@router.delete("/{level}/{place}/schema", response_model=LevelOut)
def remove_level_schema(
    *,
    levels: LevelsNow,
    who: Who,
    level: LevelWord,
    place: LevelName,
    response: Response,
    tenant: Tenant = None,
    reason: Reason = "",
) -> dict[str, Any]:
    """Removes the JSON Schema of a level."""
    view = levels.set_schema(who, *_place(who, level, place, tenant), None, reason=reason)
    return _answer(response, view)
