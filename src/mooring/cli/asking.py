"""Asking the running ``mooring up`` to do what only it can do, and waiting for its answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mooring.errors import Unavailable
from mooring.later import later

with later():
    from mooring.broker import requests
    from mooring.changes import waiting

if TYPE_CHECKING:
    from mooring.app import App
    from mooring.broker.requests import RequestAction

__all__ = ["ask", "is_up", "told"]

POLL_SECONDS = 0.05
TAKEN_SECONDS = 60.0  # a comparison of twenty thousand accounts may be under way
DONE_SECONDS = 300.0


def is_up(platform: App) -> bool:
    """Whether a ``mooring up`` works on this database."""
    return any(p.alive and p.role == "up" for p in platform.telemetry.processes())


def ask(
    platform: App, actor: str, action: RequestAction, argument: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """Leaves a request and returns its answer.

    Raises:
        Unavailable: nothing runs that could do it, it failed, or took too long.
    """

    if not is_up(platform):
        raise Unavailable(
            f"Mooring does not run on {platform.settings.data_dir}.",
            hint="Start it with `mooring up`: it brings the broker in line at its start.",
            code="not_running",
        )
    with platform.database.write() as connection:
        number = requests.ask(connection, action, argument or {}, actor)
    try:
        return _wait(platform, number)
    except (KeyboardInterrupt, Unavailable):
        with platform.database.write() as connection:
            requests.withdraw(connection, number)
        raise


def told(platform: App, changes: Sequence[int], seconds: float = 5.0) -> bool:
    """Whether the broker has been told of these changes; waits if something runs that tells."""
    return waiting.wait_applied(platform.database, changes, seconds if is_up(platform) else 0.0)


def _wait(platform: App, number: int) -> Mapping[str, Any]:

    begun = time.monotonic()
    while True:
        with platform.database.read() as connection:
            request = requests.look(connection, number)
        if request is None:
            raise Unavailable("The request was lost.", hint="Try again.", code="request_lost")
        if request.state is requests.RequestState.DONE:
            return request.result
        if request.state is requests.RequestState.FAILED:
            raise Unavailable(
                str(request.result.get("message", "It failed.")),
                hint=str(request.result.get("hint", "")),
                code="request_failed",
            )
        limit = TAKEN_SECONDS if request.state is requests.RequestState.WAITING else DONE_SECONDS
        if time.monotonic() - begun > limit:
            raise Unavailable(
                f"The running platform did not answer within {limit:g} s.",
                hint="`mooring status` shows what it does.",
                code="request_unanswered",
            )
        time.sleep(POLL_SECONDS)
