"""Options of a recipient as a document: what CLI and REST give, and what the database holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mooring.errors import Invalid
from mooring.notify.model import SEVERITIES, Options, word_of
from mooring.notify.quiet import DAYS, Quiet, quiet_until

__all__ = ["PATTERNS_MAX", "QUIET_MAX", "document_of", "options_of"]

PATTERNS_MAX = 50
QUIET_MAX = 10
PATTERN_LENGTH = 200
WAIT_MAX, INTERVAL_MAX, REPEAT_MIN, REPEAT_MAX = 3_600, 86_400, 60, 2_592_000
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


def options_of(document: Mapping[str, Any]) -> Options:
    """What a document says; what it leaves out has its default.

    Raises:
        Invalid: ``invalid_recipient``.
    """
    default = Options()
    readers: dict[str, Callable[[Any], Any]] = {
        "severity": _severity,
        "alerts": lambda value: _patterns(value, "alerts"),
        "devices": lambda value: _patterns(value, "devices"),
        "quiet": _quiet_times,
        "wait_seconds": lambda value: _seconds(value, "wait_seconds", 0, WAIT_MAX),
        "interval_seconds": lambda value: _seconds(value, "interval_seconds", 0, INTERVAL_MAX),
        "repeat_seconds": lambda value: _seconds(value, "repeat_seconds", REPEAT_MIN, REPEAT_MAX),
        "cleared": _boolean,
    }
    for key in document:
        if key not in readers:
            raise _wrong(f"{key!a:.60} is not one of {', '.join(readers)}.")
    return Options(
        **{
            key: read(document[key]) if key in document else getattr(default, key)
            for key, read in readers.items()
        }
    )


def document_of(options: Options) -> dict[str, Any]:
    """The complete document of options."""
    return {
        "severity": word_of(options.severity),
        "alerts": list(options.alerts),
        "devices": list(options.devices),
        "quiet": [
            {
                "days": [DAYS[day] for day in sorted(one.days)],
                "from": f"{one.start:%H:%M}",
                "to": f"{one.end:%H:%M}",
                "zone": one.zone,
            }
            for one in options.quiet
        ],
        "wait_seconds": options.wait_seconds,
        "interval_seconds": options.interval_seconds,
        "repeat_seconds": options.repeat_seconds,
        "cleared": options.cleared,
    }


def _severity(value: Any) -> int:
    if value not in SEVERITIES:
        raise _wrong(f"severity: {value!a:.60} is not one of {', '.join(SEVERITIES)}.")
    return SEVERITIES.index(value) + 1


def _patterns(value: Any, place: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > PATTERNS_MAX:
        raise _wrong(f"{place}: a list of at most {PATTERNS_MAX} names is needed.")
    for one in value:
        if not isinstance(one, str) or not 0 < len(one) <= PATTERN_LENGTH or not one.isprintable():
            raise _wrong(f"{place}: {one!a:.60} is not a name of 1 to {PATTERN_LENGTH} characters.")
    return tuple(value)


def _quiet_times(value: Any) -> tuple[Quiet, ...]:
    if not isinstance(value, list | tuple) or len(value) > QUIET_MAX:
        raise _wrong(f"quiet: a list of at most {QUIET_MAX} times is needed.")
    found = tuple(_quiet(one) for one in value)
    year_9999 = 250_000_000_000_000
    if (quiet_until(found, 0) or 0) > year_9999:
        raise _wrong("quiet: it is always quiet. Switch the recipient off instead.")
    return found


def _quiet(value: Any) -> Quiet:
    if not isinstance(value, Mapping) or not set(value) <= {"days", "from", "to", "zone"}:
        raise _wrong("quiet: a time has days, from, to and zone, and nothing else.")
    days = value.get("days", list(DAYS))
    if not isinstance(days, list) or not days or not all(day in DAYS for day in days):
        raise _wrong(f"quiet.days: a list of {' '.join(DAYS)} is needed.")
    zone = value.get("zone", "UTC")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        raise _wrong(
            f"quiet.zone: {zone!a:.60} is not a time zone, such as Europe/Berlin."
        ) from None
    start, end = _time(value.get("from", "00:00")), _time(value.get("to", "00:00"))
    return Quiet(frozenset(DAYS.index(day) for day in days), start, end, zone)


def _time(value: Any) -> time:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _wrong(f"quiet: {value!a:.60} is not a time of day, such as 22:00.")
    return time(int(found[1]), int(found[2]))


def _seconds(value: Any, place: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise _wrong(f"{place}: {value!a:.60} is not a number from {least} to {most}.")
    return round(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(f"cleared: {value!a:.60} is neither true nor false.")
    return value


def _wrong(what: str) -> Invalid:
    return Invalid(what, hint="See docs/how-to/notifications.md.", code="invalid_recipient")
