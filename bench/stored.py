"""What many rows cost: the rate of ingest, a month on a chart, the newest of every device.

Rows are made in bulk, by one SQL statement a million: readings of 230 bytes every
ten seconds, of all devices in turn, in the order of their times, with the indexes in place, so
that the file looks as if ingest had written it. Before them lies one month of the first device.
Roll-ups are made of that month only; the others are taken as long done.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.arena import DIALECT, TENANT, Arena, Template, arena, template
from bench.contestants import Ground
from bench.contestants.mooring import SQLITE, size_of
from bench.figures import percentile, ratios, spreads
from bench.ingest import Round, run_on
from mooring.access.actor import SYSTEM
from mooring.app import App, open_app
from mooring.ingest import channels
from mooring.rollups.service import Roller
from mooring.run.process import collect_rarely
from mooring.store.engine import now_ms
from mooring.store.schema import rollup_queue
from mooring.telemetry.series import Charts

__all__ = ["fill", "measure"]

Say = Callable[[str], None]

EVERY_MS = 10_000
DAY_MS = 86_400_000
MONTH_DAYS = 30
MONTH_ROWS = MONTH_DAYS * DAY_MS // EVERY_MS
CHUNK = 1_000_000
AGAIN = 21  # times a question is asked
METRIC = "temperature"
FEW, EVERY = "20 devices", "all devices"  # who sends while the rate is taken
USUAL = {FEW: 40_000, EVERY: 10_000}  # messages a second, about

# One reading after the other: all devices once, then all devices ten seconds later.
_AT = ":begin + i / :devices * 10000 + i % :devices * 7 % 10000"
_READING = f"""
    printf('{{"sentUs":%d000,"timestamp":%d,"n":%d,"sensors":{{"temperature":%d.%d,"humidity":%d.%d,'
    || '"gasPpm":%d,"voltageV":%d.%d,"powerW":%d.5,"flame":false}},"metadata":{{"pad":'
    || '"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}}}}',
    {_AT}, {_AT}, i, 20 + i / :devices / 360 % 10, i / :devices % 10, 50 + i % 30,
    i / :devices % 10, 400 + i % 50, 229 + i % 2, i / :devices % 10, i % 1500)
"""
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :end)"
_FILL = f"""
{_NUMBERS}
INSERT INTO messages (device_id, channel_id, ts, received_at, seq, time_source, fingerprint,
    payload)
SELECT :device + i % :devices, :channel, {_AT}, {_AT} + 40, NULL, 0,
    random() >> 1 & 4611686018427387903, {_READING}
