"""``/healthz``: this process lives. ``/readyz``: it can do its work."""

from __future__ import annotations

import threading
import time
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import JSONResponse

from mooring.app import App
from mooring.errors import MooringError
from mooring.store import migrate
from mooring.web.publisher import Publisher
from mooring.web.routing import Routes

__all__ = ["Readiness", "router"]

router = Routes(tags=["health"])

KEPT_SECONDS = 1.0


class Readiness:
    """Looks at most once a second, however often it is asked: nobody needs a login to ask.

    Args:
        platform: whose database.
        publisher: whose connection to the broker.
    """

    def __init__(self, platform: App, publisher: Publisher) -> None:
        self._platform = platform
        self._publisher = publisher
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._reasons: list[str] = []

    def reasons(self) -> list[str]:
        """Why it is not ready; empty when it is."""
        with self._lock:
            if time.monotonic() - self._looked_at > KEPT_SECONDS:
                self._reasons = self._look()
                self._looked_at = time.monotonic()
            return self._reasons

    def _look(self) -> list[str]:
        found = []
        try:
            migrate.require_current(self._platform.database)
        except MooringError as exc:
            # The text of a driver may name hosts and users: the code says enough here.
            found.append(f"database: {exc.slug}")
        if not self._publisher.connected:
            found.append("broker: not connected")
        return found


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Returns 200 if the process is running. Needs no thread, so that busy requests do not "
    "block it."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Not ready, and why."}})
def readyz(request: Request) -> JSONResponse:
    """Returns 200 if the database has the current schema and the broker accepts the platform."""
    readiness = request.app.state.readiness
    assert isinstance(readiness, Readiness)
    reasons = readiness.reasons()
    if reasons:
        return JSONResponse(
            {"status": "not ready", "reasons": reasons}, HTTPStatus.SERVICE_UNAVAILABLE
        )
    return JSONResponse({"status": "ready", "reasons": []})
