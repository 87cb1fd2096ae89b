"""The table of a fleet. Pure: a document in, Markdown out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.figures import Spread
from bench.tables import NOTHING, number, table, with_spread

__all__ = ["report_fleet"]

_HEADS = [
    "who",
    "rows stored",
    "messages/s",
    "to mosquitto_sub",
    "CPU itself, µs",
    "CPU database, µs",
    "written a message, B",
    "broker, % of a core",
    "itself, %",
    "database, %",
    "generator, %",
    "bottleneck",
]


def report_fleet(document: Mapping[str, Any]) -> Iterator[str]:
    """One table for each case that is kept: so many devices, so many rows."""
    for case in document.values():
        order = "in an order of their own" if case["shuffled"] else "in turn"
        yield f"### A fleet: {case['devices']:,} devices {order}\n"
        yield table(_HEADS, [_row(one) for one in case["cases"]])
        yield (
            f"Medians of {case['rounds']} alternating rounds (least to most) of about"
            f" {case['seconds']:g} s on {case['cores']} cores. Ratios are taken within a round."
            " Bytes are those of ingest and database, from `/proc`.\n"
        )


def _row(one: Mapping[str, Any]) -> list[str]:
    figures = {name: Spread(**found) for name, found in one["figures"].items()}

    def median(name: str, factor: float = 1) -> str:
        return number(figures[name].median * factor) if name in figures else NOTHING

    return [
        one["title"],
        number(one["rows"]),
        with_spread(figures.get("rate")),
        with_spread(None if one["ratio"] is None else Spread(**one["ratio"])),
        median("ingest_us"),
        median("database_us"),
        median("written"),
        median("broker_share", 100),
        median("ingest_share", 100),
        median("database_share", 100),
        median("generator_share", 100),
        one["bottleneck"],
    ]
