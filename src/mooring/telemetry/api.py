"""Routes for stored messages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from mooring.devices.service import Devices
from mooring.store.engine import now_ms
from mooring.telemetry import documents
from mooring.telemetry.export import Exports, FileFormat
from mooring.telemetry.resolution import POINTS_MAX
from mooring.telemetry.series import METRICS_MAX, Aggregate, Charts
from mooring.telemetry.service import Telemetry
from mooring.telemetry.when import LATEST_MS, parse_when
from mooring.web.auth import Who
from mooring.web.fields import DeviceReference, Document, Line, Time, Word
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1", tags=["telemetry"])

DevicesNow = Annotated[Devices, provided(Devices)]
TelemetryNow = Annotated[Telemetry, provided(Telemetry)]
ChartsNow = Annotated[Charts, provided(Charts)]
ExportsNow = Annotated[Exports, provided(Exports)]

Value = bool | int | float | str
Order = Literal["asc", "desc"]

When = Annotated[
    str | None,
    Query(
        max_length=64,
        description="-1h, 15m ago, now, today, an ISO 8601 time, or epoch seconds or milliseconds.",
    ),
]


Metrics = Annotated[
    list[Line],
    Query(
        min_length=1,
        max_length=METRICS_MAX,
        description="For example `temperature`, `gps.lat`. May be repeated.",
    ),
]
Start = Annotated[str, Query(alias="from", max_length=64, description="Start time (inclusive).")]
End = Annotated[str, Query(alias="to", max_length=64, description="Before this.")]
Step = Annotated[
    float | None,
    Query(gt=0, le=31_536_000, description="Length of a step in seconds, instead of `points`."),
]


class ReadingOut(Document):
    """A message: `values` flattened according to the dialect, `payload` unchanged."""

    channel: str
    kind: str
    ts: Time
    received_at: Time
    time_source: Literal["device", "received", "implausible"]
    values: dict[str, Value]
    payload: Any


class MessageOut(ReadingOut):
    """A stored message, with its number and the device's sequence number."""

    id: int
    seq: int | None


class PointOut(Document):
    """One value of one metric."""

    ts: Time
    value: Value
    channel: str
    received_at: Time
    time_source: Literal["device", "received", "implausible"]


class LatestOut(Document):
    """The newest message of each channel of one device."""

    device: str
    tenant: str
    dialect: str
    readings: list[ReadingOut]


class DeviceLatestOut(LatestOut):
    """The newest messages of one device in a list, with the device's state."""

    id: int
    label: str
    last_seen_at: Time | None
    online: bool | None
    connected: bool | None
    firmware: str | None


class SeriesPointOut(Document):
    """The beginning of a step (or the time of a message) and the value."""

    ts: Time
    value: Value


class CurveOut(Document):
    """One metric; steps without a value are left out."""

    metric: str
    points: list[SeriesPointOut]


class SeriesOut(Document):
    """Metrics over a span: whole steps, so `from` and `to` may differ slightly from the request."""

    device: str
    tenant: str
    start: Time
    end: Time
    source: Literal["messages", "minutes", "hours", "days"]
    step_seconds: float | None
    aggregate: Aggregate | None
    curves: list[CurveOut]


class BandOut(Document):
    """One metric as columns of equal length. Null in all of them: a gap."""

    metric: str
    ts: list[int] = Field(description="Beginning of each step, in epoch milliseconds.")
    min: list[float | None]
    mean: list[float | None]
    max: list[float | None]
    count: list[int | None]


class ChartOut(Document):
    """Minimum, mean and maximum over a span: whole steps, so `start` and `end` may differ slightly
    from the request."""

    device: str
    tenant: str
    start: Time
    end: Time
    source: Literal["messages", "minutes", "hours", "days"]
    step_seconds: float | None = Field(description="Null: each point is a message.")
    curves: list[BandOut]


class MetricsOut(Document):
    """The names of a device's metrics."""

    device: str
    tenant: str
    metrics: list[str]


