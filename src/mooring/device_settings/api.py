"""Routes of the settings of devices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Body, Header, Query, Response
from pydantic import Field

from mooring.device_settings.model import Change, DeviceView, HistoryEntry, LevelRow
from mooring.device_settings.rules import label
from mooring.device_settings.service import DeviceSettings
from mooring.devices.model import Device
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Json, Reason, Time
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["MERGE_PATCH", "IfMatch", "Settings", "document", "history_document", "router", "wanted"]

MERGE_PATCH = "application/merge-patch+json"

router = Routes(prefix="/api/v1/devices", tags=["settings"])

SettingsNow = Annotated[DeviceSettings, provided(DeviceSettings)]

IfMatch = Annotated[
    str | None,
    Header(max_length=1000, description="Change only this version, from `ETag`."),
]
Settings = dict[str, Json]
GuardSeconds = Annotated[
    int,
    Query(
        ge=0,
        le=86_400,
        description="Take the change back unless the device confirms it in a new session within "
        "this time, 30 to 86400 seconds; 0: keep it.",
    ),
]


class AppliesOut(Document):
    """One level that applies to a device."""

    level: Literal["tenant", "dialect", "type", "group", "device"]
    name: str
    version: int
    settings: dict[str, Any]


class ReportedOut(Document):
    """What the device reported last; `settings` is null if it did not say."""

    version: int | None
    at: Time | None
    settings: dict[str, Any] | None
    bytes_not_kept: int = Field(description="Size of reported settings that were too large.")


class GuardOut(Document):
    """A change that is taken back unless the device confirms it."""

    version: int
    until: Time


class DeviceSettingsOut(Document):
    """Settings of a device. Secret values are masked."""

    device: str
    tenant: str
    version: int
    state: Literal["none", "pending", "sent", "in_sync", "refused", "stopped"]
    state_text: str
    desired: dict[str, Any]
    own: dict[str, Any] = Field(description="What the device's own level sets.")
    levels: list[AppliesOut]
    changed_at: Time | None
    sent_at: Time | None
    reports: bool = Field(description="Whether the dialect can report settings.")
    reported: ReportedOut
    differs: bool = Field(description="Whether the device reports other settings.")
    refusals: int
    refused_because: str = Field(description="The device's words.")
    guard: GuardOut | None
    problem: str = Field(description="Why newer settings are not sent.")


class VersionOut(Document):
    """One version of a device's settings. Secret values are masked."""

    version: int
    at: Time
    by: str
    changed: str = Field(description="The level that was changed.")
    reason: str
    settings: dict[str, Any]


def document(device: Device, view: DeviceView) -> dict[str, Any]:
    """A device's settings as CLI and REST show them."""
    row, record, guard = view.row, view.row.record, view.own.guard
    return {
        "device": device.name,
        "tenant": device.tenant,
        "version": record.version,
        "state": str(record.state),
        "state_text": label(record.state, reports=view.reports),
        "desired": view.document,
        "own": view.own.document,
        "levels": [_applies(device, one) for one in view.levels],
        "changed_at": row.changed_at,
        "sent_at": row.sent_at,
        "reports": view.reports,
        "reported": {
            "version": record.reported_version,
            "at": record.reported_at,
            "settings": view.reported,
            "bytes_not_kept": record.too_large,
        },
        "differs": view.differs,
        "refusals": record.refusals,
        "refused_because": record.words,
        "guard": None if guard is None else {"version": guard.version, "until": guard.until},
        "problem": row.problem,
    }


def _applies(device: Device, row: LevelRow) -> dict[str, Any]:
    names = {"tenant": device.tenant, "device": device.name}
    return {
        "level": str(row.key.level),
        "name": names.get(str(row.key.level), row.key.name),
        "version": row.version,
        "settings": row.document,
    }


def history_document(entry: HistoryEntry) -> dict[str, Any]:
    """A version as CLI and REST show it."""
    return {
        "version": entry.version,
        "at": entry.at,
        "by": entry.cause.actor,
        "changed": entry.cause.what,
        "reason": entry.cause.reason,
        "settings": entry.document,
    }


def wanted(text: str | None) -> frozenset[str] | None:
    """The versions in an ``If-Match`` header [RFC 9110 13.1.1]; ``None``: any."""
    if text is None or text.strip() == "*":
        return None
    return frozenset(one.strip().removeprefix("W/").strip('"') for one in text.split(","))


def _answer(response: Response, device: Device, view: DeviceView) -> dict[str, Any]:
    response.headers["ETag"] = f'"{view.etag}"'
    return document(device, view)


@router.get("/{device}/settings", response_model=DeviceSettingsOut)
def device_settings(
    settings: SettingsNow, who: Who, device: DeviceReference, response: Response
) -> dict[str, Any]:
    """Returns the settings of a device: desired, reported, and their state. `ETag` is the version
    for `If-Match`."""
    return _answer(response, *settings.show(who, device))


@router.patch("/{device}/settings", response_model=DeviceSettingsOut)
def change_device_settings(
    *,
    settings: SettingsNow,
    who: Who,
    device: DeviceReference,
    patch: Annotated[Settings, Body(media_type=MERGE_PATCH)],
    response: Response,
    if_match: IfMatch = None,
    guard_seconds: GuardSeconds = 0,
    reason: Reason = "",
) -> dict[str, Any]:
    """Changes the device's own settings: a JSON merge patch (RFC 7396), in which null removes a
    setting, so that the levels above decide again."""
    change = Change(patch, if_match=wanted(if_match), guard_ms=guard_seconds * 1000, reason=reason)
    return _answer(response, *settings.change(who, device, change))


@router.put("/{device}/settings", response_model=DeviceSettingsOut)
def replace_device_settings(
    *,
    settings: SettingsNow,
    who: Who,
    device: DeviceReference,
    own: Annotated[Settings, Body()],
    response: Response,
    if_match: IfMatch = None,
    guard_seconds: GuardSeconds = 0,
    reason: Reason = "",
) -> dict[str, Any]:
    """Replaces the device's own settings. Null removes what the levels above set."""
    change = Change(
        own,
        whole=True,
        if_match=wanted(if_match),
        guard_ms=guard_seconds * 1000,
        reason=reason,
    )
    return _answer(response, *settings.change(who, device, change))


@router.get("/{device}/settings/history", response_model=PageOf[VersionOut])
def device_settings_history(
    settings: SettingsNow, who: Who, device: DeviceReference, paging: PagingDep
) -> PageOf[dict[str, Any]]:
    """Lists versions of a device's settings, newest first."""
    key = paging.key(int)
    before = None if key is None else int(key[0])
    _, found = settings.history(who, device, before=before, limit=paging.limit + 1)
    return paging.cut([history_document(one) for one in found], lambda item: (item["version"],))


@router.post("/{device}/settings/adopt", response_model=DeviceSettingsOut)
def adopt_device_settings(
    *,
    settings: SettingsNow,
    who: Who,
    device: DeviceReference,
    response: Response,
    if_match: IfMatch = None,
    reason: Reason = "",
) -> dict[str, Any]:
    """Makes the settings that the device reports its desired settings."""
    return _answer(response, *settings.adopt(who, device, if_match=wanted(if_match), reason=reason))


@router.post("/{device}/settings/resend", response_model=DeviceSettingsOut)
def resend_device_settings(
    settings: SettingsNow,
    who: Who,
    device: DeviceReference,
    response: Response,
    reason: Reason = "",
) -> dict[str, Any]:
    """Sends the newest version again, also after the device has refused it too often."""
    return _answer(response, *settings.resend(who, device, reason=reason))
