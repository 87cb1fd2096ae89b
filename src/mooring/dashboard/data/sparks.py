"""How the last values of a device went: a small line for each, and how long a span to show."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from mooring.dashboard.call import Call
from mooring.dashboard.data.device import Opened
from mooring.dashboard.drawings import sparkline
from mooring.dashboard.words import clean, number
from mooring.telemetry.bands import Band
from mooring.telemetry.series import Charts

__all__ = ["DRAWN_MAX", "first_span", "points", "sparks"]

DRAWN_MAX = 8
STEPS = 60
_SPANS = {"15m": 15 * 60_000, "1h": 3_600_000, "6h": 6 * 3_600_000, "24h": 24 * 3_600_000}


def first_span(age: int) -> str:
    """A day, or less for a device that was added ``age`` milliseconds ago: its readings would be a
    line at the end of an empty day."""
    return next((name for name, ms in _SPANS.items() if age < ms), "24h")


def sparks(call: Call, found: Opened, metrics: Sequence[str]) -> dict[str, Markup]:
    """Metric → its line, for the first ``DRAWN_MAX`` of ``metrics`` that have numbers."""
    names = metrics[:DRAWN_MAX]
    if not names:
        return {}
    length = _SPANS[first_span(call.now - found.device.created_at)]
    start, step = call.now - length, length // STEPS
    bands = call.service(Charts).bands(call.who, found.device, names, start, call.now, points=STEPS)
    drawn = {}
    for curve in bands.curves:
        values = points(curve, start, step)
        known = [one for one in values if one is not None]
        if known:
            said = f"{clean(curve.metric)}: {number(min(known))} to {number(max(known))}"
            drawn[curve.metric] = sparkline(values, said)
    return drawn


def points(curve: Band, start: int, step: int) -> list[float | None]:
    """The means at equal distances of ``step`` ms. Between two of them that have no gap between
    them, what is on the line; a gap stays a gap."""
    found: list[float | None] = [None] * (STEPS + 1)
    last: tuple[int, float] | None = None
    for ts, mean in zip(curve.ts, curve.mean, strict=True):
        if mean is None:
            last = None
            continue
        at = min(STEPS, max(0, (ts - start) // step))
        if last is not None:
            before, value = last
            for between in range(before + 1, at):
                found[between] = value + (mean - value) * (between - before) / (at - before)
        found[at] = mean
        last = (at, mean)
    return found