class DeadLetterOut(Document):
    """A message that could not be stored, with the reason."""

    id: int
    received_at: Time
    reason: str
    detail: str
    topic: str
    tenant: str | None
    device: str | None
    size: int
    payload: str
    encoding: Literal["text", "base64"]


class StrangerOut(Document):
    """An unknown device: it publishes but was never added."""

    dialect: str
    tenant: str
    name: str
    first_seen_at: Time
    last_seen_at: Time
    messages: int
    last_topic: str


@router.get("/devices/{device}/latest", response_model=LatestOut)
def latest(
    devices: DevicesNow, telemetry: TelemetryNow, who: Who, device: DeviceReference
) -> dict[str, Any]:
    """Returns the newest message of each channel of a device."""
    found = devices.get(who, device)
    return documents.latest(found, telemetry.latest(who, found))


@router.get("/latest", response_model=PageOf[DeviceLatestOut])
def latest_of_many(
    telemetry: TelemetryNow, who: Who, paging: PagingDep, tenant: Word | None = None
) -> PageOf[dict[str, Any]]:
    """Lists the newest messages of many devices, in the order in which the devices were added."""
    (after,) = paging.key(int) or (0,)
    found = telemetry.latest_many(who, limit=paging.limit + 1, after=int(after), tenant=tenant)
    items = [documents.latest_of_one(one) for one in found]
    return paging.cut(items, lambda item: (item["id"],))


@router.get("/devices/{device}/history", response_model=PageOf[MessageOut] | PageOf[PointOut])
def history(
    *,
    devices: DevicesNow,
    telemetry: TelemetryNow,
    who: Who,
    device: DeviceReference,
    paging: PagingDep,
    start: Annotated[When, Query(alias="from", description="Start time (inclusive).")] = None,
    end: Annotated[When, Query(alias="to", description="Before this.")] = None,
    metric: Annotated[
        Line, Query(description="Only values of this metric: `temperature`, `gps.lat`.")
    ] = "",
    channel: Annotated[Word | None, Query(description="Only this channel.")] = None,
    order: Annotated[Order, Query(description="Order by time; `desc` is newest first.")] = "desc",
) -> Any:
    """Lists stored messages of a device, or the values of one metric."""
    found = devices.get(who, device)
    now = now_ms()
    options: dict[str, Any] = {
        "start": parse_when(start, now) if start is not None else None,
        "end": parse_when(end, now) if end is not None else None,
        "channel": channel,
        "limit": paging.limit,
        "cursor": paging.key(int, int),
        "newest_first": order == "desc",
    }
    if metric:
        points = telemetry.points(who, found, metric, **options)
        return paging.page([documents.point(one) for one in points.items], points.next)
    messages = telemetry.history(who, found, **options)
    return paging.page([documents.message(one) for one in messages.items], messages.next)


@router.get("/devices/{device}/metrics", response_model=MetricsOut)
def metrics_of_device(
    devices: DevicesNow, charts: ChartsNow, who: Who, device: DeviceReference
) -> dict[str, Any]:
    """Lists the metrics that a device has sent. A new one appears within two minutes."""
    found = devices.get(who, device)
    return {
        "device": found.name,
        "tenant": found.tenant,
        "metrics": charts.metrics(who, found),
    }


@router.get("/devices/{device}/series", response_model=SeriesOut)
def series_of_device(
    *,
    devices: DevicesNow,
    charts: ChartsNow,
    who: Who,
    device: DeviceReference,
    metric: Metrics,
    start: Start,
    end: End = "now",
    points: Annotated[
        int, Query(ge=2, le=POINTS_MAX, description="Maximum number of points for each metric.")
    ] = 1000,
    step: Step = None,
    aggregate: Annotated[
        Aggregate | None,
        Query(
            description="Aggregation of the values within a step. Default: unchanged values if "
            "there are few messages, otherwise averages."
        ),
    ] = None,
    lttb: Annotated[
        bool, Query(description="Thin out points while keeping the shape of the curve.")
    ] = False,
    channel: Annotated[Word | None, Query(description="Only this channel.")] = None,
) -> dict[str, Any]:
    """Returns exact metrics over a span, from messages if there are few, otherwise from "
    "roll-ups."""
    found = devices.get(who, device)
    now = now_ms()
    chart = charts.series(
        who,
        found,
        metric,
        parse_when(start, now),
        parse_when(end, now),
        points=points,
        step_ms=round(step * 1000) if step is not None else None,
        aggregate=aggregate,
        lttb=lttb,
        channel=channel,
    )
    return {
        "device": found.name,
        "tenant": found.tenant,
        "start": chart.start,
        "end": chart.end,
        "source": chart.source,
        "step_seconds": chart.step_ms / 1000 if chart.step_ms is not None else None,
        "aggregate": chart.aggregate,
        "curves": chart.curves,
    }


