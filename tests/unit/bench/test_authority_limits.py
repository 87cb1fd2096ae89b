"""Whether the plugin kept its limits."""

from __future__ import annotations

from typing import Any

from bench.authority_limits import figures, judged

NONE = {"mode": "none", "devices": 0, "message_cpu": 10e-6, "memory_at_start": 2e6}
NONE |= {"memory_a_client": 1_000}
FILE = {"mode": "password_file", "devices": 100, "login_cpu": 100e-6}
PLUGIN: dict[str, Any] = {
    "mode": "plugin",
    "devices": 100,
    "connected": 100,
    "idle": 0.001,
    **{f"{what}_p50": 0.010 for what in ("add", "lock", "remove")},
    **{f"{what}_p99": 0.025 for what in ("add", "lock", "remove")},
    "wait": 0.006,
    "wait_locked": 0.006,
    "wait_replaced": 0.006,
    "wait_compare": 0.006,
    "start": 0.2,
    "compare": 3.0,
    "memory_at_start": 22e6,
    "memory_a_client": 1_200,
    "unknown_cpu": 59e-6,
    "connect_cpu": 50e-6,
    "message_cpu": 10.3e-6,
    "login_cpu": 40e-6,
}
ROWS = [NONE, PLUGIN, FILE]


def test_every_figure_is_judged() -> None:
    lines = judged(ROWS)
    assert len(lines) == 16
    assert all(line.startswith("ok") for line in lines), lines


def test_each_figure_can_be_over() -> None:
    for name, value in PLUGIN.items():
        if name in {"mode", "devices", "connected", "idle", "connect_cpu"}:
            continue
        worse = {**PLUGIN, name: value * 1.3}
        over = [one.name for one in figures(worse, [NONE, worse, FILE]) if not one.kept]
        assert len(over) == 1, name


def test_what_was_not_measured_is_not_judged() -> None:
    assert [line for line in judged([PLUGIN]) if "login" in line or "memory" in line] == []
    assert judged([NONE, FILE]) == []
