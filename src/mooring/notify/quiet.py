"""Quiet times: when a recipient is not disturbed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

__all__ = ["DAYS", "Quiet", "quiet_until"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LOOK_DAYS = 9  # a week, and the days that touch it


@dataclass(frozen=True, slots=True)
class Quiet:
    """A window that begins on these days; past midnight where it ends before it begins, and a
    whole day where both are the same.

    Attributes:
        days: 0 is Monday.
        zone: IANA name.
    """

    days: frozenset[int]
    start: time
    end: time
    zone: str


def quiet_until(windows: Sequence[Quiet], at: int) -> int | None:
    """When the quiet time of ``at`` ends; ``None``: it is not quiet. Windows that follow one
    another count as one; a recipient that is always quiet has no end, which is the year 9999.

    Args:
        at: epoch milliseconds.
    """
    if not any(_covers(one, at) for one in windows):
        return None
    end = at
    for _ in range(_LOOK_DAYS * len(windows) + 1):
        following = max((_end(one, end) for one in windows if _covers(one, end)), default=None)
        if following is None:
            return end
        end = following
    return 253_370_764_800_000


def _spans(window: Quiet, at: int) -> list[tuple[int, int]]:
    """Begin and end of the window on the days around ``at``."""
    zone = ZoneInfo(window.zone)
    today = datetime.fromtimestamp(at / 1000, zone).date()
    found = []
    for offset in (-2, -1, 0, 1):
        day = today + timedelta(days=offset)
        if day.weekday() not in window.days:
            continue
        last = day if window.end > window.start else day + timedelta(days=1)
        found.append((_ms(day, window.start, zone), _ms(last, window.end, zone)))
    return found


def _covers(window: Quiet, at: int) -> bool:
    return any(begin <= at < end for begin, end in _spans(window, at))


def _end(window: Quiet, at: int) -> int:
    return max(end for begin, end in _spans(window, at) if begin <= at < end)


def _ms(day: date, wall: time, zone: ZoneInfo) -> int:
    """Wall-clock time as epoch milliseconds; one that is skipped counts as the moment after it."""
    local = datetime.combine(day, wall, zone)
    return round(local.astimezone(UTC).timestamp() * 1000)
