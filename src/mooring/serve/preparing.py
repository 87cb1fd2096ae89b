"""FastAPI prepares a router's routes when the first request looks at them: of all routers, that is
the better part of a second in which nobody gets an answer. Here it happens next to the requests."""

from __future__ import annotations

import asyncio
import logging

from fastapi import FastAPI

__all__ = ["prepare_routes"]

log = logging.getLogger(__name__)

UNKNOWN = {
    "type": "http",
    "method": "GET",
    "path": "/",
    "root_path": "",
    "headers": [],
    "query_string": b"",
}


async def prepare_routes(api: FastAPI) -> None:
    """Looks at every route once, as a request for an unknown address does. In a thread: FastAPI
    locks what it prepares."""
    for route in list(api.routes):
        try:
            await asyncio.to_thread(route.matches, dict(UNKNOWN))
        except Exception:  # the request that needs it says so
            log.exception("a route could not be prepared")
