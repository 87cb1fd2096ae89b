"""Messages over time, for the overview."""

from __future__ import annotations

from typing import Any, NamedTuple

from mooring.dashboard.call import Call
from mooring.dashboard.drawings import bars
from mooring.dashboard.words import count, rate
from mooring.traffic.model import HOUR_MS, MINUTE_MS, Step
from mooring.traffic.service import Traffic

__all__ = ["SPANS", "Passed", "passing"]

SPANS = {
    "1h": ("1 hour", MINUTE_MS, 60),
    "24h": ("24 hours", 15 * MINUTE_MS, 96),
    "7d": ("7 days", 2 * HOUR_MS, 84),
    "30d": ("30 days", 6 * HOUR_MS, 120),
}
"""Name → words, milliseconds of a step, number of steps."""
ROWS = (
    ("received", "Received", "", "/messages"),
    ("sent", "Sent to devices", "", "/commands"),
    ("rejected", "Rejected", "bad", "/messages?tab=rejected"),
)


class Passed(NamedTuple):
    """One row: a kind of messages."""

    word: str
    total: int
    most: str
    drawing: Any
    href: str


def passing(call: Call) -> dict[str, Any]:
    """What the card needs. Only for people who see the whole installation."""
    span = call.query.choice("over", SPANS, "24h")
    word, step, number = SPANS[span]
    # Whole hours for long spans: of old ones nothing else is known.
    unit = min(step, HOUR_MS)
    start = call.now // unit * unit - step * number
    found = call.service(Traffic).over_time(call.who, start, step, number)
    rows = [_row(found, one, word, step) for one in ROWS]
    return {
        "word": word,
        "rows": rows,
        "known": any(one.received is not None for one in found),
        "start": start,
        "end": start + step * number,
        "spans": [
            (words, call.query.with_(over=name), name == span)
            for name, (words, _, _) in SPANS.items()
        ],
    }


def _row(found: list[Step], row: tuple[str, str, str, str], word: str, step: int) -> Passed:
    name, words, look, href = row
    values = [getattr(one, name) for one in found]
    known = [one for one in values if one is not None]
    total = sum(known)
    most = rate(max(known, default=0) * 1000 / step)
    said = f"{words} in {word}: {count(total, 'message')}, at most {most}"
    return Passed(words, total, most, bars(values, said, look if total else ""), href)
