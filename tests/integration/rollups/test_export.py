"""Files hold every message as it was sent, however many, and nobody else's."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pyarrow.parquet import ParquetFile

from mooring.devices.service import Devices
from mooring.errors import Invalid, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.secrets.instance import open_instance
from mooring.store.schema import devices, messages, tenants
from mooring.telemetry import export
from mooring.telemetry.export import Exports, FileFormat, Record
from mooring.telemetry.when import LATEST_MS
from tests.integration.rollups.stand import START, Stand

ODD = '{"ts": 1.10,\n "values": {"t": 1e3, "s": "a,\\"b\\"\\u00e9"}}'


@pytest.fixture
def exports(stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exports]:
    """Devices a1 and a2 of acme, h1 of home."""
    monkeypatch.setattr(export, "PAGE", 3)
    monkeypatch.setattr(export, "DEVICES_AT_ONCE", 2)
    with stand.database.write() as connection:
        for tenant in ("acme", "home"):
            connection.execute(sa.insert(tenants).values(name=tenant, created_at=0))
        for number, name in enumerate(("a1", "a2", "h1"), 1):
            connection.execute(
                sa.insert(devices).values(
                    id=number,
                    tenant="acme" if name[0] == "a" else "home",
                    name=name,
                    scope="s",
                    dialect="mooring",
                    username=name,
                    client_id=name,
                    created_at=0,
                )
            )
    stand.batch([(1, n % 2 + 1, START + n // 2, {"n": n}) for n in range(10)])
    stand.batch([(2, 1, START, {"n": 1}), (3, 1, START, {"n": 1})])
    with stand.database.write() as connection:
        connection.execute(sa.update(messages).where(messages.c.id == 12).values(payload=ODD))
    yield Exports(
        stand.database,
        stand.catalogue,
        Devices(stand.database, stand.catalogue, open_instance(tmp_path)),
    )
    with stand.database.write() as connection:
        connection.execute(sa.delete(devices))
        connection.execute(sa.delete(tenants))


def lines(pages: Iterator[list[Record]]) -> list[dict[str, Any]]:
    text = b"".join(Exports.text(pages, FileFormat.JSONL)).decode()
    return [json.loads(line) for line in text.splitlines()]


def test_a_device_in_order_and_without_gaps_between_pages(exports: Exports) -> None:
    device = exports.devices.get(SYSTEM, "a1")
    found = lines(exports.of_device(SYSTEM, device, 0, LATEST_MS))
    assert [line["payload"]["values"]["n"] for line in found] == list(range(10))
    assert found[3] == {
        "tenant": "acme",
        "device": "a1",
        "channel": "event",
        "kind": "event",
        "ts": "2026-01-01T00:00:00.001Z",
        "received_at": "2026-01-01T00:00:00.001Z",
        "time_source": "device",
        "seq": None,
        "payload": {"ts": START + 1, "values": {"n": 3}, "meta": {"a": 1}},
    }


def test_spans_and_channels(exports: Exports) -> None:
    device = exports.devices.get(SYSTEM, "a1")
    found = lines(exports.of_device(SYSTEM, device, START + 1, START + 3, channel="telemetry"))
    assert [line["payload"]["values"]["n"] for line in found] == [2, 4]
    with pytest.raises(Invalid) as error:
        exports.of_device(SYSTEM, device, 5, 5)
    assert error.value.slug == "invalid_span"


def test_many_devices(exports: Exports) -> None:
    found = lines(exports.of_many(SYSTEM, 0, LATEST_MS))
    assert [line["device"] for line in found] == ["a1"] * 10 + ["a2", "h1"]
    found = lines(exports.of_many(SYSTEM, 0, LATEST_MS, tenant="home"))
    assert [line["device"] for line in found] == ["h1"]


def test_the_payload_is_as_it_was_sent(exports: Exports) -> None:
    device = exports.devices.get(SYSTEM, "h1")
    pages = list(exports.of_device(SYSTEM, device, 0, LATEST_MS))
    (line,) = b"".join(Exports.text(pages, FileFormat.JSONL)).splitlines()
    assert line.endswith(b'"payload":{"ts":1.10,"values":{"t":1e3,"s":"a,\\"b\\"\\u00e9"}}}')
    text = b"".join(Exports.text(pages, FileFormat.CSV)).decode()
    header, row = csv.reader(io.StringIO(text, newline=""))
    assert header == list(export.COLUMNS)
    assert row[-1] == ODD


def test_the_wall_between_tenants(exports: Exports) -> None:
    mine = Actor("ada", Role.VIEWER, "home")
    with pytest.raises(NotFound):
        exports.of_device(mine, exports.devices.get(SYSTEM, "a1"), 0, LATEST_MS)
    with pytest.raises(NotFound):
        exports.of_many(mine, 0, LATEST_MS, tenant="acme")
    assert [line["device"] for line in lines(exports.of_many(mine, 0, LATEST_MS))] == ["h1"]


def test_without_pyarrow_the_error_says_so(
    exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Invalid) as error:
        exports.parquet(exports.of_many(SYSTEM, 0, LATEST_MS), io.BytesIO())
    assert error.value.slug == "parquet_missing"
    assert "mooring[parquet]" in error.value.hint


def test_parquet_holds_the_same(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """In groups of rows: a long export is not held in memory."""
    monkeypatch.setattr(export, "GROUP", 4)
    file = io.BytesIO()
    exports.parquet(exports.of_many(SYSTEM, 0, LATEST_MS), file)
    read = ParquetFile(file)
    assert read.metadata.num_rows == 12
    assert read.metadata.num_row_groups > 1
    found = read.read().to_pylist()
    expected = lines(exports.of_many(SYSTEM, 0, LATEST_MS))
    assert [row["device"] for row in found] == [line["device"] for line in expected]
    assert [row["ts"].timestamp() * 1000 for row in found[:10]] == [
        START + n // 2 for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    ]
    assert ODD in {row["payload"] for row in found}
    assert all(
        json.loads(row["payload"]) == line["payload"]
        for row, line in zip(found, expected, strict=True)
    )
