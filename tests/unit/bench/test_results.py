"""What is kept of a benchmark, and shown of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import parser
from bench.contestants import ALL
from bench.report import report
from bench.results import BEGIN, END, PAGE, keep, make_reference, read


def spread(value: float) -> dict[str, float]:
    return {"median": value, "least": value, "most": value, "rounds": 1}


INGEST: dict[str, Any] = {
    "rounds": 1,
    "seconds": 5.0,
    "size": 230,
    "contestants": [
        {
            "name": "sqlite",
            "title": "Ours",
            "not_here": None,
            "figures": {"rate": spread(44_000), "ingest_us": spread(12)},
        },
        {
            "name": "mosquitto_sub",
            "title": "The limit",
            "not_here": None,
            "figures": {"rate": spread(40_000), "ingest_us": spread(8)},
        },
        {"name": "node", "title": "Theirs", "not_here": "no Node.js", "figures": {}},
    ],
    "ratios": {
        "sqlite / mosquitto_sub": spread(1.1),
        "CPU of sqlite / mosquitto_sub": spread(1.5),
    },
    "keeping_up": {
        "rate": 20_000,
        "seconds": 10,
        "contestants": {"sqlite": {"offered": 19_990.0, "backlog": 12.0, "drained_ms": 3.0}},
    },
}
LATENCY: dict[str, Any] = {
    "runs": [
        {"store": "sqlite", "rate": 5000, "offered": 4990.0}
        | {"p50": 1.9, "p90": 4.0, "p99": 9.0, "most": 12.0}
    ],
    "disk": {"p50": 0.2, "p90": 0.3, "p99": 0.4, "most": 5.0},
}
STORED: dict[str, Any] = {
    "store": "sqlite",
    "title": "Ours",
    "rows": 1_000_000,
    "devices": 10,
    "filling": {"bytes": 300.0, "rollup_bytes": 40.0},
    "loads": {
        "20 devices": {
            "empty": {"rate": spread(50_000)},
            "filled": {"rate": spread(49_000)},
            "ratio": spread(0.98),
        }
    },
} | {
    name: {"answers": 10, "median_ms": 5.0, "first_ms": 6.0, "most_ms": 7.0}
    for name in ("month", "month_lttb", "latest")
}

FLEET: dict[str, Any] = {
    "devices": 10_000,
    "rows": 2_000_000,
    "rounds": 1,
    "seconds": 5.0,
    "shuffled": False,
    "cores": 2,
    "cases": [
        {
            "title": "The limit",
            "rows": 0,
            "figures": {"rate": spread(100_000), "broker_share": spread(0.97)},
            "ratio": spread(1.0),
            "bottleneck": "broker",
        },
        {
            "title": "Ours",
            "rows": 2_000_000,
            "figures": {
                "rate": spread(50_000),
                "written": spread(4_000),
                "ingest_share": spread(0.9),
            },
            "ratio": spread(0.5),
            "bottleneck": "ingest",
        },
    ],
}


def test_the_tables_say_what_was_measured_and_what_was_not() -> None:
    text = report({"ingest": INGEST, "latency": LATENCY})
    assert "| rate on SQLite to mosquitto_sub's" in text
    aims = {line.split("|")[1].strip(): line.split("|")[4].strip() for line in rows_of(text, 4)}
    assert aims["rate on SQLite to mosquitto_sub's"] == "yes"
    assert aims["CPU on SQLite to mosquitto_sub's"] == "yes"
    assert aims["publish to committed at 5,000/s, p50, ms"] == "yes"
    assert aims["the same, p99, ms"] == "no"
    assert "Theirs: not measured here: no Node.js." in text
    assert "rate on SQLite to the Node backend's" not in text


def rows_of(text: str, cells: int) -> list[str]:
    return [line for line in text.splitlines() if line.count("|") == cells + 1]


def test_a_fleet_shows_who_was_busy_and_what_was_written() -> None:
    text = report({"fleet": {"10000 2000000": FLEET}})
    assert "A fleet: 10,000 devices in turn" in text
    limit, ours = (
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in rows_of(text, 12)
        if "Ours" in line or "The limit" in line
    )
    assert limit[2] == "100 000" and limit[6] == "–" and limit[7] == "97.0"
    assert ours[1:4] == ["2 000 000", "50 000", "0.500"]
    assert ours[6] == "4 000" and ours[8] == "90.0" and ours[-1] == "ingest"


def test_fleets_of_several_sizes_are_kept() -> None:
    cases = {"10000 2000000": FLEET, "1000 0 shuffled": FLEET | {"devices": 1000, "shuffled": True}}
    text = report({"fleet": cases})
    assert "1,000 devices in an order of their own" in text
    assert text.count("A fleet: ") == 2


def test_nothing_measured_shows_nothing() -> None:
    assert report({}) == ""


def test_the_disk_stands_beside_us() -> None:
    assert "| the disk alone: 4 KiB written and synced |" in report({"latency": LATENCY})


def test_several_stores_and_sizes_are_kept_beside_each_other(tmp_path: Path) -> None:
    keep(tmp_path, "stored", STORED, "sqlite 1000000")
    more = STORED | {"rows": 5_000_000, "filling": {"bytes": 320.0, "rollup_bytes": 40.0}}
    keep(tmp_path, "stored", more, "sqlite 5000000")
    theirs = STORED | {"store": "postgres", "rows": 9_000_000}
    text = keep(tmp_path, "stored", theirs, "postgres 9000000").read_text()
    assert set(read(tmp_path)["stored"]) == {
        "sqlite 1000000",
        "sqlite 5000000",
        "postgres 9000000",
    }
    assert "rate with 5 000 000 rows to the empty store's" in text  # the most on SQLite
    assert "1.57 |" in text  # (320 + 40) / 230
    assert text.count("a month of 10 s readings") == 3


def test_parts_are_kept_beside_each_other(tmp_path: Path) -> None:
    keep(tmp_path, "ingest", INGEST)
    page = keep(tmp_path, "latency", LATENCY)
    document = read(tmp_path)
    assert document["ingest"]["ratios"] == INGEST["ratios"]
    assert document["latency"]["runs"] == LATENCY["runs"]
    assert document["machine"]["cores"] >= 1
    assert json.loads((tmp_path / "last.json").read_text()) == document
    assert "From publish to committed" in page.read_text()
    assert "Sustained rate" in page.read_text()


def test_the_reference_goes_into_the_page(tmp_path: Path) -> None:
    keep(tmp_path, "latency", LATENCY)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    make_reference(tmp_path, page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert "old" not in text
    assert "From publish to committed" in text
    assert read(tmp_path, "reference") == read(tmp_path)


def test_no_reference_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="Nothing was measured"):
        make_reference(tmp_path)


def test_the_documentation_has_a_place_for_the_figures() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.index(BEGIN) < text.index(END)


@pytest.mark.parametrize("only", ["", "nobody", "sqlite,nobody"])
def test_unknown_contestants_are_refused(only: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["ingest", "--only", only])
    assert "sqlite, postgres" in capsys.readouterr().err


def test_contestants_are_found_by_their_names() -> None:
    assert all(name == one.name for name, one in ALL.items())
    options = parser().parse_args(["ingest", "--only", "sqlite,mosquitto_sub"])
    assert options.only == ["sqlite", "mosquitto_sub"]
