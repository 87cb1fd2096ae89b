"""Charts: a metric over a span of time, from messages or roll-ups, exact at any moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.devices.model import Device
from mooring.dialects import Catalogue, PayloadLimits, Scalar
from mooring.errors import Invalid, NotFound
from mooring.identity.actor import Actor, Role
from mooring.rollups import metrics, queue
from mooring.rollups.aggregate import add_all, summary_of
from mooring.rollups.extract import Extractor, extractor
from mooring.rollups.model import MINUTE_MS, ROLLED, Level, Summary
from mooring.rollups.reading import buckets, snapshot
from mooring.rollups.rows import fetch, numbers
from mooring.store.engine import Database
from mooring.store.schema import messages
from mooring.telemetry.bands import Bands, band
from mooring.telemetry.lttb import lttb
from mooring.telemetry.resolution import POINTS_MAX, ROWS_MAX, Resolution, choose

__all__ = ["METRICS_MAX", "Aggregate", "Charts", "Curve", "Series", "SeriesPoint"]

METRICS_MAX = 32  # in one question
POINTS_DEFAULT = 1000
_NO_LIMITS = PayloadLimits()


class Aggregate(StrEnum):
    """What becomes of the values within one step."""

    AVG = "avg"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """One point: the beginning of its step (or the time of the message), and the value."""

    ts: int
    value: Scalar


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric.

    Attributes:
        metric: its name.
        points: in the order of time; steps without a value are left out.
    """

    metric: str
    points: list[SeriesPoint]


@dataclass(frozen=True, slots=True)
class Series:
    """What was asked for, and how it was found.

    Attributes:
        start, end: what is covered, epoch milliseconds; whole steps, so it may be a little
            more than was asked for. ``end`` is not included.
        source: ``messages``, ``minutes``, ``hours`` or ``days``.
        step_ms: the length of a step; ``None``: a point is a message (or roll-up) of its own.
        aggregate: what became of the values within a step.
        curves: one for each metric asked for, in that order.
    """

    start: int
    end: int
    source: str
    step_ms: int | None
    aggregate: Aggregate | None
    curves: list[Curve]


_SOURCES = {None: "messages", Level.MINUTE: "minutes", Level.HOUR: "hours", Level.DAY: "days"}
_OF: dict[Aggregate, Callable[[Summary], Scalar | None]] = {
    Aggregate.AVG: lambda s: s.average,
    Aggregate.MIN: lambda s: s.minimum if s.numbers else None,
    Aggregate.MAX: lambda s: s.maximum if s.numbers else None,
    Aggregate.SUM: lambda s: s.total if s.numbers and math.isfinite(s.total) else None,
    Aggregate.COUNT: lambda s: s.count,
    Aggregate.LAST: lambda s: s.last,
}


