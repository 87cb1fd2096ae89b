"""What a person writes for a time: ``-1h``, ``15m ago``, ``today``, ISO 8601, epoch numbers.

Pure. Text without an offset is UTC, like everything Mooring shows.
"""

from __future__ import annotations

import re

from mooring.dialects import parse_time
from mooring.dialects.times import DAY_MS
from mooring.errors import Invalid

__all__ = ["LATEST_MS", "parse_when"]

LATEST_MS = 253_402_300_799_999  # the end of the year 9999
_UNITS = {
    "s": 1000,
    "sec": 1000,
    "second": 1000,
    "m": 60_000,
    "min": 60_000,
    "minute": 60_000,
    "h": 3_600_000,
    "hour": 3_600_000,
    "d": DAY_MS,
    "day": DAY_MS,
    "w": 7 * DAY_MS,
    "week": 7 * DAY_MS,
}
_RELATIVE = re.compile(
    r"(?P<sign>[+-])?\s*(?P<number>\d{1,9}(?:\.\d{1,3})?)\s*(?P<unit>[a-z]+?)s?(?P<ago>\s+ago)?",
    re.ASCII,
)
_DATE = re.compile(r"\d{8}", re.ASCII)
_FEW_DIGITS = re.compile(r"\d{1,7}", re.ASCII)


def parse_when(text: str, now: int) -> int:
    """Epoch milliseconds.

    Args:
        text: ``now``, ``today``, ``yesterday`` (midnight, UTC); ``-1h``, ``1h``, ``15m ago``
            (all before now) or ``+1h``, with s, m, h, d, w or their words; an ISO 8601 date
            or time; epoch seconds or milliseconds.
        now: the present, in epoch milliseconds.

    Raises:
        Invalid: it is none of these, or is before 1970 or after the year 9999.
    """
    word = text.strip().lower()
    found = _word(word, now)
    if found is None:
        found = _relative(word, now)
    if found is None:
        found = _absolute(text.strip())
    if found is None or not 0 <= found <= LATEST_MS:
        raise Invalid(
            f"{text[:64]!a} is not a time.",
            hint="Use for example -1h, 15m ago, today, 2026-02-13, 2026-02-13T12:00:00Z or "
            "epoch seconds.",
            code="invalid_time",
        )
    return found


def _word(word: str, now: int) -> int | None:
    midnight = now - now % DAY_MS
    return {"now": now, "today": midnight, "yesterday": midnight - DAY_MS}.get(word)


def _relative(word: str, now: int) -> int | None:
    match = _RELATIVE.fullmatch(word)
    if match is None:
        return None
    unit = _UNITS.get(match["unit"]) or _UNITS.get(match["unit"] + "s")
    if unit is None or (match["sign"] == "+" and match["ago"]):
        return None
    span = round(float(match["number"]) * unit)
    return now + span if match["sign"] == "+" else now - span


def _absolute(text: str) -> int | None:
    if _DATE.fullmatch(text):  # 20260213: a date, not a second of 1970
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    elif _FEW_DIGITS.fullmatch(text) and text != "0":
        return None  # a year or a slip; as epoch seconds it would silently mean 1970
    return parse_time(text)
