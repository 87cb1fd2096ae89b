"""What the plugin has to keep, compared with what ``bench.authorities`` measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["Figure", "figures", "judged"]

Row = dict[str, Any]

CHANGES = ("add", "lock", "remove")
P50_SECONDS, P99_SECONDS = 0.010, 0.025  # of a change through REST
WAIT_SECONDS = 0.005  # that another client waits longer than while nothing happens
WAITS = ("wait", "wait_locked", "wait_replaced", "wait_compare")
MESSAGE_RATIO = 1.03  # of a broker that checks nothing
LOGIN_RATIO = 0.4  # of a password file
START_SECONDS = 0.2
# More memory than without a check: at most so much, and so much of each account in use.
MEMORY_BYTES, ACCOUNT_BYTES = 20_000_000, 200
COMPARE_SECONDS = 3.0
REFUSED_SECONDS = 0.01 / 1_000  # a device rejected 1,000 times a second: 1 % of a core


class Figure(NamedTuple):
    """One figure and its limit; times in seconds, sizes in bytes."""

    name: str
    value: float
    limit: float

    @property
    def kept(self) -> bool:
        return self.value <= self.limit


def figures(row: Row, rows: list[Row]) -> Iterator[Figure]:
    """The figures of one row of the plugin, as far as ``rows`` has what they compare with."""
    for what in CHANGES:
        yield Figure(f"{what} p50", row[f"{what}_p50"], P50_SECONDS)
        yield Figure(f"{what} p99", row[f"{what}_p99"], P99_SECONDS)
    for name in WAITS:
        if name in row:
            yield Figure(name.replace("_", " "), row[name], row["idle"] + WAIT_SECONDS)
    yield Figure("start", row["start"], START_SECONDS)
    yield Figure("compare", row["compare"], COMPARE_SECONDS)
    yield Figure("rejection less CONNECT", row["unknown_cpu"] - row["connect_cpu"], REFUSED_SECONDS)
    for other in rows:
        if other["mode"] == "none":
            yield Figure("message", row["message_cpu"], MESSAGE_RATIO * other["message_cpu"])
            count = row["connected"]
            own = _memory(row, count) - _memory(other, count)
            yield Figure("memory", own, MEMORY_BYTES + ACCOUNT_BYTES * count)
        elif (other["mode"], other["devices"]) == ("password_file", row["devices"]):
            yield Figure("login", row["login_cpu"], LOGIN_RATIO * other["login_cpu"])


def _memory(row: Row, clients: int) -> float:
    return float(row["memory_at_start"] + clients * row["memory_a_client"])


def judged(rows: list[Row]) -> list[str]:
    """One line for each figure of the plugin: whether it keeps its limit."""
    return [
        f"{'ok  ' if one.kept else 'OVER'}  {row['devices']:>7} devices  {one.name:<22} "
        f"{one.value:>12.4g}  limit {one.limit:.4g}"
        for row in rows
        if row["mode"] == "plugin"
        for one in figures(row, rows)
    ]