@dataclass(frozen=True, slots=True)
class Charts:
    """Series of one installation's devices.

    Attributes:
        database: where messages and roll-ups are.
        catalogue: the dialects that tell readings from the rest of a payload.
        limits: how many readings one message may have.
    """

    database: Database
    catalogue: Catalogue
    limits: PayloadLimits = field(default=_NO_LIMITS)

    def metrics(self, actor: Actor, device: Device) -> list[str]:
        """The names of the metrics a device has sent; the newest may be missing for a minute."""
        actor.require(Role.VIEWER, device.tenant)
        with self.database.read() as connection:
            return metrics.metric_names(connection, device.id)

    def series(
        self,
        actor: Actor,
        device: Device,
        wanted: Sequence[str],
        start: int,
        end: int,
        *,
        points: int = POINTS_DEFAULT,
        step_ms: int | None = None,
        aggregate: Aggregate | None = None,
        lttb: bool = False,
        channel: str | None = None,
    ) -> Series:
        """Metrics of a device over a span.

        Args:
            wanted: the metrics' names (``temperature``, ``gps.lat``).
            start, end: epoch milliseconds; ``end`` is not included.
            points: how many points at most, for each metric.
            step_ms: the length of a step instead; ``points`` counts no more then.
            aggregate: what becomes of the values within a step; left out, few messages are
                given as they are, and more as averages.
            lttb: leave out points instead of averaging, so that the curve keeps its shape.
            channel: only this channel's.

        Raises:
            Invalid: the span is none, or the step asks for too much.
            NotFound: the device has no such channel, or is another tenant's.
        """
        actor.require(Role.VIEWER, device.tenant)
        names = list(dict.fromkeys(wanted))
        _check(names, start, end, points)
        with snapshot(self.database) as connection:
            sources = self._sources(connection, device, channel)
            chosen = choose(
                end - start,
                _count(connection, device.id, start, end),
                points=points,
                step_ms=step_ms,
                every_row=aggregate is None,
                curve=lttb,
            )
            unit = chosen.step_ms or (chosen.level.span_ms if chosen.level is not None else 1)
            start, end = start - start % unit, end + -end % unit
            question = _Question(connection, device.id, sources, names, start, end)
            if chosen.level is None and chosen.step_ms is None:
                found = question.messages(self.limits)
                aggregate = None
            else:
                aggregate = aggregate or Aggregate.AVG
                summaries = question.steps(chosen, self.limits)
                found = _aggregated(summaries, names, aggregate)
        return Series(
            start,
            end,
            _SOURCES[chosen.level],
            chosen.step_ms or (unit if chosen.level is not None else None),
            aggregate,
            [Curve(name, _thinned(found[name], points) if lttb else found[name]) for name in names],
        )

    def bands(
        self,
        actor: Actor,
        device: Device,
        wanted: Sequence[str],
        start: int,
        end: int,
        *,
        points: int = POINTS_DEFAULT,
        step_ms: int | None = None,
        channel: str | None = None,
    ) -> Bands:
        """Metrics of a device over a span, with least, mean and greatest value of each step.

        Args:
            wanted: the metrics' names (``temperature``, ``gps.lat``).
            start, end: epoch milliseconds; ``end`` is not included.
            points: how many steps at most.
            step_ms: the length of a step instead; ``points`` counts no more then.
            channel: only this channel's.

        Raises:
            Invalid: the span is none, or the step asks for too much.
            NotFound: the device has no such channel, or is another tenant's.
        """
        actor.require(Role.VIEWER, device.tenant)
        names = list(dict.fromkeys(wanted))
        _check(names, start, end, points)
        with snapshot(self.database) as connection:
            sources = self._sources(connection, device, channel)
            rows = _count(connection, device.id, start, end)
            chosen = choose(end - start, rows, points=points, step_ms=step_ms)
            unit = chosen.step_ms or 1
            start, end = start - start % unit, end + -end % unit
            question = _Question(connection, device.id, sources, names, start, end)
            steps = question.steps(replace(chosen, step_ms=unit), self.limits)
        curves = [band(name, steps, chosen.step_ms) for name in names]
        return Bands(start, end, _SOURCES[chosen.level], chosen.step_ms, curves)

    def _sources(
        self, connection: Connection, device: Device, channel: str | None
    ) -> dict[int, Extractor]:
        """The device's channels that have readings: number → how to get at them."""
        if device.dialect not in self.catalogue.names():
            return {}
        dialect = self.catalogue.get(device.dialect)
        if channel is not None and dialect.channel(channel) is None:
            raise NotFound(
                f"Devices of the dialect {device.dialect} have no channel {channel}.",
                hint=f"`mooring dialect show {device.dialect}` lists its channels.",
                code="channel_not_found",
            )
        found: dict[int, Extractor] = {}
        for number, (of, name) in queue.rolled_channels(connection, ROLLED).items():
            if of != device.dialect or channel not in (None, name):
                continue
            declared = dialect.channel(name)
            how = extractor(declared, self.limits, _ignore) if declared is not None else None
            if how is not None:
                found[number] = how
        return found


# ---------------------------------------------------------------------- inside


def _check(names: Sequence[str], start: int, end: int, points: int) -> None:
    if not 1 <= len(names) <= METRICS_MAX:
        raise Invalid(
            f"{len(names)} metrics were requested; one request accepts 1 to {METRICS_MAX}.",
            hint="Name fewer.",
            code="too_many_metrics",
        )
    if start >= end:
        raise Invalid(
            "The span ends before it begins.",
            hint="Give a time in `from` that is before `to`.",
            code="invalid_span",
        )
    if not 2 <= points <= POINTS_MAX:
        raise Invalid(
            f"{points} points were requested; use 2 to {POINTS_MAX}.",
            hint="Request as many as the width of the chart in pixels.",
            code="too_many_points",
        )


