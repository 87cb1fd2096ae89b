"""Around every request: size limit, refusal of NUL, security headers, the last catch.

A plain ASGI wrapper. It reads no body itself; it counts what passes.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from fastapi import HTTPException
from prometheus_client import Counter

from mooring.errors import Invalid, MooringError
from mooring.http.errors import BODY_MAX_BYTES, answer_for, unexpected

__all__ = ["HEADERS", "Guard"]

# Set unless the answer sets its own: nothing here is a page that may load or frame things.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


# ASGI 3, which the framework and the server agree on
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """Wraps an ASGI application.

    Args:
        answered: counts answers by method and status, where it is given.
    """

    def __init__(self, app: ASGIApp, answered: Counter | None = None) -> None:
        self.app = app
        self.answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        started = False
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > BODY_MAX_BYTES:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        async def dressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = _with_ours(message.get("headers", []))
                self._count(scope["method"], message["status"])
            await send(message)

        try:
            refusal = _refusal(scope)
            if refusal is not None:
                await answer_for(refusal, path)(scope, receive, dressed)
                return
            await self.app(scope, counted, dressed)
        except Exception as exc:  # the last stop: logged, and told without details
            if started:
                raise
            await unexpected(exc, path, secrets.token_hex(4))(scope, receive, dressed)

    def _count(self, method: str, status: int) -> None:
        if self.answered is not None:
            known = method if method in _METHODS else "other"
            self.answered.labels(known, str(status)).inc()


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _with_ours(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    given = list(headers)
    names = {name.lower() for name, _ in given}
    ours = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    return given + [one for one in ours if one[0] not in names]


def _refusal(scope: Scope) -> MooringError | None:
    """U+0000 is in no name we could find, and PostgreSQL has no text with it."""
    if "\0" in scope["path"] or b"%00" in scope.get("query_string", b""):
        return Invalid(
            "The address holds the character U+0000.",
            hint="Leave it out.",
            code="invalid_request",
        )
    return None
