"""The tables of a results document. Pure: a document in, Markdown out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bench.figures import Spread
from bench.fleet_report import report_fleet
from bench.tables import NOTHING, number, reached, table, with_spread

__all__ = ["report"]

Document = Mapping[str, Any]


def report(document: Document) -> str:
    """Everything that was measured, as Markdown."""
    parts: list[tuple[str, Callable[[Document], Iterator[str]]]] = [
        ("fleet", report_fleet),
        ("ingest", _ingest),
        ("latency", _latency),
        ("stored", _stored),
        ("memory", _memory),
        ("parts", _parts),
        ("growth", _growth),
        ("idle", _idle),
    ]
    found = [_aims(document)]
    for name, show in parts:
        if name in document:
            found += show(document[name])
    if "machine" in document:
        found.append(_machine(document["machine"]))
    return "\n".join(part for part in found if part)


def _spread(found: Mapping[str, Any] | None) -> Spread | None:
    return None if found is None else Spread(**found)


def _of(document: Document, *path: str) -> Any:
    """What stands at a path, or ``None``."""
    found: Any = document
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def _machine(machine: Document) -> str:
    facts = [f"{machine.get('cores')} cores", machine.get("processor"), machine.get("system")]
    programs = ("mosquitto", "postgresql", "sqlite", "python", "node")
    facts += [f"{name} {machine[name]}" for name in programs if machine.get(name)]
    return "Measured on: " + ", ".join(str(fact) for fact in facts if fact) + ".\n"


# ---------------------------------------------------------------------- aims


def _aims(document: Document) -> str:
    """What was to be reached, and what was."""
    ratio = _of(document, "ingest", "ratios") or {}

    def median(name: str) -> float | None:
        return ratio[name]["median"] if name in ratio else None

    def delay(rate: int, share: str) -> float | None:
        for run in _of(document, "latency", "runs") or ():
            if run["store"] == "sqlite" and run["rate"] == rate:
                return float(run[share])
        return None

    stored = _most_rows(_of(document, "stored") or {})
    memory = _of(document, "memory") or {}
    filling = stored.get("filling") or {}
    size = None
    if filling.get("bytes") and filling.get("rollup_bytes") is not None:
        size = (filling["bytes"] + filling["rollup_bytes"]) / 230
    rows = stored.get("rows")
    aims: list[tuple[str, float | None, float, bool]] = [
        ("rate on SQLite to mosquitto_sub's", median("sqlite / mosquitto_sub"), 1.0, True),
        ("rate on PostgreSQL to mosquitto_sub's", median("postgres / mosquitto_sub"), 0.95, True),
        ("rate on SQLite to the Node backend's", median("sqlite / node"), 10, True),
        ("rate on SQLite to Node-RED's (WAL)", median("sqlite / node-red-sqlite"), 15, True),
        ("rate on SQLite to paho + ORM's", median("sqlite / orm"), 60, True),
        ("CPU on SQLite to mosquitto_sub's", median("CPU of sqlite / mosquitto_sub"), 1.8, False),
        ("publish to committed at 5,000/s, p50, ms", delay(5000, "p50"), 2, False),
        ("the same, p99, ms", delay(5000, "p99"), 8, False),
        ("publish to committed at 400/s, p50, ms", delay(400, "p50"), 1.5, False),
        ("the same, p99, ms", delay(400, "p99"), 8, False),
        (
            f"rate with {number(rows)} rows to the empty store's",
            _of(stored, "loads", "20 devices", "ratio", "median"),
            0.9,
            True,
        ),
        ("a month of a metric on a chart, ms", _of(stored, "month", "median_ms"), 50, False),
        (
            f"newest values of {number(stored.get('devices'))} devices, ms",
            _of(stored, "latest", "median_ms"),
            200,
            False,
        ),
        ("memory of ingest, most, MB", memory.get("most_mb"), 200, False),
        ("memory of the quiet demo (PSS), MB", _of(document, "idle", "pss_mb"), 200, False),
        ("CPU of the quiet demo, % of a core", _of(document, "idle", "cpu_percent"), 2, False),
        ("bytes on disk, indexes and roll-ups, to the payload's", size, 1.6, False),
    ]
    shown = [aim for aim in aims if aim[1] is not None]
    if not shown:
        return ""
    return table(
        ["what", "aim", "measured", "reached"],
        [
            [
                what,
                f"{'≥' if at_least else '≤'} {wanted:g}",
                number(value),
                reached(value, wanted, at_least=at_least),
            ]
            for what, value, wanted, at_least in shown
        ],
    )


def _most_rows(stored: Document) -> Document:
    """Of what was measured on SQLite, that with the most rows."""
    found = [one for one in stored.values() if one["store"] == "sqlite"]
    return max(found, key=lambda one: int(one["rows"]), default={})


# ---------------------------------------------------------------------- ingest


def _ingest(document: Document) -> Iterator[str]:
    yield "### Sustained rate, side by side\n"
    limit = _figures_of(document, "mosquitto_sub").get("rate")
    rows = []
    for one in document["contestants"]:
        if one["not_here"]:
            rows.append([one["title"], *[NOTHING] * 7])
            continue
        figures = {name: Spread(**found) for name, found in one["figures"].items()}
        ratio = None
        if limit is not None:
            ratio = figures["rate"].median / limit["median"]
        rows.append(
            [
                one["title"],
                with_spread(figures.get("rate")),
                number(ratio),
                *(
                    number(figures[name].median if name in figures else None)
                    for name in ("broker_us", "ingest_us", "database_us", "peak_mb", "bytes")
                ),
            ]
        )
    heads = [
        "who",
        "messages/s",
        "to mosquitto_sub",
        "CPU broker, µs",
        "CPU itself, µs",
        "CPU database, µs",
        "memory, MB",
        "bytes a message",
    ]
    yield table(heads, rows)
    for one in document["contestants"]:
        if one["not_here"]:
            yield f"{one['title']}: not measured here: {one['not_here']}.\n"
    yield (
        f"Medians of {document['rounds']} rounds (least to most) of about"
        f" {document['seconds']:g} s, {document['size']}-byte messages, QoS 1; CPU for each"
        " message.\n"
    )
    if document["ratios"]:
        yield table(
            ["ratio within a round", "median (least to most)"],
            [[name, with_spread(Spread(**found))] for name, found in document["ratios"].items()],
        )
    steady = document.get("keeping_up")
    if steady:
        yield "### Keeping up with a steady rate\n"
        titles = {one["name"]: one["title"] for one in document["contestants"]}
        yield table(
            [
                "who",
                "messages/s offered",
                "seconds",
                "waiting at the end",
                "all committed after, ms",
            ],
            [
                [
                    titles.get(name, name),
                    number(one["offered"]),
                    f"{steady['seconds']:g}",
                    number(one["backlog"]),
                    number(one["drained_ms"]),
                ]
                for name, one in steady["contestants"].items()
            ],
        )


def _figures_of(document: Document, name: str) -> Mapping[str, Any]:
    for one in document["contestants"]:
        if one["name"] == name:
            found: Mapping[str, Any] = one["figures"]
            return found
    return {}


# ---------------------------------------------------------------------- the others


def _latency(document: Document) -> Iterator[str]:
    yield "### From publish to committed\n"
    shares = ("p50", "p90", "p99", "most")
    titles = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
    rows = [
        [
            titles.get(run["store"], run["store"]),
            number(run["offered"]),
            *(number(run[share]) for share in shares),
        ]
        for run in document["runs"]
    ]
    disk = document.get("disk")
    if disk:
        title = "the disk alone: 4 KiB written and synced"
        rows.append([title, NOTHING, *(number(disk[share]) for share in shares)])
    yield table(["store", "messages/s", *(f"{share}, ms" for share in shares)], rows)


def _stored(document: Document) -> Iterator[str]:
    yield "### With many rows stored\n"
    cases = sorted(document.values(), key=lambda one: (one["store"] != "sqlite", one["rows"]))
    yield table(
        ["store", "rows", "who sends", "empty, messages/s", "filled, messages/s", "ratio"],
        [
            [
                case["title"],
                number(case["rows"]),
                load,
                with_spread(_spread(_of(one, "empty", "rate"))),
                with_spread(_spread(_of(one, "filled", "rate"))),
                with_spread(_spread(one["ratio"])),
            ]
            for case in cases
            for load, one in case["loads"].items()
        ],
    )
    titles = {
        "month": "a month of 10 s readings of one metric, averages",
        "month_lttb": "the same, points left out by shape",
        "latest": "newest values of all devices",
    }
    yield table(
        ["question", "store", "rows", "answers", "median, ms", "first, ms", "slowest, ms"],
        [
            [
                title,
                case["title"],
                number(case["rows"]),
                number(case[name]["answers"]),
                *(number(case[name][key]) for key in ("median_ms", "first_ms", "most_ms")),
            ]
            for name, title in titles.items()
            for case in cases
        ],
    )
    yield table(
        ["store", "rows", "devices", "bytes a row, indexes too", "of roll-ups, every 10 s"],
        [
            [
                case["title"],
                number(case["rows"]),
                number(case["devices"]),
                number(case["filling"]["bytes"]),
                number(case["filling"]["rollup_bytes"]),
            ]
            for case in cases
        ],
    )


def _memory(document: Document) -> Iterator[str]:
    yield "### Memory of ingest\n"
    yield table(
        ["who", "minutes", "messages/s", "first, MB", "median, MB", "last, MB", "most, MB"],
        [
            [
                document["title"],
                f"{document['minutes']:g}",
                number(document["offered"]),
                *(
                    number(document[name])
                    for name in ("first_mb", "median_mb", "last_mb", "most_mb")
                ),
            ]
        ],
    )


def _parts(document: Document) -> Iterator[str]:
    yield "### Where the time goes\n"
    yield table(
        ["step", "µs a message"],
        [[step, number(cost)] for step, cost in document["steps"].items()],
    )


def _growth(document: Document) -> Iterator[str]:
    pause = document["pause_ms"]
    compared = document.get("compare_cpu_seconds")
    yield f"### One more device among {document['devices']:,}\n"
    yield table(
        ["", "figure"],
        [
            ["longest pause of ingest, ms", number(pause["longest"])],
            ["median pause, ms", number(pause["median"])],
            ["most CPU for one device, ms", number(document["cpu_ms"]["most"])],
            ["topics resolved again", str(document["topics_resolved_again"])],
            ["reading every device at the start, s", number(document["read_all_seconds"])],
            ["CPU of comparing every account with the broker, s", number(compared)],
        ],
    )


def _idle(document: Document) -> Iterator[str]:
    yield "### A quiet platform\n"
    rows = [
        [one["name"], number(one["pss_mb"]), f"{one['cpu_percent']:.2f}"]
        for one in document["processes"]
    ]
    rows.append(["all", number(document["pss_mb"]), f"{document['cpu_percent']:.2f}"])
    yield table(["process of `mooring up --demo`", "memory (PSS), MB", "CPU, % of a core"], rows)
    yield (
        f"24 devices, 12 messages/s, for {document['seconds']:g} s after a warm-up; the load of the"
        f" machine was {document['load']:g}.\n"
    )
