"""Reading back what devices sent. Every answer is what the actor may see and no more."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from mooring.devices.model import Device
from mooring.dialects import Catalogue, Channel, Format, Scalar, TimeSource, readings
from mooring.dialects.lenient import parse
from mooring.errors import NotFound
from mooring.identity.actor import Actor, Role
from mooring.store.engine import Database, now_ms
from mooring.store.processes import WORKERS, is_alive
from mooring.store.schema import dead_letters, strangers
from mooring.telemetry import store
from mooring.telemetry.mention import mentions
from mooring.telemetry.model import (
    DeadLetter,
    DeviceLatest,
    Key,
    Overview,
    Page,
    Point,
    ProcessInfo,
    Reading,
    Stranger,
    WorkerInfo,
)

__all__ = ["DEAD_LETTERS_COUNTED", "Telemetry"]

SCAN_MAX = 20_000  # rows one page of a metric's points may look at
SCAN_BYTES = 16_777_216  # of payload, where parsing counts several times
PARSING_COSTS = 8
SCAN_CHUNK = 250
DEAD_LETTERS_COUNTED = 10_000

_DEVICE, _RECEIVED, _IMPLAUSIBLE = (
    source.value for source in (TimeSource.DEVICE, TimeSource.RECEIVED, TimeSource.IMPLAUSIBLE)
)
_TIME_SOURCES = {0: _DEVICE, 1: _RECEIVED, 2: _IMPLAUSIBLE}


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What devices of one installation said.

    Attributes:
        database: where it is.
        catalogue: the dialects that tell readings from the rest of a payload.
    """

    database: Database
    catalogue: Catalogue
    _channels: dict[tuple[str, str], Channel | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    # ------------------------------------------------------------------ newest

    def latest(self, actor: Actor, device: Device) -> list[Reading]:
        """The newest message of each channel, by channel name.

        Raises:
            NotFound: the device belongs to a tenant the actor does not see.
        """
        actor.require(Role.VIEWER, device.tenant)
        with self.database.read() as connection:
            rows = store.latest_of(connection, device.id)
        return [self._reading(device.dialect, row) for row in rows]

    def latest_many(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        after: int = 0,
        tenant: str | None = None,
        among: Collection[int] | None = None,
    ) -> list[DeviceLatest]:
        """The same for many devices in one statement, in the order they were added.

        Args:
            limit: devices at most.
            after: continue behind the device with this number.
            tenant: only its devices.
            among: only the devices with these numbers, 500 at most.
        """
        actor.require(Role.VIEWER, tenant or actor.tenant)
        with self.database.read() as connection:
            rows = store.latest_page(
                connection, actor, limit=limit, after=after, tenant=tenant, among=among
            )
        return [self._device_latest(list(of_one)) for _, of_one in groupby(rows, lambda r: r[0])]

    def _device_latest(self, rows: list[Sequence[Any]]) -> DeviceLatest:
        number, tenant, name, label, dialect, seen, online, connected, firmware = rows[0][:9]
        said = [self._reading(dialect, row[9:]) for row in rows if row[9] is not None]
        return DeviceLatest(
            number, tenant, name, label, dialect, seen, online, connected, firmware, said
        )

    # ------------------------------------------------------------------ history

    def history(
        self,
        actor: Actor,
        device: Device,
        *,
        start: int | None = None,
        end: int | None = None,
        channel: str | None = None,
        limit: int = 50,
        cursor: Key | None = None,
        newest_first: bool = False,
    ) -> Page[Reading]:
        """Stored messages in the order of their time.

        Args:
            start, end: epoch milliseconds; ``end`` itself is not included.
            channel: only this channel's.
            limit: messages at most.
            cursor: ``Page.next`` of the page before.

        Raises:
            NotFound: the device has no such channel, or is another tenant's.
        """
        actor.require(Role.VIEWER, device.tenant)
        with self.database.read() as connection:
            rows = store.history_rows(
                connection,
                device.id,
                start=start,
                end=end,
                channel_ids=self._channel_ids(connection, device, channel),
                after=cursor,
                newest_first=newest_first,
                limit=limit + 1,
            )
        more = len(rows) > limit
        found = [self._reading(device.dialect, row) for row in rows[:limit]]
        return Page(found, _key(rows[limit - 1]) if more else None)

    def points(
        self,
        actor: Actor,
        device: Device,
        metric: str,
        *,
        start: int | None = None,
        end: int | None = None,
        channel: str | None = None,
        limit: int = 50,
        cursor: Key | None = None,
        newest_first: bool = False,
    ) -> Page[Point]:
        """The values of one metric (``temperature``, ``gps.lat``) in the order of time.

        A page may hold fewer points than ``limit`` and still have a next one: messages
        without the metric are looked at as well, ``SCAN_MAX`` or ``SCAN_BYTES`` at most for one
        page. A message that cannot hold the metric is not parsed.
        """
        actor.require(Role.VIEWER, device.tenant)
        points: list[Point] = []
        scanned = spent = 0
        with self.database.read() as connection:
            ids = self._channel_ids(connection, device, channel)
            while scanned < SCAN_MAX and spent < SCAN_BYTES:
                rows = store.history_rows(
                    connection,
                    device.id,
                    start=start,
                    end=end,
                    channel_ids=ids,
                    after=cursor,
                    newest_first=newest_first,
                    limit=SCAN_CHUNK,
                )
                for row in rows:
                    if spent >= SCAN_BYTES:
                        return Page(points, cursor)
                    cursor, text = _key(row), row[5]
                    if not mentions(text, metric):
                        spent += len(text)
                        continue
                    spent += PARSING_COSTS * len(text)
                    said = self._reading(device.dialect, row)
                    if metric in said.values:
                        points.append(_point(said, metric))
                        if len(points) == limit:
                            return Page(points, cursor)
                scanned += len(rows)
                if len(rows) < SCAN_CHUNK:
                    return Page(points)
        return Page(points, cursor)

    def _channel_ids(
        self, connection: Connection, device: Device, channel: str | None
    ) -> list[int] | None:
        if channel is None:
            return None
        ids = store.channel_ids(connection, device.dialect, channel)
        if not ids and self._channel(device.dialect, channel) is None:
            raise NotFound(
                f"Devices of the dialect {device.dialect} have no channel {channel}.",
                hint=f"`mooring dialect show {device.dialect}` lists its channels.",
                code="channel_not_found",
            )
        return ids

    # ------------------------------------------------------------------ what went wrong

    def dead_letters(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        cursor: Key | None = None,
        reason: str | None = None,
        device: Device | None = None,
    ) -> Page[DeadLetter]:
        """Messages that were rejected, the newest first.

        Those whose tenant is not known are shown only to who sees every tenant.
        """
        actor.require(Role.VIEWER, device.tenant if device is not None else actor.tenant)
        with self.database.read() as connection:
            found = store.dead_letter_page(
                connection,
                actor,
                limit=limit + 1,
                before=int(cursor[0]) if cursor else None,
                reason=reason,
                device_id=device.id if device is not None else None,
            )
        page = found[:limit]
        return Page(page, (page[-1].id,) if len(found) > limit else None)

    def strangers(
        self, actor: Actor, *, limit: int = 50, cursor: Key | None = None
    ) -> Page[Stranger]:
        """Devices that speak but were never added; who was heard last comes first."""
        actor.require(Role.VIEWER, actor.tenant)
        with self.database.read() as connection:
            found = store.stranger_page(connection, actor, limit=limit + 1, after=cursor)
        page = found[:limit]
        if len(found) <= limit:
            return Page(page)
        last = page[-1]
        return Page(page, (last.last_seen_at, last.dialect, last.tenant, last.name))

    # ------------------------------------------------------------------ figures

    def overview(self, actor: Actor) -> Overview:
        """Figures for ``status``; those of the whole installation only for who sees it."""
        actor.require(Role.VIEWER, actor.tenant)
        everything = actor.tenant is None
        with self.database.read() as connection:
            devices, online, connected = store.device_counts(connection, actor)
            waiting, error = store.broker_changes_state(connection) if everything else (0, "")
            return Overview(
                devices=devices,
                online=online,
                connected=connected,
                strangers=store.rows_kept(
                    connection, actor, strangers, at_most=DEAD_LETTERS_COUNTED
                ),
                dead_letters=store.rows_kept(
                    connection, actor, dead_letters, at_most=DEAD_LETTERS_COUNTED
                ),
                counters=store.counter_values(connection) if everything else {},
                broker_changes_pending=waiting,
                broker_changes_error=error,
                downlinks_open=store.downlinks_open(connection) if everything else 0,
                processes=_processes(store.process_rows(connection)) if everything else [],
            )

    def processes(self) -> list[ProcessInfo]:
        """What runs; for the platform itself."""
        with self.database.read() as connection:
            return _processes(store.process_rows(connection))

    def counters(self) -> dict[str, int]:
        """The platform's counters; for the platform itself."""
        with self.database.read() as connection:
            return store.counter_values(connection)

    # ------------------------------------------------------------------ rows to values

    def _channel(self, dialect: str, name: str) -> Channel | None:
        """``None`` for one that was in the dialect when the message came, and no longer exists."""
        key = (dialect, name)
        if key not in self._channels:
            known = dialect in self.catalogue.names()
            self._channels[key] = self.catalogue.get(dialect).channel(name) if known else None
        return self._channels[key]

    def _reading(self, dialect: str, row: Sequence[Any]) -> Reading:
        name, kind, ts, received_at, source, text, *rest = row
        payload, values = self._said(dialect, name, text)
        number, seq = rest or (None, None)
        return Reading(
            name,
            kind,
            ts,
            received_at,
            _TIME_SOURCES.get(source, _RECEIVED),
            values,
            payload,
            number,
            seq,
        )

    def _said(self, dialect: str, name: str, text: str) -> tuple[Any, dict[str, Scalar]]:
        channel = self._channel(dialect, name)
        if channel is not None and channel.payload.format in (Format.TEXT, Format.ANY):
            return text, {}
        try:
            body = parse(text)
        except (msgspec.DecodeError, RecursionError):
            return text, {}  # a channel that takes text as well as JSON
        if channel is not None and not isinstance(body, dict):
            return text, {}  # such a channel takes only an object as JSON
        return body, readings(channel.payload, body) if channel is not None else {}


def _key(row: Sequence[Any]) -> Key:
    return (row[2], row[6])  # ts, id


def _point(said: Reading, metric: str) -> Point:
    return Point(said.ts, said.values[metric], said.channel, said.received_at, said.time_source)


def _object(text: str | None) -> dict[str, Any]:
    found = json.loads(text) if text else {}
    return found if isinstance(found, dict) else {}


def _processes(rows: store.Rows) -> list[ProcessInfo]:
    at, found = now_ms(), []
    for name, role, pid, host, started, beat, text in rows:
        detail = _object(text)
        workers = _workers(detail.pop(WORKERS, {}))
        alive = is_alive(beat, at)
        found.append(ProcessInfo(name, role, pid, host, started, beat, alive, detail, workers))
    return found


def _workers(report: Any) -> list[WorkerInfo]:
    if not isinstance(report, dict):
        return []
    return [
        WorkerInfo(
            str(name),
            str(said.get("phase", "")),
            int(said.get("failures", 0)),
            int(said.get("failures_in_a_row", 0)),
            str(said.get("error", "")),
            int(said.get("rows_postponed", 0)),
            int(said.get("row_failures", 0)),
            str(said.get("row_error", "")),
        )
        for name, said in report.items()
        if isinstance(said, dict)
    ]
