"""What many rows cost: the rate of ingest, a month on a chart, the newest of every device.

See ``bench.filling`` for the rows.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from bench.arena import TENANT, Arena, template
from bench.contestants import ALL
from bench.contestants.mooring import SQLITE
from bench.figures import percentile, ratios, spreads
from bench.filling import Filling, fill
from bench.ingest import Round, fresh_ground, run_on
from mooring.app import open_app
from mooring.identity.actor import SYSTEM
from mooring.run.process import collect_rarely
from mooring.telemetry.series import Charts
from tests.support.postgres import Postgres

__all__ = ["measure"]

Say = Callable[[str], None]

AGAIN = 21  # times a question is asked
METRIC = "temperature"
FEW, EVERY = "20 devices", "all devices"  # who sends while the rate is taken
USUAL = {FEW: 40_000, EVERY: 10_000}  # messages a second, about


def measure(
    *,
    rows: int = 10_000_000,
    devices: int = 10_000,
    rounds: int = 3,
    seconds: float = 5.0,
    name: str = SQLITE.name,
    say: Say = print,
) -> dict[str, Any]:
    """Empty and filled in turn, then questions to the filled one.

    Args:
        rows: messages stored before.
        devices: of which they come; all of them send while the rate is taken.
        rounds: how often the rate is taken, of either.
        seconds: how long each time, about.
        name: which of the contestants: Mooring, on one of its databases.
    """
    one = ALL[name]
    found: dict[str, dict[str, list[Round]]] = {
        load: {"empty": [], "filled": []} for load in (FEW, EVERY)
    }
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(template(devices=devices))
        server = stack.enter_context(Postgres()) if one.postgresql else None
        ground = stack.enter_context(fresh_ground(one, made, server))
        filling = fill(ground.arena, devices=devices, rows=rows, say=say)
        for number in range(rounds):
            for load in (FEW, EVERY):
                count = int(USUAL[load] * seconds)
                with fresh_ground(one, made, server, count=count) as fresh:
                    fill(fresh.arena, devices=devices, rows=0, say=say)
                    empty = run_on(one, fresh, few=load == FEW)
                full = replace(ground, count=count, filled=True)
                filled = run_on(one, full, few=load == FEW)
                found[load]["empty"].append(empty)
                found[load]["filled"].append(filled)
                say(
                    f"round {number + 1}, {load} send: empty {empty['rate']:,.0f}/s,"
                    f" with {rows:,} rows {filled['rate']:,.0f}/s"
                )
        answers = _ask(ground.arena, filling, devices, say)
    return {
        "store": name,
        "title": one.title,
        "rows": rows,
        "devices": devices,
        "filling": asdict(filling),
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


def _ask(where: Arena, filling: Filling, devices: int, say: Say) -> dict[str, Any]:
    """Charts and newest values, asked of a process that does nothing else, as ``serve`` runs."""
    collect_rarely()
    with open_app(where.settings) as app:
        charts = Charts(app.database, app.catalogue)
        device = app.devices.get(SYSTEM, f"{TENANT}:d1")

        def month(**options: Any) -> int:
            found = charts.series(
                SYSTEM, device, [METRIC], filling.month_begin, filling.begin, points=1000, **options
            )
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
