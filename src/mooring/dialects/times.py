"""What a device says the time is, as milliseconds since 1970.

Firmware sends ISO 8601 text, epoch seconds, milliseconds, microseconds or nanoseconds, any
of these as a string, or the milliseconds since it was switched on. A number is taken for
the unit in which it falls near the present; what fits no unit is no time.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

__all__ = ["DAY_MS", "EARLIEST_MS", "FIRST_MS", "FIRST_US", "iso", "parse_time"]

DAY_MS = 86_400_000
EARLIEST_MS = 1_420_070_400_000  # 2015-01-01: a clock before this was never set

# From here on a number counts milliseconds, microseconds, nanoseconds; below, seconds.
FIRST_MS, FIRST_US, FIRST_NS = 10**11, 10**14, 10**17

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NUMBER = re.compile(r"[+-]?\d{1,30}(?:\.\d{0,30})?(?:[eE][+-]?\d{1,2})?", re.ASCII)


def parse_time(value: object) -> int | None:
    """Epoch milliseconds, or ``None`` when ``value`` cannot be read as a time.

    Text without an offset is UTC. Whether the time is plausible is for the caller to say.
    """
    if isinstance(value, str):
        # Digits alone are a number, even where ISO 8601 would read them as a date
        if "-" in value or "T" in value:
            said = _from_iso(value)
            if said is not None:
                return said
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return _from_number(int(text) if text.isdigit() else float(text))
        return None if text == value else _from_iso(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_number(value)
    return None


def iso(time_ms: int) -> str:
    """``2026-02-13T12:00:00.000Z``: how Mooring writes a time."""
    moment = _EPOCH + time_ms * _MILLISECOND
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _from_iso(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH  # whole numbers throughout: a float would round
    return since.days * DAY_MS + since.seconds * 1000 + since.microseconds // 1000


def _from_number(value: float) -> int | None:
    """Between 1e9 and 1e11 seconds, up to 1e14 milliseconds, and so on (until year 5138)."""
    if not math.isfinite(value) or value < 0:
        return None
    if value < FIRST_MS:
        return int(value * 1000)
    if value < FIRST_US:
        return int(value)
    if value < FIRST_NS:
        return int(value // 1_000)
    return int(value // 1_000_000)
