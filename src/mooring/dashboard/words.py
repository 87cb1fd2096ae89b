"""Numbers, ages, times and states as people read them. Pure.

The browser formats live values by the same rules (``static/js``); both are held to
``tests/data/dashboard/words.json``.
"""

from __future__ import annotations

import json
import math
import unicodedata
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = [
    "age",
    "bytes_",
    "clean",
    "count",
    "duration",
    "iso",
    "moment",
    "number",
    "pretty",
    "rate",
    "reason",
    "short",
    "utc",
    "zone_of",
]

PRETTY_MAX = 20_000
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

# What would reorder or hide the text around it (Unicode's bidirectional and zero-width controls).
_HIDDEN = {"Cf", "Cc", "Cs", "Co", "Zl", "Zp"}


def number(value: float | None, digits: int = 6) -> str:
    """``10412`` → ``10,412``; ``21.400001`` → ``21.4``; ``None`` → ``-``."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int) or (
        math.isfinite(value) and value == int(value) and abs(value) < 1e15
    ):
        return f"{int(value):,}"
    if not math.isfinite(value):
        return "not a number"
    if abs(value) >= 1000:
        return f"{value:,.1f}"
    return f"{value:.{digits}g}"


def count(value: int, one: str, many: str = "") -> str:
    """``1`` → ``1 device``; ``2`` → ``2 devices``."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def duration(ms: float) -> str:
    """``2500`` → ``2 s``; ``90000`` → ``1 min``; one unit, rounded down from a second on."""
    ms = max(0.0, ms)
    if ms < 10:
        return f"{ms:.1f} ms"
    if ms < SECOND:
        return f"{ms:.0f} ms"
    for size, word in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if ms >= size:
            return f"{int(ms // size):,} {word}"
    return f"{int(ms // SECOND)} s"


def age(ms: int | None, now: int) -> str:
    """How long ago: ``now``, ``12 s ago``; ``never`` for ``None``; ``in 5 min`` ahead of us."""
    if ms is None:
        return "never"
    if ms > now + SECOND:
        return f"in {duration(ms - now)}"
    return "now" if now - ms < SECOND else f"{duration(now - ms)} ago"


def rate(per_second: float) -> str:
    """``214.3`` → ``214/s``; ``0.05`` → ``3/min``; less is for an hour or a day."""
    if per_second >= 10 or per_second == 0:
        return f"{per_second:,.0f}/s"
    if per_second >= 1:
        return f"{per_second:.1f}/s"
    for seconds, word in ((60, "min"), (3600, "h")):
        if per_second * seconds >= 1:
            return f"{per_second * seconds:.3g}/{word}"
    return f"{per_second * 86_400:.3g}/d"


def bytes_(value: float) -> str:
    """``1500`` → ``1.5 kB`` (decimal units)."""
    for size, word in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= size:
            return f"{value / size:.3g} {word}"
    return f"{int(value)} B"


def zone_of(name: str) -> tzinfo:
    """The zone of that name; UTC for one that is not known."""
    try:
        return ZoneInfo(name) if name and len(name) < 64 else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def moment(ms: int | None, zone: tzinfo, now: int) -> str:
    """``14:02:11`` of today, ``27 Nov 09:14`` of this year, ``27 Nov 2024`` before."""
    if ms is None:
        return "never"
    try:
        at, today = (
            datetime.fromtimestamp(ms / 1000, zone),
            datetime.fromtimestamp(now / 1000, zone),
        )
    except (OverflowError, ValueError, OSError):
        return "not a time"
    name = " UTC" if zone is UTC else ""
    if at.date() == today.date():
        return f"{at:%H:%M:%S}{name}"
    if at.year == today.year:
        return f"{at.day} {at:%b %H:%M}{name}"
    return f"{at.day} {at:%b} {at.year}"


def utc(ms: int | None) -> str:
    """``2026-11-27 09:14:00 UTC``, for the pointer."""
    if ms is None:
        return ""
    try:
        return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{ms} ms"


def iso(ms: int | None) -> str:
    """For the attribute ``datetime``."""
    if ms is None:
        return ""
    try:
        found = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return ""
    return found.replace("+00:00", "Z")


def clean(text: object) -> str:
    """A text of a device or a person, without characters that hide or reorder others: they are
    shown by their number (``<U+202E>``). Markup is escaped by the template, not here."""
    found = str(text)
    if found.isprintable():
        return found
    return "".join(
        f"<U+{ord(letter):04X}>"
        if unicodedata.category(letter) in _HIDDEN and letter not in "\n\t"
        else letter
        for letter in found
    )


def pretty(value: object) -> str:
    """JSON with two spaces; what JSON does not have as text. At most ``PRETTY_MAX`` characters."""
    try:
        found = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        found = str(value)
    found = clean(found)
    if len(found) <= PRETTY_MAX:
        return found
    return f"{found[:PRETTY_MAX]}\n… {len(found) - PRETTY_MAX:,} more characters"


def reason(text: str) -> str:
    """``not_json`` → ``Not JSON``: a code as a word."""
    found = clean(text).replace("_", " ").replace("json", "JSON").replace("utf8", "UTF-8")
    return found[:1].upper() + found[1:]


def short(text: object, most: int = 80) -> str:
    """At most that many characters, with ``…`` instead of the rest."""
    found = clean(text)
    return found if len(found) <= most else f"{found[: most - 1]}…"
