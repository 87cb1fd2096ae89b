"""What is sent: a notification's document, and its form for each kind of recipient. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mooring.dialects import iso
from mooring.notify.model import SEVERITIES

__all__ = ["ENDS_MS", "LISTED_MAX", "alertmanager", "cloud_event", "document", "text", "title"]

LISTED_MAX = 50
"""Alerts that one notification names; the others are counted."""

ENDS_MS = 300_000
"""How long Alertmanager keeps an alert that is not posted again."""

TYPE = "org.mooring.notification"

Document = Mapping[str, Any]


def document(
    alerts: Sequence[Mapping[str, Any]], *, tenant: str, group: str, more: int = 0
) -> dict[str, Any]:
    """What is stored of a notification until it is sent.

    Args:
        alerts: each as ``entry`` of ``mooring.notify.planner`` makes it; none: a test.
        more: further alerts that are not named.
    """
    return {"tenant": tenant, "group": group, "alerts": list(alerts), "more": more}


def title(found: Document) -> str:
    """One line."""
    alerts = found["alerts"]
    if not alerts:
        return "Test notification of Mooring"
    number = len(alerts) + found["more"]
    first = alerts[0]
    about = f"{first['name']} on {first['device']}" if first["device"] else str(first["name"])
    word = "cleared" if first["status"] == "cleared" else first["severity"]
    rest = f" and {number - 1} more" if number > 1 else ""
    return f"[{word}] {about}{rest}"


def text(found: Document) -> str:
    """For people: a line for each alert."""
    if not found["alerts"]:
        return "This is a test. Notifications reach this recipient."
    lines = [_line(one) for one in found["alerts"]]
    if found["more"]:
        lines.append(f"and {found['more']} more")
    return "\n".join(lines)


def _line(one: Mapping[str, Any]) -> str:
    words = [f"{one['status'].upper()} {one['severity']}: {one['name']}"]
    if one["device"]:
        words.append(f"device {one['device']}")
    if one["value"]:
        words.append(f"value {one['value']}")
    if one["message"]:
        words.append(one["message"])
    at = one["cleared_at"] if one["status"] == "cleared" else one["raised_at"]
    return f"{', '.join(words)} (alert {one['number']}, {iso(at)})"


def cloud_event(found: Document, *, message_id: str, created_at: int) -> bytes:
    """A CloudEvents 1.0 document, in structured mode. The same bytes in every attempt."""
    alerts = [_times_as_text(one) for one in found["alerts"]]
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": message_id,
            "source": f"/mooring/{found['tenant']}",
            "type": TYPE if alerts else f"{TYPE}.test",
            "time": iso(created_at),
            "datacontenttype": "application/json",
            "data": {
                "tenant": found["tenant"],
                "group": found["group"],
                "title": title(found),
                "alerts": alerts,
                "more": found["more"],
            },
        }
    )


def _times_as_text(one: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: value for key, value in one.items() if key != "was"}
    for key in ("raised_at", "cleared_at"):
        shown[key] = None if one[key] is None else iso(one[key])
    return shown


def alertmanager(found: Document, *, now: int) -> bytes:
    """The body of ``POST /api/v2/alerts``. An open alert ends by itself when it is not posted
    again. The severity is a label, so an alert of another severity is another one there: the
    former one is ended."""
    posted: list[dict[str, Any]] = []
    for one in found["alerts"]:
        cleared = one["status"] == "cleared"
        ends = one["cleared_at"] if cleared else now + ENDS_MS
        posted.append(_posted(one, one["severity"], ends))
        was = one.get("was")
        if was in SEVERITIES and was != one["severity"]:
            posted.append(_posted(one, was, now))
    if not found["alerts"]:
        labels = {"alertname": "mooring_test", "severity": "info", "tenant": found["tenant"]}
        posted.append({"labels": labels, "endsAt": iso(now + 60_000), "annotations": {}})
    return msgspec.json.encode(posted)


def _posted(one: Mapping[str, Any], severity: str, ends: int) -> dict[str, Any]:
    labels = {
        "alertname": one["name"],
        "severity": severity,
        "tenant": one["tenant"],
        "device": one["device"],
        "source": one["source"],
        "mooring_alert": str(one["number"]),
    }
    notes = {"summary": one["message"], "value": one["value"]}
    return {
        "labels": {key: value for key, value in labels.items() if value},
        "annotations": {key: value for key, value in notes.items() if value},
        "startsAt": iso(one["raised_at"]),
        "endsAt": iso(max(ends, one["raised_at"])),
    }
