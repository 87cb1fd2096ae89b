"""Charts of a device: values over a span, as curves, as a table and as CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from urllib.parse import urlencode

from mooring.alerts.service import Alerts
from mooring.alerts.store import Wanted
from mooring.dashboard.answers import Answer
from mooring.dashboard.call import Call
from mooring.dashboard.data.device import Opened, frame, opened
from mooring.dashboard.data.fleet import address
from mooring.dashboard.data.sparks import first_span
from mooring.dashboard.page import Action, Page
from mooring.dialects.times import iso
from mooring.errors import Invalid, MooringError
from mooring.presence.states.service import DevicePresence
from mooring.telemetry import documents
from mooring.telemetry.bands import Bands
from mooring.telemetry.cells import safe_cell
from mooring.telemetry.series import Charts
from mooring.telemetry.service import Telemetry
from mooring.telemetry.when import parse_when

__all__ = ["ACTIONS", "PAGES"]

SPANS = {
    "15m": "15 minutes",
    "1h": "1 hour",
    "6h": "6 hours",
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "365d": "1 year",
}
SHOWN, SHOWN_MAX = 4, 12
ALERTS_MAX = 200


def view(call: Call) -> dict[str, Any]:
    """Which metrics, which span; the curves come as data."""
    found = opened(call)
    names = _names(call, found)
    chosen = _chosen(call, names)
    start, end, wrong = _span(call, found)
    compare = call.query.text("compare")
    said, data = "", urlencode([("metric", name) for name in chosen])
    now = f"{found.href}/chart.json?{data}&from={start}&to={end}"
    other, other_wrong = _compared(call, found, start, end, compare)
    if other:
        said = f"Dashed: {'the span before' if compare == 'before' else compare}."
    span = "" if call.query.text("from") else _chosen_span(call, found)
    return {
        **frame(found, "charts"),
        "metrics": names,
        "chosen": chosen,
        "spans": [(word, call.query.with_(span=n, to=None, **{"from": None}), n == span)
                  for n, word in SPANS.items()],
        "start": start,
        "end": end,
        "wrong": wrong or other_wrong,
        "src": now if chosen and not wrong else "",
        "compare_src": f"{other}&{data}" if other else "",
        "compare": compare,
        "said": said,
        "csv": f"{found.href}/chart.csv?{data}&from={start}&to={end}",
        "kept": [p for p in call.query.pairs if p[0] in ("span", "from", "to") and p[1]],
        "live": "" if call.query.text("to") else f"device:{found.device.id}",
    }  # fmt: skip


def _names(call: Call, found: Opened) -> list[str]:
    """Metrics of the device; a new one is in its last message before it is in a roll-up."""
    known = set(call.service(Charts).metrics(call.who, found.device))
    for said in call.service(Telemetry).latest(call.who, found.device):
        known |= {name for name, value in said.values.items() if not isinstance(value, str)}
    return sorted(known)


def _chosen(call: Call, names: list[str]) -> list[str]:
    asked = [name for name in call.query.many("metric") if name in names]
    return (asked or names[:SHOWN])[:SHOWN_MAX]


def _chosen_span(call: Call, found: Opened) -> str:
    """That of the address; otherwise a day, or less for a device that has just been added."""
    return call.query.choice("span", SPANS, first_span(call.now - found.device.created_at))


def _span(call: Call, found: Opened) -> tuple[int, int, str]:
    """Epoch milliseconds, and what is wrong with the times in the address."""
    span = _chosen_span(call, found)
    start, end = parse_when(f"-{span}", call.now), call.now
    try:
        if call.query.text("from"):
            start = parse_when(call.query.text("from"), call.now)
        if call.query.text("to"):
            end = parse_when(call.query.text("to"), call.now)
    except MooringError as exc:
        return start, end, f"{exc.message} {exc.hint}"
    return start, end, "" if start < end else "The span ends before it begins."


def _compared(call: Call, found: Opened, start: int, end: int, text: str) -> tuple[str, str]:
    """Address of the data of another span or device, without the metrics."""
    if not text:
        return "", ""
    if text == "before":
        return f"{found.href}/chart.json?from={2 * start - end}&to={start}", ""
    try:
        other = call.app.devices.get(call.who, text)
    except MooringError as exc:
        return "", exc.message
    return f"{address(other)}/chart.json?from={start}&to={end}", ""


def _bands(call: Call, found: Opened, points: int) -> Bands:
    start, end, wrong = _span(call, found)
    if wrong:
        raise Invalid(wrong, code="invalid_span")
    return call.service(Charts).bands(
        call.who, found.device, call.query.many("metric")[:SHOWN_MAX], start, end, points=points
    )


def data(call: Call) -> Answer:
    """The curves, with alerts and changes of firmware of the span as marks."""
    found = opened(call)
    bands = _bands(call, found, 1000)
    wanted = Wanted(opened=None, device_id=found.device.id, limit=ALERTS_MAX)
    marks = [
        {"at": one.raised_at, "kind": "alert", "text": f"{one.name}: {one.message}"[:200]}
        for one in call.service(Alerts).listed(call.who, wanted)
        if bands.start <= one.raised_at < bands.end
    ]
    _, versions = call.service(DevicePresence).versions(call.who, found.device.reference)
    marks += [
        {"at": one.at, "kind": "firmware", "text": one.version}
        for one in versions
        if bands.start <= one.at < bands.end
    ]
    document = documents.chart(found.device, bands) | {"marks": marks}
    return Answer(json.dumps(document, allow_nan=False), "application/json")


def table(call: Call) -> Answer:
    """The same as CSV; no cell is a formula."""
    found = opened(call)
    bands = _bands(call, found, 5000)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["time", "metric", "min", "mean", "max", "count"])
    for curve in bands.curves:
        columns = (curve.ts, curve.least, curve.mean, curve.greatest, curve.count)
        for ts, *cells, count in zip(*columns, strict=True):
            if count is not None:
                writer.writerow([iso(ts), safe_cell(curve.metric), *cells, count])
    return Answer(
        text.getvalue(),
        "text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="chart.csv"'},
    )


PAGE = Page("/devices/{device}/charts", "Charts", view, "device/charts", place="/devices")
PAGES = (
    PAGE,
    Page("/devices/{device}/chart.json", "Chart", data, place="/devices"),
    Page("/devices/{device}/chart.csv", "Chart", table, place="/devices"),
)
ACTIONS: tuple[Action, ...] = ()
