"""The time that a device reports, as milliseconds since 1970.

Firmware sends ISO 8601 text, epoch seconds, milliseconds, microseconds or nanoseconds, any
of these as a string, or the milliseconds since it was switched on. A number is taken for
the unit in which it falls near the present; what fits no unit is not a time.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

__all__ = [
    "DAY_MS",
    "EARLIEST_MS",
    "FIRST_MS",
    "FIRST_US",
    "is_uptime",
    "iso",
    "iso_or_none",
    "parse_time",
]

DAY_MS = 86_400_000
EARLIEST_MS = 1_420_070_400_000  # 2015-01-01: a clock before this was never set

# From here on a number counts milliseconds, microseconds, nanoseconds; below, seconds.
FIRST_MS, FIRST_US, FIRST_NS = 10**11, 10**14, 10**17

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# A date as year and day of the year, or as fromisoformat takes it; then a time.
_FORM = re.compile(
    r"\s*(?:(\d{4})-?(\d{3})|(\d{4}-?\d{2}-?\d{2}))"
    r"(?:[Tt ]\s*(\d{2})(?::?(\d{2})(?::?(\d{2})([.,]\d+)?)?)?"
    r"\s*(Z|[+-]\d{2}(?::?\d{2})?|UTC|GMT)?)?\s*",
    re.ASCII | re.IGNORECASE,
)
_NUMBER = re.compile(r"[+-]?\d{1,30}(?:\.\d{0,30})?(?:[eE][+-]?\d{1,2})?", re.ASCII)


def parse_time(value: object) -> int | None:
    """Epoch milliseconds, or ``None`` when ``value`` cannot be read as a time.

    Text without an offset is UTC. Whether the time is plausible is for the caller to say.
    """
    if isinstance(value, str):
        # Digits alone are a number, even where ISO 8601 would read them as a date
        if "-" in value or "T" in value or "t" in value:
            said = _from_iso(value)
            if said is not None:
                return said
        number = _number(value)
        return None if number is None else _from_number(number)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_number(value)
    return None


def is_uptime(value: object) -> bool:
    """Whether a number, or a text that is one, is too small for the milliseconds since 1970, so
    that it can be the time since a device was switched on (45 years of milliseconds)."""
    number = _number(value)
    return number is not None and number < EARLIEST_MS


def iso(time_ms: int) -> str:
    """``2026-02-13T12:00:00.000Z``: how Mooring writes a time."""
    moment = _EPOCH + time_ms * _MILLISECOND
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def iso_or_none(time_ms: int | None) -> str | None:
    """The same for a time that may not be known."""
    return None if time_ms is None else iso(time_ms)


def _number(value: object) -> int | float | None:
    if isinstance(value, str):
        text = value.strip()
        if not _NUMBER.fullmatch(text):
            return None
        return int(text) if text.isdigit() else float(text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return None


def _from_iso(text: str) -> int | None:
    """The time of an ISO 8601 text, also in forms that Python does not read."""
    try:
        return _since_epoch(datetime.fromisoformat(text))
    except ValueError:  # perhaps one of the forms below
        pass
    form = _FORM.fullmatch(text)
    try:
        return None if form is None else _since_epoch(_of_form(*form.groups()))
    except (ValueError, OverflowError):
        return None


def _of_form(  # noqa: PLR0917 - the groups of _FORM
    year: str | None,
    ordinal: str | None,
    day: str | None,
    hour: str | None,
    minute: str | None,
    second: str | None,
    fraction: str | None,
    offset: str | None,
) -> datetime:
    """Raises ``ValueError`` where there is no such time."""
    clock = (hour or "00", minute or "00", second or "00")
    later = timedelta()
    if clock[2] == "60" and clock[1] == "59":  # a leap second is the first of the next minute
        clock, later = (*clock[:2], "59"), timedelta(seconds=1)
    elif clock == ("24", "00", "00") and not (fraction or "").strip(".,0"):
        clock, later = ("00", "00", "00"), timedelta(days=1)
    if year and ordinal:
        first = datetime(int(year), 1, 1, tzinfo=UTC)
        moment = first + timedelta(days=int(ordinal) - 1)
        if moment.year != first.year:
            raise ValueError
        day = f"{moment:%Y-%m-%d}"
    zone = offset if offset and offset[0] in "+-" else "+00:00"
    return datetime.fromisoformat(f"{day}T{':'.join(clock)}{fraction or ''}{zone}") + later


def _since_epoch(moment: datetime) -> int:
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
