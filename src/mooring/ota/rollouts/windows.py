"""Times of the week in which devices may be offered a release. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

__all__ = ["DAYS", "Window", "opens_at", "packed", "span_of", "unpacked"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LOOK_DAYS = range(-1, 9)  # a week, and the days that touch it


@dataclass(frozen=True, slots=True)
class Window:
    """A time of the day on these days; past midnight where it ends before it begins, and a whole
    day where both are the same.

    Attributes:
        days: 0 is Monday.
    """

    days: frozenset[int]
    start: time
    end: time


def opens_at(windows: Sequence[Window], zone: str, at: int) -> int | None:
    """When the next window opens; ``None``: one is open, or there are no windows.

    Args:
        zone: IANA name of the device's time zone.
        at: epoch milliseconds.
    """
    spans = [span for window in windows for span in _spans(window, ZoneInfo(zone), at)]
    if not spans or any(begin <= at < end for begin, end in spans):
        return None
    return min(begin for begin, _ in spans if begin > at)


def span_of(windows: Sequence[Window], zone: str, at: int) -> tuple[int, int] | None:
    """Begin and end of the window that is open or opens next, epoch milliseconds; ``None``: there
    are no windows."""
    spans = [span for window in windows for span in _spans(window, ZoneInfo(zone), at)]
    return min((one for one in spans if one[1] > at), default=None)


def packed(windows: Sequence[Window], zone: str) -> str:
    """Windows and their time zone as a text; ``unpacked`` reads it."""
    said = [[sorted(one.days), f"{one.start:%H:%M}", f"{one.end:%H:%M}"] for one in windows]
    return json.dumps([zone, said], separators=(",", ":"))


def unpacked(text: str) -> tuple[list[Window], str]:
    """What ``packed`` wrote."""
    zone, said = json.loads(text)
    windows = [
        Window(frozenset(days), time.fromisoformat(start), time.fromisoformat(end))
        for days, start, end in said
    ]
    return windows, zone


def _spans(window: Window, zone: ZoneInfo, at: int) -> list[tuple[int, int]]:
    """Begin and end of the window on the days around ``at``."""
    today = datetime.fromtimestamp(at / 1000, zone).date()
    found = []
    for offset in _LOOK_DAYS:
        day = today + timedelta(days=offset)
        if day.weekday() not in window.days:
            continue
        last = day if window.end > window.start else day + timedelta(days=1)
        found.append((_ms(day, window.start, zone), _ms(last, window.end, zone)))
    return found


def _ms(day: date, wall: time, zone: ZoneInfo) -> int:
    """Wall-clock time as epoch milliseconds; one that is skipped counts as the moment after it."""
    local = datetime.combine(day, wall, zone)
    return round(local.astimezone(UTC).timestamp() * 1000)