@router.get("/devices/{device}/chart", response_model=ChartOut)
def chart_of_device(
    *,
    devices: DevicesNow,
    charts: ChartsNow,
    who: Who,
    device: DeviceReference,
    metric: Metrics,
    start: Start,
    end: End = "now",
    points: Annotated[
        int, Query(ge=2, le=POINTS_MAX, description="Maximum number of steps for each metric.")
    ] = 1000,
    step: Step = None,
    channel: Annotated[Word | None, Query(description="Only this channel.")] = None,
) -> dict[str, Any]:
    """Returns minimum, mean and maximum of each step of several metrics, as columns."""
    found = devices.get(who, device)
    now = now_ms()
    bands = charts.bands(
        who,
        found,
        metric,
        parse_when(start, now),
        parse_when(end, now),
        points=points,
        step_ms=round(step * 1000) if step is not None else None,
        channel=channel,
    )
    return documents.chart(found, bands)


@router.get(
    "/devices/{device}/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}, "application/jsonl": {}}}},
)
def export_of_device(
    *,
    devices: DevicesNow,
    exports: ExportsNow,
    who: Who,
    device: DeviceReference,
    file_format: Annotated[
        Literal["csv", "jsonl"], Query(alias="format", description="File format.")
    ] = "csv",
    start: Annotated[When, Query(alias="from", description="Start time (inclusive).")] = None,
    end: Annotated[When, Query(alias="to", description="Before this.")] = None,
    channel: Annotated[Word | None, Query(description="Only this channel.")] = None,
) -> StreamingResponse:
    """Streams the messages of a device as a file."""
    found = devices.get(who, device)
    now = now_ms()
    pages = exports.of_device(
        who,
        found,
        parse_when(start, now) if start is not None else 0,
        parse_when(end, now) if end is not None else LATEST_MS,
        channel=channel,
    )
    kind = FileFormat(file_format)
    return StreamingResponse(
        exports.text(pages, kind),
        media_type="text/csv; charset=utf-8" if kind is FileFormat.CSV else "application/jsonl",
        headers={"Content-Disposition": f'attachment; filename="messages.{file_format}"'},
    )


@router.get("/dead-letters", response_model=PageOf[DeadLetterOut])
def dead_letters(
    *,
    telemetry: TelemetryNow,
    devices: DevicesNow,
    who: Who,
    paging: PagingDep,
    reason: Annotated[Word | None, Query(description="Only this reason.")] = None,
    device: Annotated[Line | None, Query(description="Only this device.")] = None,
) -> PageOf[dict[str, Any]]:
    """Lists messages that could not be stored, newest first."""
    page = telemetry.dead_letters(
        who,
        limit=paging.limit,
        cursor=paging.key(int),
        reason=reason,
        device=devices.get(who, device) if device else None,
    )
    return paging.page([documents.dead_letter(one) for one in page.items], page.next)


@router.get("/strangers", response_model=PageOf[StrangerOut])
def strangers(telemetry: TelemetryNow, who: Who, paging: PagingDep) -> Any:
    """Lists unknown devices: they publish but were never added. Most recently seen first."""
    page = telemetry.strangers(who, limit=paging.limit, cursor=paging.key(int, str, str, str))
    return paging.page([documents.unknown_device(one) for one in page.items], page.next)
