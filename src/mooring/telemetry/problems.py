"""Problems of the platform, from what its processes report. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mooring.telemetry.model import Overview

__all__ = ["ROLES", "Problem", "of_overview"]

ROLES = ("up", "ingest", "serve", "keeper", "worker")  # one of each must run
NEARLY = 0.9  # of the connections of one port
FAILURES_SHOWN = 2  # in a row; a single one is over when it is read


class Problem(NamedTuple):
    """One problem.

    Attributes:
        code: the same for all problems of this kind.
        subject: what has it; empty for the whole platform.
        text: a sentence.
    """

    code: str
    subject: str
    text: str


def of_overview(overview: Overview, *, broker_answers: bool) -> list[Problem]:
    """What is wrong; empty if nothing is."""
    alive = [process for process in overview.processes if process.alive]
    if not alive and not broker_answers:
        text = "Mooring is not running. Start it with `mooring up`."
        return [Problem("not_running", "", text)]
    problems = []
    if not broker_answers:
        problems.append(Problem("broker_silent", "", "The broker does not answer."))
    running = {process.role for process in alive}
    problems += [
        Problem("process_missing", role, f"No `mooring {role}` process is running.")
        for role in ROLES
        if role not in running
    ]
    problems += [
        Problem("not_connected", process.name, f"{process.name} is not connected to the broker.")
        for process in alive
        if process.detail.get("connected") is False
    ]
    problems += [
        Problem("connections_nearly_full", process.name, _full(process.detail))
        for process in alive
        if _is_nearly_full(process.detail)
    ]
    problems += [
        Problem(
            "worker_failing",
            worker.name,
            f"The worker {worker.name} of `mooring {process.role}` failed "
            f"{worker.failures_in_a_row} times in a row: {worker.error}",
        )
        for process in alive
        for worker in process.workers
        if worker.failures_in_a_row >= FAILURES_SHOWN
    ]
    problems += [
        Problem(
            "rows_failing",
            worker.name,
            f"{worker.rows_postponed} {'row' if worker.rows_postponed == 1 else 'rows'} of the "
            f"worker {worker.name} failed; the last one: {worker.row_error}",
        )
        for process in alive
        for worker in process.workers
        if worker.rows_postponed
    ]
    if overview.broker_changes_error:
        number = overview.broker_changes_pending
        what = "pending broker change" if number == 1 else "pending broker changes"
        text = f"{number} {what}: {overview.broker_changes_error}"
        problems.append(Problem("broker_changes_failing", "", text))
    return problems


def _is_nearly_full(detail: Mapping[str, Any]) -> bool:
    count, most = detail.get("connections"), detail.get("connections_most")
    return isinstance(count, int) and isinstance(most, int) and count >= most * NEARLY


def _full(detail: Mapping[str, Any]) -> str:
    return (
        f"The broker has {detail['connections']} of {detail['connections_most']} connections on "
        "one port; Raise max_connections, or the limit on open files."
    )