def _count(connection: Connection, device: int, start: int, end: int) -> int:
    """Messages in the span, counted as far as it matters."""
    some = (
        sa.select(messages.c.ts)
        .where(messages.c.device_id == device, messages.c.ts >= start, messages.c.ts < end)
        .limit(ROWS_MAX + 1)
        .subquery()
    )
    return int(connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())


@dataclass(frozen=True, slots=True)
class _Question:
    """What is read: metrics of some channels of a device in a span of whole steps."""

    connection: Connection
    device: int
    sources: Mapping[int, Extractor]
    names: Sequence[str]
    start: int
    end: int

    def messages(self, limits: PayloadLimits) -> dict[str, list[SeriesPoint]]:
        """Every value as it was sent."""
        found: dict[str, list[SeriesPoint]] = {name: [] for name in self.names}
        for ts, values in self._values(limits):
            for name, value in values.items():
                found[name].append(SeriesPoint(ts, value))
        return found

    def steps(self, chosen: Resolution, limits: PayloadLimits) -> dict[int, dict[str, Summary]]:
        """Beginning of a step → metric → summary, in the order of time."""
        found: dict[int, dict[str, Summary]] = {}
        if chosen.level is None:
            assert chosen.step_ms is not None
            for ts, values in self._values(limits):
                step = found.setdefault(ts - ts % chosen.step_ms, {})
                add_all(step, {name: summary_of(value, ts) for name, value in values.items()})
            return found
        unit = chosen.step_ms or chosen.level.span_ms
        ids = metrics.metric_numbers(self.connection, self.names)
        # A name that no roll-up knows may be in messages that wait.
        wanted = {number: name for name, number in ids.items()}
        wanted |= {-place: name for place, name in enumerate(self.names, 1) if name not in ids}
        for channel, how in self.sources.items():
            of_channel = buckets(
                self.connection,
                self.device,
                channel,
                chosen.level,
                start=self.start // MINUTE_MS,
                end=self.end // MINUTE_MS,
                wanted=wanted,
                how=how,
                limit=limits.max_metrics,
            )
            for bucket, summaries in of_channel.items():
                ts = bucket * MINUTE_MS
                add_all(found.setdefault(ts - ts % unit, {}), summaries)
        return dict(sorted(found.items()))

    def _values(self, limits: PayloadLimits) -> Iterable[tuple[int, dict[str, Scalar]]]:
        """(time, metric → value) of every message that has one of the metrics."""
        if not self.sources:
            return
        rows: list[Any] = fetch(
            self.connection,
            "SELECT ts, channel_id, payload FROM messages"  # noqa: S608 - numbers
            f" WHERE device_id = {self.device} AND ts >= {self.start} AND ts < {self.end}"
            f" AND channel_id IN ({numbers(self.sources)}) ORDER BY ts, id",
        )
        for ts, channel, payload in rows:
            how = self.sources[channel]
            (body,) = how.find((payload,))
            if not body:
                continue
            values = how.slowly(body) if _needs_care(body, limits) else _plain(body, how.skip)
            kept = {name: values[name] for name in self.names if name in values}
            if kept:
                yield ts, kept


def _needs_care(body: Mapping[str, Any], limits: PayloadLimits) -> bool:
    return len(body) > limits.max_metrics or any(
        value is None or isinstance(value, dict | list) for value in body.values()
    )


def _plain(body: Mapping[str, Any], skip: frozenset[str]) -> Mapping[str, Scalar]:
    return {name: body[name] for name in body if name not in skip} if skip else body


def _aggregated(
    steps: Mapping[int, Mapping[str, Summary]], names: Sequence[str], aggregate: Aggregate
) -> dict[str, list[SeriesPoint]]:
    value_of = _OF[aggregate]
    found: dict[str, list[SeriesPoint]] = {name: [] for name in names}
    for ts, summaries in steps.items():
        for name, summary in summaries.items():
            value = value_of(summary)
            if value is not None:
                found[name].append(SeriesPoint(ts, value))
    return found


def _thinned(points: list[SeriesPoint], count: int) -> list[SeriesPoint]:
    """At most this many points; what is not a number makes no shape and is left out."""
    if len(points) <= count:
        return points
    drawn = [p for p in points if isinstance(p.value, int | float)]
    return [drawn[i] for i in lttb([(p.ts, float(p.value)) for p in drawn], count)]


def _ignore(_readings: int) -> None:
    """Left out for the limit: counted when the message was rolled up."""
