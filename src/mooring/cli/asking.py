"""Requests to the running ``mooring up``, for actions that only it can perform."""

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
    """Whether a running ``mooring up`` uses this database."""
    return any(p.alive and p.role == "up" for p in platform.telemetry.processes())


def ask(
    platform: App, actor: str, action: RequestAction, argument: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """Stores a request and returns the answer.

    Raises:
        Unavailable: no process handles it, it failed, or it took too long.
    """

    if not is_up(platform):
        raise Unavailable(
            f"Mooring is not running on {platform.settings.data_dir}.",
            hint="Start it with `mooring up`, which updates the broker at startup.",
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
    """Whether the broker has applied these changes; waits if a running process applies them."""
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
                hint="Run `mooring status` to see its state.",
                code="request_unanswered",
            )
        time.sleep(POLL_SECONDS)
