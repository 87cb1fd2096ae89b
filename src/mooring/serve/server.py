"""``mooring serve``: the HTTP server of one process, until it is asked to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from mooring.app import App
from mooring.broker.ports import is_free, port_owner
from mooring.errors import Conflict, InvalidSetting, MooringError
from mooring.part import Resident
from mooring.serve.app import create_app
from mooring.serve.connections import (
    HEAD_MAX_BYTES,
    Connections,
    descriptors_for,
    protocol_class,
    websocket_class,
)
from mooring.store.processes import Heartbeat
from mooring.supervisor import ending
from mooring.web.proxies import Proxies
from mooring.web.publisher import Publisher
from mooring.web.watching import Direct

__all__ = ["run"]

GRACE_SECONDS = 5
KEEP_ALIVE_SECONDS = 30
TICK_SECONDS = 1.0
WEBSOCKET_MAX_BYTES = 262_144  # of one message of a client
PING_SECONDS = 20.0
PONG_SECONDS = 90.0  # a client that reads slowly finds the ping behind what it has not read yet

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Looks once a second whether it is to stop, and when a signal comes; uvicorn's own looks ten
    times a second, which is most of what a quiet server does."""

    def __init__(self, config: uvicorn.Config, residents: Collection[Resident] = ()) -> None:
        super().__init__(config)
        self._residents = residents
        self._wake: Callable[[], object] = lambda: None

    async def main_loop(self) -> None:
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        self._wake = partial(loop.call_soon_threadsafe, stopping.set)
        tenths = 0  # uvicorn's unit: every ten of them it renews the time in its answers
        while not await self.on_tick(tenths):
            tenths += 10
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """First those who wait for news get a reason, then uvicorn ends what is left."""
        for resident in self._residents:
            await resident.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._wake()


def run(app: App, direct: Direct | None = None) -> None:
    """Serves on ``http_host``:``http_port`` until SIGTERM or SIGINT; requests that run then
    are finished, for five seconds at most.

    Args:
        direct: applies the broker's changes that this process commits.

    Raises:
        Conflict: the port is taken; the message names the process that has it, when known.
        InvalidSetting: nothing can listen on that address.
    """
    settings = app.settings
    api = create_app(app, direct)
    publisher = api.state.publisher
    assert isinstance(publisher, Publisher)
    listeners = _listen(settings.http_host, settings.http_port)
    proxies, registry = api.state.proxies, api.state.registry
    assert isinstance(proxies, Proxies)
    connections = Connections(
        descriptors_for(settings.http_connections_max),
        settings.http_connections_max_per_address,
        exempt=proxies.trusts,
        registry=registry,
    )
    # At INFO it logs the address of each WebSocket, and people put tokens into addresses.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    server = Server(
        uvicorn.Config(
            api,
            http=protocol_class(connections),
            h11_max_incomplete_event_size=HEAD_MAX_BYTES,
            loop="uvloop",
            log_config=None,  # what is logged, and where, is the command's choice
            access_log=False,
            server_header=False,
            proxy_headers=False,  # uvicorn would believe loopback; ``Proxies`` has the rule
            ws=websocket_class(connections),
            ws_max_size=WEBSOCKET_MAX_BYTES,
            ws_ping_interval=PING_SECONDS,
            ws_ping_timeout=PONG_SECONDS,
            ws_per_message_deflate=False,  # it takes 64 KiB of memory for each client
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        ),
        api.state.residents.values(),
    )

    def detail() -> dict[str, Any]:
        return {
            "host": settings.http_host,
            "port": settings.http_port,
            "broker_connected": publisher.connected,
            "requests": server.server_state.total_requests,
            "connections": len(connections),
        }

    heartbeat = Heartbeat(app.database, "serve", detail, publisher.supervisor.report)
    with _closing(listeners), _signals_survived(server):
        heartbeat.start()
        try:
            log.info("serving HTTP on %s port %d", settings.http_host, settings.http_port)
            server.run(sockets=listeners)
        finally:
            ending.exit_within(GRACE_SECONDS, 1)  # a database may not answer
            heartbeat.stop()


def _listen(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of the host; ``::`` is every address of both families.

    Raises:
        Conflict: the port is taken.
        InvalidSetting: nothing can listen there.
    """
    found: list[socket.socket] = []
    try:
        for family, address in _addresses(host, port):
            if not is_free(port, address):
                owner = port_owner(port)
                raise Conflict(
                    f"Port {port} is already used by {owner or 'another process'}.",
                    hint="Stop that process, or choose another port: --http-port.",
                    code="port_taken",
                    port=port,
                    pid=owner.pid if owner else None,
                )
            both = address == "::" and socket.has_dualstack_ipv6()
            found.append(
                socket.create_server(
                    (address, port), family=family, backlog=2048, dualstack_ipv6=both
                )
            )
    except OSError as exc:
        _close(found)
        raise InvalidSetting(
            f"Nothing can listen on {host} port {port}: {exc.strerror or exc}.",
            hint="Correct http_host or http_port.",
        ) from exc
    except MooringError:
        _close(found)
        raise
    return found


def _addresses(host: str, port: int) -> list[tuple[int, str]]:
    """Family and address of everything the host stands for (``localhost``: 127.0.0.1 and, on a
    machine with IPv6, ::1)."""
    answers = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
    )
    return list(dict.fromkeys((int(family), str(where[0])) for family, _, _, _, where in answers))


@contextmanager
def _closing(sockets: Iterable[socket.socket]) -> Iterator[None]:
    try:
        yield
    finally:
        _close(sockets)


def _close(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()


@contextmanager
def _signals_survived(server: uvicorn.Server) -> Iterator[None]:
    """uvicorn raises the signal that stopped it again when it has finished; without this
    that would end the process before it has signed off."""

    def finished(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True  # one that comes before uvicorn listens to signals counts too

    previous = {number: signal.signal(number, finished) for number in ending.stopping_signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