FROM n
"""
_LATEST = f"""
{_NUMBERS}
INSERT INTO latest (device_id, channel_id, ts, received_at, time_source, payload)
SELECT :device + i % :devices, :channel, {_AT}, {_AT} + 40, 0, {_READING} FROM n
"""
_STATE = f"""
{_NUMBERS}
INSERT INTO device_state (device_id, last_seen_at, online)
SELECT :device + i % :devices, {_AT}, 1 FROM n
"""


def measure(
    *,
    rows: int = 10_000_000,
    devices: int = 10_000,
    rounds: int = 3,
    seconds: float = 5.0,
    say: Say = print,
) -> dict[str, Any]:
    """Empty and filled in turn, then questions to the filled one.

    Args:
        rows: messages stored before.
        devices: of which they come; all of them send while the rate is taken.
        rounds: how often the rate is taken, of either.
        seconds: how long each time, about.
    """
    found: dict[str, dict[str, list[Round]]] = {
        load: {"empty": [], "filled": []} for load in (FEW, EVERY)
    }
    with template(devices=devices) as made, arena(made) as where:
        filling = fill(where, devices=devices, rows=rows, say=say)
        for number in range(rounds):
            for load in (FEW, EVERY):
                count = int(USUAL[load] * seconds)
                empty = _on_empty(made, devices, count, few=load == FEW)
                filled = run_on(SQLITE, Ground(where, count, filled=True), few=load == FEW)
                found[load]["empty"].append(empty)
                found[load]["filled"].append(filled)
                say(
                    f"round {number + 1}, {load} send: empty {empty['rate']:,.0f}/s,"
                    f" with {rows:,} rows {filled['rate']:,.0f}/s"
                )
        answers = _ask(where, filling["month_begin"], filling["begin"], devices, say)
    return {
        "rows": rows,
        "devices": devices,
        "filling": filling,
        "loads": {load: _compared(**rounds_of) for load, rounds_of in found.items()},
        **answers,
    }


def _compared(empty: list[Round], filled: list[Round]) -> dict[str, Any]:
    ratio = ratios([one["rate"] for one in filled], [one["rate"] for one in empty])
    return {
        "empty": {name: one.document() for name, one in spreads(empty).items()},
        "filled": {name: one.document() for name, one in spreads(filled).items()},
        "ratio": None if ratio is None else ratio.document(),
    }


def _on_empty(made: Template, devices: int, count: int, *, few: bool) -> Round:
    with arena(made) as where:
        fill(where, devices=devices, rows=0, say=lambda _: None)
        return run_on(SQLITE, Ground(where, count), few=few)


def fill(where: Arena, *, devices: int, rows: int, say: Say) -> dict[str, Any]:
    """Writes the rows, the newest reading and the state of every device; with rows, also a month
    of the first device and its roll-ups."""
    path = Path(where.settings.sqlite_path)
    begin = now_ms() - 3_600_000 - (rows // devices + 1) * EVERY_MS
    begin -= begin % DAY_MS
    with open_app(where.settings) as app:
        channel = channels.numbers(app.database, app.catalogue)[DIALECT, "telemetry"]
        first = app.devices.get(SYSTEM, f"{TENANT}:d1").id
        ground: dict[str, Any] = {
            "begin": begin,
            "month_begin": begin - MONTH_DAYS * DAY_MS,
            "rollup_bytes": None,
        }
        started = time.monotonic()
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            for pragma in ("synchronous = OFF", "cache_size = -1000000"):
                database.execute(f"PRAGMA {pragma}")
            fixed = {"device": first, "devices": devices, "channel": channel, "begin": begin}
            for statement in (_LATEST, _STATE):
                database.execute(statement, {**fixed, "first": 0, "end": devices})
            if rows:
                month = {**fixed, "devices": 1, "begin": ground["month_begin"]}
                _write(database, month, MONTH_ROWS, say)
        if rows:
            ground["rollup_bytes"] = _roll_up(app, ground["month_begin"], begin)
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                for pragma in ("synchronous = OFF", "cache_size = -1000000"):
                    database.execute(f"PRAGMA {pragma}")
                _write(database, fixed, rows, say)
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            ground["bytes"] = size_of(app.database) / (rows + MONTH_ROWS)
            ground["seconds"] = round(time.monotonic() - started, 1)
            say(f"{rows:,} rows written in {ground['seconds']:.0f} s, {ground['bytes']:.0f} B each")
    return ground


def _write(database: sqlite3.Connection, fixed: dict[str, int], rows: int, say: Say) -> None:
    told = time.monotonic()
    for first in range(0, rows, CHUNK):
        end = min(rows, first + CHUNK)
        database.execute(_FILL, {**fixed, "first": first, "end": end})
        if time.monotonic() - told > 30:
            told = time.monotonic()
            say(f"{end:,} rows")


def _roll_up(app: App, begin: int, end: int) -> float:
    """Roll-ups of the month, which holds the first rows; bytes they take for a message."""
    with app.database.write() as connection:
        connection.execute(
            rollup_queue.insert().values(
                first_id=1, last_id=MONTH_ROWS, first_ts=begin, last_ts=end, claimed=False
            )
        )
    before = size_of(app.database)
    Roller(app.database, lambda: app.catalogue).catch_up(now_ms())
    return (size_of(app.database) - before) / MONTH_ROWS


def _ask(where: Arena, begin: int, end: int, devices: int, say: Say) -> dict[str, Any]:
    """Charts and newest values, asked of a process that does nothing else, as ``serve`` runs."""
    collect_rarely()
    with open_app(where.settings) as app:
        charts = Charts(app.database, app.catalogue)
        device = app.devices.get(SYSTEM, f"{TENANT}:d1")

        def month(**options: Any) -> int:
            found = charts.series(SYSTEM, device, [METRIC], begin, end, points=1000, **options)
            return len(found.curves[0].points)

        def newest() -> int:
            return len(app.telemetry.latest_many(SYSTEM, limit=devices))

        found = {
            "month": _timed(month),
            "month_lttb": _timed(lambda: month(lttb=True)),
            "latest": _timed(newest),
        }
    if found["latest"]["answers"] != devices:
        raise AssertionError(f"{found['latest']['answers']} of {devices} devices were listed.")
    for name, one in found.items():
        say(
            f"{name}: {one['answers']} in {one['median_ms']:.1f} ms"
            f" (first {one['first_ms']:.1f}, slowest {one['most_ms']:.1f})"
        )
    return found


def _timed(question: Callable[[], int]) -> dict[str, float]:
    took: list[float] = []
    answers = 0
    for _ in range(AGAIN):
        started = time.perf_counter()
        answers = question()
        took.append((time.perf_counter() - started) * 1000)
    return {"answers": answers, **_summary(took)}


def _summary(took: Sequence[float]) -> dict[str, float]:
    ordered = sorted(took)
    return {
        "first_ms": round(took[0], 2),
        "median_ms": round(percentile(ordered, 0.5), 2),
        "most_ms": round(ordered[-1], 2),
    }
