"""Settings of a device: desired, reported, the difference, and where each value comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mooring.dashboard.answers import Redirect
from mooring.dashboard.call import Call
from mooring.dashboard.data.device import frame, opened
from mooring.dashboard.data.fleet import Badge
from mooring.dashboard.page import Action, Page
from mooring.device_settings.documents import difference
from mooring.device_settings.model import Change, Key, Level, LevelRow
from mooring.device_settings.rules import State
from mooring.device_settings.service import DeviceSettings

__all__ = ["ACTIONS", "PAGES"]

ROWS_MAX, HISTORY = 200, 10
STATE_WORDS = {
    State.NONE: Badge("off", "No settings"),
    State.PENDING: Badge("off", "Pending at the broker"),
    State.SENT: Badge("off", "Sent, not reported yet"),
    State.IN_SYNC: Badge("ok", "In sync"),
    State.REFUSED: Badge("bad", "Rejected"),
    State.STOPPED: Badge("bad", "Rejected too often"),
}


class Row(NamedTuple):
    """One value: desired and reported as JSON, and the level it comes from."""

    path: str
    desired: str | None
    reported: str | None
    level: str
    differs: bool


def view(call: Call) -> dict[str, Any]:
    """The values in one table."""
    found = opened(call)
    service = call.service(DeviceSettings)
    _, settings = service.show(call.who, found.device.username)
    _, history = service.history(call.who, found.device.username, limit=HISTORY)
    rows = _rows(settings.document, settings.reported, settings.levels)
    patch = difference(settings.reported or {}, settings.document)
    return {
        **frame(found, "settings"),
        "settings": settings,
        "look": STATE_WORDS[settings.row.record.state],
        "rows": rows[:ROWS_MAX],
        "hidden_rows": max(0, len(rows) - ROWS_MAX),
        "patch": _text(patch, 2) if settings.reported is not None and patch else "",
        "own": _text(settings.own.document, 2),
        "history": history,
    }


def _rows(
    desired: Mapping[str, Any], reported: Mapping[str, Any] | None, levels: tuple[LevelRow, ...]
) -> list[Row]:
    wanted, told = dict(_flat(desired)), dict(_flat(reported or {}))
    sources = [(_source(one.key), dict(_flat(one.document))) for one in levels]
    found = []
    for path in sorted({*wanted, *told}):
        level = next((name for name, has in reversed(sources) if path in has), "")
        mine = _text(wanted[path]) if path in wanted else None
        theirs = _text(told[path]) if path in told else None
        found.append(Row(path, mine, theirs, level, reported is not None and mine != theirs))
    return found


def _source(key: Key) -> str:
    """A level as people call it: that of a device has a number instead of a name."""
    return "this device" if key.level is Level.DEVICE else str(key)


def _flat(document: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        path = f"{before}.{key}" if before else str(key)
        if isinstance(value, Mapping) and value:
            yield from _flat(value, path)
        else:
            yield path, value


def _text(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def change(call: Call) -> Redirect:
    """Changes the device's own level by a merge patch."""
    form = call.form
    text = form.text("patch", "Change", needed=True, area=True, max=100_000)
    minutes = form.number("guard", "Guard", default=0, ge=0, le=1440)
    reason = form.text("reason", "Reason")
    document: Any = {}
    try:
        document = json.loads(text) if text else {}
        if not isinstance(document, dict) or not document:
            form.wrong["patch"] = 'Use a JSON object, such as {"rate": 10}. null removes a value.'
    except (ValueError, RecursionError) as exc:
        form.wrong["patch"] = f"This is not JSON: {exc}."
    form.check()
    version = form.text("version", "Version", max=60)
    match = frozenset({version}) if version else None
    new = Change(document, if_match=match, guard_ms=minutes * 60_000, reason=reason)
    device = call.app.devices.get(call.who, call.path["device"])
    call.service(DeviceSettings).change(call.who, device.username, new)
    return call.redirect(
        call.url, "The settings were stored. The state below says when the device applies them."
    )


def adopt(call: Call) -> Redirect:
    """Makes what the device reports its desired settings."""
    device = call.app.devices.get(call.who, call.path["device"])
    call.service(DeviceSettings).adopt(call.who, device.username)
    return call.redirect(
        call.url.rpartition("/")[0], "What the device reports is now what it is to have."
    )


def resend(call: Call) -> Redirect:
    """Sends the newest version again."""
    device = call.app.devices.get(call.who, call.path["device"])
    call.service(DeviceSettings).resend(call.who, device.username)
    return call.redirect(call.url.rpartition("/")[0], "The settings are sent again.")


PAGE = Page("/devices/{device}/settings", "Settings", view, "device/settings", place="/devices")
PAGES = (PAGE,)
ACTIONS = (
    Action("/devices/{device}/settings", change, PAGE),
    Action("/devices/{device}/settings/adopt", adopt, PAGE),
    Action("/devices/{device}/settings/resend", resend, PAGE),
)
