"""Messages as a file: CSV, JSON lines or Parquet, page by page, so that memory stays flat.

The payload comes out as it was sent, digit for digit; only line breaks between its tokens go,
because a message is one line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any, BinaryIO

import msgspec

from mooring.devices.model import Device
from mooring.devices.service import Devices
from mooring.dialects import Catalogue, Format, TimeSource, iso
from mooring.errors import Invalid
from mooring.identity.actor import Actor, Role
from mooring.store.engine import Database
from mooring.telemetry import store
from mooring.telemetry.cells import safe_cell
from mooring.telemetry.model import Key

__all__ = ["Exports", "FileFormat", "Record"]

PAGE = 2000  # messages in memory at once
DEVICES_AT_ONCE = 500
GROUP = 50_000  # messages in one row group of a Parquet file

COLUMNS = (
    "tenant",
    "device",
    "channel",
    "kind",
    "ts",
    "received_at",
    "time_source",
    "seq",
    "payload",
)
_SOURCES = {
    0: TimeSource.DEVICE.value,
    1: TimeSource.RECEIVED.value,
    2: TimeSource.IMPLAUSIBLE.value,
}


class FileFormat(StrEnum):
    """File format."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Record:
    """One message. Times are epoch milliseconds; ``is_json`` says what ``payload`` is."""

    tenant: str
    device: str
    channel: str
    kind: str
    ts: int
    received_at: int
    time_source: str
    seq: int | None
    payload: str
    is_json: bool


@dataclass(frozen=True, slots=True)
class Exports:
    """Files of one installation's messages.

    Attributes:
        database, catalogue: where messages are, and what their payloads are.
        devices: whose they are.
    """

    database: Database
    catalogue: Catalogue
    devices: Devices

    # ------------------------------------------------------------------ what goes in

    def of_device(
        self, actor: Actor, device: Device, start: int, end: int, *, channel: str | None = None
    ) -> Iterator[list[Record]]:
        """A device's messages in the order of their time, a page at a time.

        Args:
            start, end: epoch milliseconds; ``end`` is not included.
            channel: only this channel's.

        Raises:
            NotFound: the device is another tenant's.
            Invalid: the span is none.
        """
        actor.require(Role.VIEWER, device.tenant)
        _check(start, end)
        return self._pages(device, start, end, channel)

    def of_many(
        self, actor: Actor, start: int, end: int, *, tenant: str | None = None
    ) -> Iterator[list[Record]]:
        """The messages of every device the actor sees, or of a tenant's, device by device."""
        actor.require(Role.VIEWER, tenant or actor.tenant)
        _check(start, end)
        return self._pages_of_many(actor, start, end, tenant)

    # ------------------------------------------------------------------ what comes out

    @staticmethod
    def text(pages: Iterable[Sequence[Record]], file_format: FileFormat) -> Iterator[bytes]:
        """The file in pieces: CSV with a header, or a JSON document a line."""
        if file_format is FileFormat.CSV:
            yield _csv([COLUMNS])
            for page in pages:
                yield _csv([_cells(record) for record in page])
        else:
            for page in pages:
                yield b"".join([_line(record) for record in page])

    @staticmethod
    def parquet(pages: Iterable[Sequence[Record]], file: BinaryIO) -> None:
        """Writes a Parquet file, in groups of ``GROUP`` rows.

        Raises:
            Invalid: the package it takes is not installed.
        """
        arrow, writer_of = _arrow()
        stamp = arrow.timestamp("ms", tz="UTC")
        types = {"ts": stamp, "received_at": stamp, "seq": arrow.int64()}
        schema = arrow.schema([(name, types.get(name, arrow.string())) for name in COLUMNS])
        waiting: list[Record] = []

        def table() -> Any:
            return arrow.table(
                {name: [getattr(record, name) for record in waiting] for name in COLUMNS},
                schema=schema,
            )

        with writer_of(file, schema, compression="zstd") as writer:
            for page in pages:
                waiting += page
                if len(waiting) >= GROUP:
                    writer.write_table(table())
                    waiting = []
            if waiting:
                writer.write_table(table())

    # ------------------------------------------------------------------ inside

    def _pages_of_many(
        self, actor: Actor, start: int, end: int, tenant: str | None
    ) -> Iterator[list[Record]]:
        after = 0
        while True:
            some = self.devices.page(actor, limit=DEVICES_AT_ONCE, after=after, tenant=tenant)
            for device in some:
                yield from self._pages(device, start, end, None)
            if len(some) < DEVICES_AT_ONCE:
                return
            after = some[-1].id

    def _pages(
        self, device: Device, start: int, end: int, channel: str | None
    ) -> Iterator[list[Record]]:
        texts = self._text_channels(device.dialect)
        after: Key | None = None
        while True:
            with self.database.read() as connection:
                ids = (
                    None
                    if channel is None
                    else store.channel_ids(connection, device.dialect, channel)
                )
                rows = store.history_rows(
                    connection,
                    device.id,
                    start=start,
                    end=end,
                    channel_ids=ids,
                    after=after,
                    newest_first=False,
                    limit=PAGE,
                )
            if rows:
                yield [_record(device, row, texts) for row in rows]
            if len(rows) < PAGE:
                return
            after = (rows[-1][2], rows[-1][6])

    def _text_channels(self, dialect: str) -> frozenset[str]:
        """Channels whose payloads may be something else than JSON."""
        if dialect not in self.catalogue.names():
            return frozenset()
        return frozenset(
            channel.name
            for channel in self.catalogue.get(dialect).channels
            if channel.payload.format is not Format.JSON
        )


def _check(start: int, end: int) -> None:
    if start >= end:
        raise Invalid(
            "The span ends before it begins.",
            hint="Give a time in `from` that is before `to`.",
            code="invalid_span",
        )


def _record(device: Device, row: Sequence[Any], texts: frozenset[str]) -> Record:
    channel, kind, ts, received_at, source, payload, _, seq = row
    return Record(
        device.tenant,
        device.name,
        channel,
        kind,
        ts,
        received_at,
        _SOURCES.get(source, TimeSource.RECEIVED.value),
        seq,
        payload,
        channel not in texts,
    )


def _cells(record: Record) -> list[Any]:
    return [
        record.tenant,
        record.device,
        record.channel,
        record.kind,
        iso(record.ts),
        iso(record.received_at),
        record.time_source,
        record.seq,
        record.payload,
    ]


def _csv(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO()
    safe = ([safe_cell(cell) for cell in row] for row in rows)
    csv.writer(text, lineterminator="\r\n").writerows(safe)  # RFC 4180
    return text.getvalue().encode()


def _line(record: Record) -> bytes:
    payload: Any = record.payload
    if record.is_json:
        # The text as it is, not read and written again: 1.10 stays 1.10.
        payload = msgspec.Raw(msgspec.json.format(record.payload.encode(), indent=-1))
    cells = _cells(record)
    cells[-1] = payload
    return msgspec.json.encode(dict(zip(COLUMNS, cells, strict=True))) + b"\n"


def _arrow() -> tuple[Any, Any]:
    try:
        # By name, because it is optional, and large.
        arrow = import_module("pyarrow")
        writer = import_module("pyarrow.parquet").ParquetWriter
    except ImportError as exc:
        raise Invalid(
            "Parquet files need the package pyarrow, which is not installed.",
            hint="Install it: pip install 'mooring[parquet]'; or export csv or jsonl.",
            code="parquet_missing",
        ) from exc
    return arrow, writer
