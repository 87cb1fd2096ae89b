"""Connections of the HTTP server: how many, and how long each may keep us waiting.

uvicorn closes a connection that is idle between two requests, and no other. This adds what it
lacks: an end for a request whose head or body does not arrive, for a client that does not read
its answer, and a number of connections in all and from one address. When all are taken, the
one that has kept us waiting longest makes room for a new one; one whose request is being
answered never does.

Invariant: a connection is in ``Connections`` from ``connection_made`` to ``connection_lost``,
and while we wait for its peer exactly one timer runs for it: this module's, or uvicorn's own
between two requests.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections import Counter as Counts
from collections.abc import Callable
from typing import Any

import h11
from prometheus_client import CollectorRegistry, Counter
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from mooring.identity.throttle import network_of

__all__ = [
    "BODY_LEAST_BYTES",
    "BODY_SECONDS",
    "DESCRIPTORS_RESERVED",
    "HEAD_MAX_BYTES",
    "HEAD_SECONDS",
    "WRITE_SECONDS",
    "Connections",
    "Limited",
    "descriptors_for",
    "protocol_class",
    "websocket_class",
]

HEAD_SECONDS = 10.0  # from the first byte of a request (or the connection) to the end of its head
BODY_SECONDS = 60.0  # from there to the end of its body, or to as much of it as follows
BODY_LEAST_BYTES = 262_144  # a body that brings this much in that time has as long again
WRITE_SECONDS = 60.0  # an answer that the client does not read
CLOSE_SECONDS = 5.0  # the last bytes of an answer, before the connection is cut
HEAD_MAX_BYTES = 32_768  # of a request's head; a username and password are in it
DESCRIPTORS_RESERVED = 256  # for the database, the broker and files

log = logging.getLogger(__name__)


def descriptors_for(connections: int) -> int:
    """Raises this process's limit of open files as far as it may, and says how many of these
    connections fit below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + DESCRIPTORS_RESERVED
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allowed = max(1, min(connections, soft - DESCRIPTORS_RESERVED))
    if allowed < connections:
        log.warning(
            "%d HTTP connections instead of %d: %d files may be open", allowed, connections, soft
        )
    return allowed


