"""Around every request: its true address, size limit, rejection of NUL, security headers, the
last catch. One check serves HTTP and WebSocket.

A plain ASGI wrapper. It reads no body itself; it counts what passes. HEAD is answered wherever
GET is. A WebSocket is opened only for a page of the same origin, or for a program, which sends
no Origin.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from fastapi import HTTPException
from prometheus_client import Counter
from starlette.requests import ClientDisconnect

from mooring.errors import Invalid, MooringError
from mooring.web.errors import BODY_MAX_BYTES, answer_for, unexpected
from mooring.web.proxies import Proxies
from mooring.web.uploads import BODY_LIMIT, BodyLimit

__all__ = ["HEAD", "HEADERS", "Guard"]

HEAD = "mooring.head"
"""Where a request's scope says that its method was HEAD."""

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
        proxies: whose word about a request's address is believed.
    """

    def __init__(
        self, app: ASGIApp, answered: Counter | None = None, proxies: Proxies | None = None
    ) -> None:
        self.app = app
        self.answered = answered
        self.proxies = proxies if proxies is not None else Proxies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(self._addressed(scope), receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(self._addressed(scope), receive, send)
        else:
            raise RuntimeError(f"A scope of the type {scope['type']!r} is not served.")

    def _addressed(self, scope: Scope) -> Scope:
        client = scope.get("client")
        if client is None:
            return {**scope}
        address = self.proxies.client_of(client[0], scope["headers"])
        found = {**scope, "client": (address, client[1] if address == client[0] else 0)}
        if self.proxies.trusts(client[0]) and _said_tls(scope["headers"]):
            found["scheme"] = "wss" if scope["type"] == "websocket" else "https"
        return found

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        method: str = scope["method"]
        if method == "HEAD":
            scope["method"], scope[HEAD] = "GET", True
        started = False
        size = 0
        limit = scope[BODY_LIMIT] = BodyLimit(BODY_MAX_BYTES)

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit.most:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        async def dressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = _with_ours(message.get("headers", []))
                self._count(method, message["status"])
            elif method == "HEAD" and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            refusal = _refusal(scope)
            if refusal is not None:
                await answer_for(refusal, path)(scope, receive, dressed)
                return
            await self.app(scope, counted, dressed)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as exc:  # the last stop: logged, and told without details
            if started:
                raise
            await unexpected(exc, path, secrets.token_hex(4))(scope, receive, dressed)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted() -> Message:
            message = await receive()
            data = message.get("bytes") or (message.get("text") or "").encode()
            if len(data) > BODY_MAX_BYTES:
                await send({"type": "websocket.close", "code": TOO_BIG})
                return {"type": "websocket.disconnect", "code": TOO_BIG}
            return message

        if _refusal(scope) is not None or not _same_origin(scope["headers"]):
            # Before it is accepted, a close is answered with 403 by the server.
            self._count("GET", HTTPStatus.FORBIDDEN)
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        await self.app(scope, counted, send)

    def _count(self, method: str, status: int) -> None:
        if self.answered is not None:
            known = method if method in _METHODS else "other"
            self.answered.labels(known, str(status)).inc()


# RFC 6455, 7.4.1
POLICY_VIOLATION, TOO_BIG = 1008, 1009

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _with_ours(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    given = list(headers)
    names = {name.lower() for name, _ in given}
    ours = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    return given + [one for one in ours if one[0] not in names]


def _said_tls(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a trusted proxy was reached over TLS."""
    given = dict(headers)
    return given.get(b"x-forwarded-proto", b"").strip().lower() == b"https"


def _same_origin(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the request is a program's, which sends no Origin, or a page's of our own: any
    page may open a WebSocket to anywhere, and a browser says only here where it comes from."""
    given = dict(headers)
    origin = given.get(b"origin")
    if origin is None:
        return True
    scheme, _, authority = origin.partition(b"://")
    return scheme in (b"http", b"https") and bool(authority) and authority == given.get(b"host")


def _refusal(scope: Scope) -> MooringError | None:
    """U+0000 is in no name we could find, and PostgreSQL has no text with it."""
    if "\0" in scope["path"] or b"%00" in scope.get("query_string", b""):
        return Invalid(
            "The address holds the character U+0000.",
            hint="Leave it out.",
            code="invalid_request",
        )
    return None
