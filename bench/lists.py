"""How long a list of many devices and a chart of a month take to answer.

``python -m bench.lists``: 100,000 devices, and one device with a month of readings every 10
seconds that is rolled up, on SQLite. No process runs besides; the best of three is printed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mooring.devices.attributes.query import order
from mooring.devices.model import Device
from mooring.dialects import load_all
from mooring.fleet.model import CountBy, Filter
from mooring.fleet.service import DeviceLists
from mooring.identity.actor import SYSTEM
from mooring.presence.states.machine import Record, State
from mooring.presence.states.store import pack
from mooring.rollups.aggregate import summary_of
from mooring.rollups.model import Level, Summary
from mooring.rollups.packing import pack as pack_rollup
from mooring.store import migrate
from mooring.store.engine import Database, now_ms, open_database
from mooring.store.schema import (
    channels,
    device_state,
    devices,
    metrics,
    presence,
    rollups,
    tenants,
)
from mooring.store.version_key import version_key
from mooring.telemetry.series import Charts

__all__ = ["main"]

AT_ONCE, HOUR, DAY = 5_000, 3_600_000, 86_400_000
LISTS: tuple[tuple[str, dict[str, Any], str | None], ...] = (
    ("first page", {}, None),
    *((f"by {name}", {}, name) for name in ("name", "firmware", "presence", "-last_seen_at")),
    ("silent", {"states": ("silent",)}, None),
    ("one firmware", {"firmware": ("1.3.0",)}, None),
    ("silent for 20 h", {"silent_ms": 20 * HOUR}, None),
    ("any problem", {"problems": ("any",)}, None),
    ("search, one match", {"search": "99998"}, None),
    ("search by address", {"search": "10.0.3.7"}, None),
)


def fill(database: Database, number: int) -> None:
    """Devices as a fleet in use has them."""
    chance, now = random.Random(1), now_ms()
    states = [State.ONLINE, State.SILENT, State.OFFLINE]
    with database.write() as connection:
        connection.execute(sa.insert(tenants).values(name="default", created_at=1))
        for start in range(0, number, AT_ONCE):
            ids = range(start + 1, min(start + AT_ONCE, number) + 1)
            of_devices, of_state, of_presence = [], [], []
            for i in ids:
                name = f"d{i:06d}"
                of_devices.append(
                    {"id": i, "tenant": "default", "name": name, "scope": "x", "label": f"Room {i}"}
                    | {"dialect": "pulse" if i % 3 else "mooring", "username": f"u{i:06d}"}
                    | {"client_id": name, "enabled": True, "created_at": now - i * 1000}
                )
                version = f"1.{chance.randrange(8)}.0"
                of_state.append(
                    {"device_id": i, "last_seen_at": now - chance.randrange(DAY)}
                    | {"connected": True, "firmware": version, "firmware_key": version_key(version)}
                    | {"address": f"10.0.{i % 256}.{i // 256 % 256}"}
                )
                state = chance.choices(states, [96, 2, 2])[0]
                record = pack(Record(state=state, since=now))
                of_presence.append({"device_id": i, "state": str(state), "record": record})
            connection.execute(sa.insert(devices), of_devices)
            connection.execute(sa.insert(device_state), of_state)
            connection.execute(sa.insert(presence), of_presence)


def fill_month(database: Database, end: int) -> None:
    """Roll-ups of a month of readings every 10 seconds, with one spike."""
    with database.write() as connection:
        connection.execute(
            sa.insert(channels).values(id=1, dialect="mooring", name="telemetry", kind="telemetry")
        )
        connection.execute(sa.insert(metrics).values(id=1, name="t"))
        rows = []
        for hour in range(30 * 24):
            start = end - (hour + 1) * HOUR
            whole: Summary = summary_of(26.0, start)
            whole.count = whole.numbers = 360
            whole.total, whole.maximum = 26.0 * 360, 85.0 if hour == 300 else 26.5
            bucket = start // 60_000
            key = {"device_id": 1, "channel_id": 1, "level": int(Level.HOUR), "bucket": bucket}
            rows.append(key | {"data": pack_rollup({1: whole}, start)})
        connection.execute(sa.insert(rollups), rows)


def best(work: Callable[[], object]) -> float:
    """Milliseconds."""
    found = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found) * 1000


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        database = open_database(f"sqlite:///{directory}/bench.db")
        migrate.upgrade(database)
        fill(database, options.devices)
        lists = DeviceLists(database)
        for name, given, sort in LISTS:
            by = order(sort) if sort else None
            wanted = Filter(**given)
            ms = best(lambda by=by, wanted=wanted: lists.page(  # type: ignore[misc]
                SYSTEM, wanted, order=by, total=True))  # fmt: skip
            print(f"list, {name:20} {ms:8.1f} ms")
        for by_ in CountBy:
            ms = best(lambda by_=by_: lists.counts(SYSTEM, by_))  # type: ignore[misc]
            print(f"count by {by_!s:17} {ms:8.1f} ms")
        end = now_ms() // HOUR * HOUR
        fill_month(database, end)
        device = Device(1, "default", "d000001", "", "mooring", None, "u", "c", True, 0)
        charts = Charts(database, load_all(Path("/nonexistent")))
        step = HOUR

        def month() -> Any:
            return charts.bands(SYSTEM, device, ["t"], end - 30 * DAY, end, step_ms=step)

        greatest = max(value for value in month().curves[0].greatest if value is not None)
        print(f"chart of a month           {best(month):8.1f} ms, greatest value {greatest}")
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
