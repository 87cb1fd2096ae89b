"""``mooring telemetry chart``: minimum, mean and maximum of metrics over a span."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.frame import Session, command
from mooring.cli.output import clean, iso
from mooring.errors import Invalid
from mooring.later import later

with later():
    import csv as csv_writer

    from mooring.store import engine
    from mooring.telemetry import cells, documents, when

if TYPE_CHECKING:
    from mooring.telemetry.bands import Band

__all__ = ["declare"]

POINTS = 50


def chart(
    session: Session,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="DEVICE", help="Name, tenant:name, username or MAC address of the device."
        ),
    ],
    *,
    metric: Annotated[
        list[str],
        typer.Option("--metric", help="Metric, such as temperature. May be repeated."),
    ],
    start: Annotated[
        str,
        typer.Option("--from", help="Start time (inclusive): -1h, today, 2026-02-13T12:00Z."),
    ] = "-1d",
    end: Annotated[str, typer.Option("--to", help="End time (exclusive).")] = "now",
    points: Annotated[
        int, typer.Option("--points", min=2, help="Maximum number of steps.")
    ] = POINTS,
    step: Annotated[
        float | None,
        typer.Option("--step", min=0.001, help="Length of a step in seconds, instead of --points."),
    ] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", help="Only messages of this channel.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Print minimum, mean and maximum of each step of several metrics."""
    if csv and session.out.as_json:
        raise Invalid("--csv and --json cannot be combined.", hint="Use one of them.", code="usage")
    now = engine.now_ms()
    with session.open() as platform:
        device = platform.devices.get(session.actor, reference)
        found = platform.charts.bands(
            session.actor,
            device,
            metric,
            when.parse_when(start, now),
            when.parse_when(end, now),
            points=points,
            step_ms=round(step * 1000) if step is not None else None,
            channel=channel,
        )
    if session.out.as_json:
        session.out.document(documents.chart(device, found))
        return
    rows = [row for curve in found.curves for row in _rows(curve)]
    header = ["Time", "Metric", "Min", "Mean", "Max", "Count"]
    if csv:
        writer = csv_writer.writer(sys.stdout, lineterminator="\n")
        shown = clean if sys.stdout.isatty() else str
        writer.writerow([name.lower() for name in header])
        for row in rows:
            writer.writerow([cells.safe_cell(shown(cell)) for cell in row])
        return
    session.out.table(
        header,
        rows,
        right=["Min", "Mean", "Max", "Count"],
        empty="No numbers of these metrics are stored in that period.",
    )


def _rows(curve: Band) -> list[list[str | None]]:
    return [
        [iso(ts), curve.metric, *map(_number, numbers), str(count)]
        for ts, *numbers, count in zip(
            curve.ts, curve.least, curve.mean, curve.greatest, curve.count, strict=True
        )
        if count is not None
    ]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.10g}"


def declare(app: typer.Typer) -> None:
    """Adds the command."""
    command(app, "chart")(chart)
