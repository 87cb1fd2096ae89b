"""``mooring telemetry``: stored messages and their values."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli import chart, export
from mooring.cli.frame import Session, command, noun
from mooring.cli.output import ago, clean, iso
from mooring.cli.words import Limit
from mooring.errors import Invalid
from mooring.later import later

with later():
    import csv

    from mooring.store import engine
    from mooring.telemetry import cells, documents, when

if TYPE_CHECKING:
    from mooring.telemetry.model import Key, Page, Point, Reading

__all__ = ["app"]

app = noun("Stored messages and their values.")
export.declare(app)
chart.declare(app)

PAGE = 500  # rows asked for at once


@command(app, "latest")
def latest(
    session: Session,
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="DEVICE", help="Name, tenant:name, username or MAC address of the device."
        ),
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Include every device.")] = False,
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="With --all: only this tenant.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="With --all: maximum number of devices.")
    ] = 50,
) -> None:
    """Print the newest message of each channel of a device."""
    if (reference is None) is not everything:
        raise Invalid(
            "No device was given.",
            hint="Use `mooring telemetry latest DEVICE`, or --all.",
            code="usage",
        )
    if reference is None:
        _latest_of_all(session, tenant, limit)
        return
    with session.open() as platform:
        device = platform.devices.get(session.actor, reference)
        readings = platform.telemetry.latest(session.actor, device)
    if session.out.as_json:
        session.out.document(documents.latest(device, readings))
        return
    session.out.table(
        ["Channel", "When", "Metric", "Value"],
        [row for reading in readings for row in _metric_rows([reading.channel], reading)],
        empty=f"{device.reference} has not sent anything yet.",
    )


def _latest_of_all(session: Session, tenant: str | None, limit: int) -> None:
    with session.open() as platform:
        found = platform.telemetry.latest_many(session.actor, limit=limit + 1, tenant=tenant)
    shown = found[:limit]
    if session.out.as_json:
        session.out.document(
            {"devices": [documents.latest_of_one(d) for d in shown], "more": len(found) > limit}
        )
        return
    session.out.table(
        ["Device", "Tenant", "Channel", "When", "Metric", "Value"],
        [
            row
            for device in shown
            for reading in device.readings
            for row in _metric_rows([device.name, device.tenant, reading.channel], reading)
        ],
        empty="No device has sent anything yet."
        if shown
        else "No devices yet. Add one with `mooring device add NAME --dialect mooring`.",
    )
    if len(found) > limit:
        session.out.note("More devices are available. Raise --limit.")


@command(app, "history")
def history(
    session: Session,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="DEVICE", help="Name, tenant:name, username or MAC address of the device."
        ),
    ],
    *,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Start time (inclusive): -1h, today, 2026-02-13T12:00Z."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="End time (exclusive).")] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="Only values of this metric, such as temperature."),
    ] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", help="Only messages of this channel.")
    ] = None,
    limit: Limit = 50,
    newest: Annotated[
        bool, typer.Option("--newest", help="Newest first instead of oldest first.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Print stored messages, or the values of one metric, ordered by time."""
    if csv and session.out.as_json:
        raise Invalid("--csv and --json cannot be combined.", hint="Use one of them.", code="usage")
    at = engine.now_ms()
    options: dict[str, Any] = {
        "start": when.parse_when(start, at) if start else None,
        "end": when.parse_when(end, at) if end else None,
        "channel": channel,
        "newest_first": newest,
    }
    points: list[Point] = []
    readings: list[Reading] = []
    with session.open() as platform:
        device = platform.devices.get(session.actor, reference)
        said = platform.telemetry
        cursor: Key | None = None
        while True:  # a page may be shorter than asked for and still have a next one
            wanted = min(PAGE, limit - len(points) - len(readings))
            page: Page[Any]
            if metric is None:
                page = said.history(session.actor, device, limit=wanted, cursor=cursor, **options)
                readings += page.items
            else:
                page = said.points(
                    session.actor, device, metric, limit=wanted, cursor=cursor, **options
                )
                points += page.items
            cursor = page.next
            if cursor is None or len(points) + len(readings) >= limit:
                break
    if session.out.as_json:
        _history_document(session, device.name, device.tenant, metric, readings, points, cursor)
    elif csv:
        _write_csv(metric, readings, points)
    else:
        _history_table(session, metric, readings, points, narrowed=bool(start or end or channel))
    if cursor is not None:
        session.out.note(f"More than {limit} match. Raise --limit, or narrow --from and --to.")


# ---------------------------------------------------------------------- what is printed


def _history_document(
    session: Session,
    device: str,
    tenant: str,
    metric: str | None,
    readings: list[Reading],
    points: list[Point],
    cursor: Key | None,
) -> None:
    rows: dict[str, Any] = (
        {"messages": [documents.message(reading) for reading in readings]}
        if metric is None
        else {
            "metric": metric,
            "points": [documents.point(point) for point in points],
        }
    )
    session.out.document({"device": device, "tenant": tenant, **rows, "more": cursor is not None})


def _history_table(
    session: Session,
    metric: str | None,
    readings: list[Reading],
    points: list[Point],
    *,
    narrowed: bool,
) -> None:
    if metric is None:
        session.out.table(
            ["Time", "Channel", "Payload"],
            [[iso(r.ts), r.channel, _payload_text(r.payload)] for r in readings],
            empty="Nothing is stored in that period." if narrowed else "Nothing is stored yet.",
        )
    else:
        session.out.table(
            ["Time", metric],
            [[iso(point.ts), _value_text(point.value)] for point in points],
            right=[metric],
            empty=f"No value of {metric} is stored{' in that period' if narrowed else ' yet'}.",
        )


def _as_it_is(value: object) -> object:
    return value


def _write_csv(metric: str | None, readings: list[Reading], points: list[Point]) -> None:

    writer = csv.writer(sys.stdout, lineterminator="\n")
    shown: Callable[[object], object] = (
        clean if sys.stdout.isatty() else _as_it_is
    )  # a file keeps what was said

    def write(row: Iterable[object]) -> None:
        writer.writerow([cells.safe_cell(shown(cell)) for cell in row])

    if metric is not None:
        write(["time", "channel", metric])
        for p in points:
            write([iso(p.ts), p.channel, _value_text(p.value)])
        return
    names = list(dict.fromkeys(name for reading in readings for name in reading.values))
    write(["time", "received_at", "time_source", "channel", *names])
    for r in readings:
        values = [_value_text(r.values[name]) if name in r.values else "" for name in names]
        write([iso(r.ts), iso(r.received_at), r.time_source, r.channel, *values])


def _metric_rows(before: list[str], reading: Reading) -> list[list[str]]:
    """One row per metric; a message without metrics shows its payload."""
    values = {name: _value_text(value) for name, value in reading.values.items()}
    return [
        [*before, ago(reading.ts), name, value]
        for name, value in (values or {"": _payload_text(reading.payload)}).items()
    ]


def _value_text(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _payload_text(payload: Any) -> str:
    if isinstance(payload, str):
        return payload
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