class Connections:
    """The open connections of one process.

    Args:
        most: connections in all.
        most_each: connections from one address (an IPv6 /64 counts as one).
        exempt: whether an address may have any number: a trusted proxy's.
        registry: where rejections are counted.
    """

    def __init__(
        self,
        most: int,
        most_each: int,
        *,
        exempt: Callable[[str], bool] = lambda _: False,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.most, self.most_each = most, most_each
        self._exempt = exempt
        self._open: dict[Limited, str | None] = {}
        self._waiting: dict[Limited, None] = {}  # for their peers, the longest first
        self._each: Counts[str] = Counts()
        self._ended = Counter(
            "mooring_http_connections_ended",
            "Connections this process ended or rejected, by the limit they hit.",
            ["limit"],
            registry=registry,
        )

    def __len__(self) -> int:
        return len(self._open)

    def ended(self, limit: str) -> None:
        """Counts a connection that hit a limit."""
        self._ended.labels(limit).inc()

    def admit(self, one: Limited, address: str) -> bool:
        """Whether a new connection may stay; one that waits may be ended for it."""
        network = None if self._exempt(address) else network_of(address)
        if network is not None and self._each[network] >= self.most_each:
            self.ended("address")
            if not self._make_room(network):
                return False
        if len(self._open) >= self.most:
            self.ended("all")
            if not self._make_room():
                return False
        self._open[one] = network
        if network is not None:
            self._each[network] += 1
        return True

    def _make_room(self, network: str | None = None) -> bool:
        """Ends the connection that waits longest (of this network); ``False``: none waits."""
        for one in self._waiting:
            if network is None or self._open[one] == network:
                one.cut()
                self.remove(one)
                return True
        return False

    def remove(self, one: Limited) -> None:
        self._waiting.pop(one, None)
        network = self._open.pop(one, None)
        if network is not None:
            self._each[network] -= 1
            if not self._each[network]:
                del self._each[network]

    def waits(self, one: Limited, *, waiting: bool) -> None:
        """Whether we wait for this connection's peer now."""
        self._waiting.pop(one, None)
        if waiting and one in self._open:
            self._waiting[one] = None


class Limited(H11Protocol):
    """uvicorn's HTTP/1.1 connection, with an end to waiting.

    What we wait for follows from h11's state of the peer: IDLE, a request's head (or nothing,
    between two requests); SEND_BODY, its body; anything else: the peer has sent everything.
    """

    def __init__(self, connections: Connections, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._connections = connections
        self._timer: asyncio.TimerHandle | None = None
        self._timed = ""  # what the timer ends: head, body; empty: none runs
        self._arrived = 0  # bytes since the timer was started
        self._writing: asyncio.TimerHandle | None = None
        self._upgraded = False  # to a WebSocket, which waits as long as it likes

    # ------------------------------------------------------------------ asyncio's calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if not self._connections.admit(self, address):
            transport.abort()
            return
        self._follow("head")

    def connection_lost(self, exc: Exception | None) -> None:
        self._follow("")
        self._stop_writing()
        self._connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._arrived += len(data)
        super().data_received(data)
        self._look(arrived=True)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(WRITE_SECONDS, self._too_slow, "write")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_writing()

    # ------------------------------------------------------------------ uvicorn's calls

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look(arrived=False)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._cut_later()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """The connection stays counted until the WebSocket ends, and nobody waits for it."""
        self._follow("")
        self._stop_writing()
        self._upgraded = True
        super().handle_websocket_upgrade(event)
        now = self.transport.get_protocol()
        if isinstance(now, Upgraded):
            now.former = self
        else:  # pragma: no cover - uvicorn made one of another class
            self._connections.remove(self)

    # ------------------------------------------------------------------ waiting

    def cut(self) -> None:
        """Ends the connection now."""
        if not self.transport.is_closing():
            self.transport.abort()

    def _look(self, *, arrived: bool) -> None:
        """What are we waiting for now?"""
        if self._upgraded:
            return  # h11 still expects the end of the request
        if self.transport.is_closing():
            self._follow("")
            self._cut_later()
        elif self.conn.their_state is h11.SEND_BODY:
            self._follow("body")
        elif self.conn.their_state is h11.IDLE:
            # Between two requests uvicorn's timer runs, until the next one's first byte.
            if arrived or self._timed == "head":
                self._follow("head")
            else:
                self._follow("idle")
        else:
            self._follow("")

    def _follow(self, what: str) -> None:
        """The timer is not begun again while we wait for the same thing."""
        if what == self._timed:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timed, self._arrived = what, 0
        seconds = {"head": HEAD_SECONDS, "body": BODY_SECONDS}.get(what)
        if seconds is not None:
            self._timer = self.loop.call_later(seconds, self._too_slow, what)
        self._connections.waits(self, waiting=bool(what))

    def _too_slow(self, what: str) -> None:
        if what == "body" and self._arrived >= BODY_LEAST_BYTES:
            self._timed = ""
            self._follow("body")
            return
        if not self.transport.is_closing() or what == "write":
            self._connections.ended(what)
            self.transport.abort()

    def _cut_later(self) -> None:
        """A close waits until the peer has read everything; that has an end, too."""
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None


class Upgraded(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which ends its connection's place in ``Connections``.

    Answers to pings are written whether or not the client reads, so nothing is read from a client
    that does not.
    """

    def __init__(self, connections: Connections, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._connections = connections
        self.former: Limited | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self.former is not None:
            self._connections.remove(self.former)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()


def websocket_class(connections: Connections) -> type[WebSocketsSansIOProtocol]:
    """As ``protocol_class``, for connections that become WebSockets."""

    class Bound(Upgraded):
        def __init__(self, **uvicorns: Any) -> None:
            super().__init__(connections, **uvicorns)

    return Bound


def protocol_class(connections: Connections) -> type[H11Protocol]:
    """The class to give to uvicorn, which makes one for each connection."""

    class Bound(Limited):
        def __init__(self, **uvicorns: Any) -> None:
            super().__init__(connections, **uvicorns)

    return Bound
