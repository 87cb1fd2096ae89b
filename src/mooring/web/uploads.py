"""Bodies that are larger than other requests may be: files.

Every request has ``BODY_MAX_BYTES``. A route that takes a file raises that for its request, once it
knows who sends it, and reads the body a piece at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request
from starlette.concurrency import run_in_threadpool

__all__ = ["BODY_LIMIT", "BodyLimit", "receive"]

BODY_LIMIT = "mooring.body_limit"
"""Where a request's scope has its ``BodyLimit``."""

PIECE_BYTES = 256 * 1024
"""So much is collected before a thread writes it."""


@dataclass(slots=True)
class BodyLimit:
    """How many bytes the body of a request may have."""

    most: int


async def receive(request: Request, most: int, write: Callable[[bytes], None]) -> None:
    """Passes the body on, a piece at a time.

    Args:
        most: bytes; beyond them the request is rejected.
        write: runs in a thread.

    Raises:
        HTTPException: 413.
        ClientDisconnect: the client has gone before the end.
    """
    limit = request.scope.get(BODY_LIMIT)
    if limit is not None:
        limit.most = most
    waiting = bytearray()
    async for piece in request.stream():
        waiting += piece
        if len(waiting) >= PIECE_BYTES:
            await run_in_threadpool(write, bytes(waiting))
            waiting.clear()
    if waiting:
        await run_in_threadpool(write, bytes(waiting))
