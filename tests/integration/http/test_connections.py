"""A real uvicorn with our connections: what does not arrive or is not read has an end."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from websockets.sync.client import connect

from mooring.serve import connections as module
from mooring.serve.connections import (
    Connections,
    descriptors_for,
    protocol_class,
    websocket_class,
)
from tests.support.ports import free_port
from tests.support.waiting import wait_until

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
LARGE = 8 * 1024 * 1024


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body; answers with it, or with a lot, or after a while. A WebSocket answers
    each message with itself."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    if scope["path"] == "/slow":
        await asyncio.sleep(0.8)
    answer = b"x" * LARGE if scope["path"] == "/large" else b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer})


class Stand:
    def __init__(self, port: int, connections: Connections, registry: CollectorRegistry) -> None:
        self.port, self.connections, self._registry = port, connections, registry
        self.stack = ExitStack()

    def connect(self, *parts: bytes) -> socket.socket:
        client = self.stack.enter_context(socket.create_connection(("127.0.0.1", self.port)))
        client.settimeout(20)
        for part in parts:
            client.sendall(part)
        return client

    def ended(self, limit: str) -> float:
        name = "mooring_http_connections_ended_total"
        return self._registry.get_sample_value(name, {"limit": limit}) or 0.0


@contextmanager
def stand(most: int = 20, most_each: int = 20, **options: Any) -> Iterator[Stand]:
    registry = CollectorRegistry()
    connections = Connections(most, most_each, registry=registry, **options)
    port = free_port()
    config = uvicorn.Config(
        app,
        port=port,
        http=protocol_class(connections),
        ws=websocket_class(connections),
        log_config=None,
        timeout_keep_alive=30,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    found = Stand(port, connections, registry)
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "uvicorn to serve")
        yield found
    finally:
        found.stack.close()
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "WRITE_SECONDS"):
        monkeypatch.setattr(module, name, 0.3)


def is_ended(client: socket.socket) -> bool:
    """Whether the other end closes it, within the client's patience."""
    try:
        while client.recv(65_536):
            pass
    except ConnectionError:
        return True
    return True


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("parts", "limit"),
    [
        ((), "head"),
        ((b"GE",), "head"),
        ((b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ",), "head"),
        ((HEAD,), "body"),
        ((HEAD, b"12345"), "body"),
        ((b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",), "body"),
    ],
)
def test_a_half_sent_request_is_ended(parts: tuple[bytes, ...], limit: str) -> None:
    with stand() as server:
        assert is_ended(server.connect(*parts))
        wait_until(lambda: not len(server.connections), "the connection to be forgotten")
        assert server.ended(limit) == 1


@pytest.mark.usefixtures("impatient")
def test_a_large_body_has_time_as_long_as_much_of_it_arrives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BODY_LEAST_BYTES", 5_000)
    monkeypatch.setattr(module, "BODY_SECONDS", 1.5)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n"
    with stand() as server:
        client = server.connect(head)
        for _ in range(10):  # more than twice the patience in all
            client.sendall(bytes(20_000))
            time.sleep(0.35)
        assert client.recv(12) == b"HTTP/1.1 200"
        assert server.ended("body") == 0
        late = server.connect(head)
        late.sendall(bytes(10_000))
        assert is_ended(late)
        assert server.ended("body") == 1


@pytest.mark.usefixtures("impatient")
def test_sending_slowly_buys_no_time() -> None:
    with stand() as server:
        client = server.connect()
        stop = threading.Event()

        def trickle() -> None:
            try:
                while not stop.wait(0.05):
                    client.sendall(b"X")
            except OSError:
                return  # ended, as it should be

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert is_ended(client)
        finally:
            stop.set()
            thread.join()
        assert server.ended("head") == 1


@pytest.mark.usefixtures("impatient")
def test_the_second_request_of_a_connection_has_the_same_end() -> None:
    with stand() as server:
        client = server.connect(GET)
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET / HT")
        assert is_ended(client)
        assert server.ended("head") == 1


@pytest.mark.usefixtures("impatient")
def test_a_request_that_takes_long_to_answer_is_not_ended() -> None:
    with stand() as server:
        client = server.connect(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        client.sendall(GET)  # and the connection is good for more
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert [server.ended(one) for one in ("head", "body", "write")] == [0, 0, 0]


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_is_not_read_is_ended() -> None:
    with stand() as server:
        client = server.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: server.ended("write") == 1, "the connection to be ended")
        wait_until(lambda: not len(server.connections), "it to be forgotten")
        client.close()


def test_pipelined_requests_are_all_answered() -> None:
    with stand() as server:
        client = server.connect(GET * 5)
        said = b""
        while said.count(b"HTTP/1.1 200") < 5:
            said += client.recv(1000)


def test_waiting_connections_make_room_for_new_ones() -> None:
    """1,100 half-sent requests against a limit: the next request is answered all the same."""
    with stand(most=10, most_each=1000) as server:
        for _ in range(40):
            server.connect(b"GET / HTTP/1.1\r\n")
        client = server.connect(GET)
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        assert len(server.connections) <= 10
        assert server.ended("all") >= 31


def test_a_request_that_is_being_answered_never_makes_room() -> None:
    with stand(most=3) as server:
        busy = [server.connect(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(3)]
        wait_until(lambda: len(server.connections) == 3, "them to be connected")
        wait_until(lambda: not server.connections._waiting, "their requests to be read")
        assert is_ended(server.connect(GET))
        for client in busy:
            assert client.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("exempt", "left"), [(False, 4), (True, 12)])
def test_one_address_has_its_share(exempt: bool, left: int) -> None:
    with stand(most=100, most_each=4, exempt=lambda _: exempt) as server:
        for _ in range(12):
            server.connect(b"G")
        wait_until(lambda: len(server.connections) == left, "the others to be ended")
        client = server.connect(GET)
        assert client.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_head_has_a_size() -> None:
    with stand() as server:
        client = server.connect(b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000)
        assert is_ended(client)


@pytest.mark.parametrize(
    ("limits", "wanted", "allowed", "raised"),
    [
        ((1024, 4096), 1000, 1000, 1256),
        ((1024, 1024), 1000, 768, None),
        ((4096, 4096), 1000, 1000, None),
        ((100, 100), 1000, 1, None),
    ],
)
def test_connections_fit_into_what_may_be_open(
    limits: tuple[int, int],
    wanted: int,
    allowed: int,
    raised: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_to: list[int] = []
    limit: Callable[[int], tuple[int, int]] = lambda _: limits  # noqa: E731
    monkeypatch.setattr(module.resource, "getrlimit", limit)
    monkeypatch.setattr(module.resource, "setrlimit", lambda _, both: set_to.append(both[0]))
    assert descriptors_for(wanted) == allowed
    assert [one for one in set_to if one != limits[0]] == ([] if raised is None else [raised])


@pytest.mark.usefixtures("impatient")
def test_a_websocket_stays_open_and_gives_its_place_back() -> None:
    """It is no request whose rest does not arrive, and no other connection takes its place."""
    with stand(most=1) as server:
        with connect(f"ws://127.0.0.1:{server.port}/", ping_interval=None) as client:
            time.sleep(1.0)  # more than three times what a request may take
            client.send("still there")
            assert client.recv(timeout=20) == "still there"
            assert len(server.connections) == 1
            other = server.connect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert is_ended(other)
            client.send("and now")
            assert client.recv(timeout=20) == "and now"
        wait_until(lambda: len(server.connections) == 0, "its place to be free")
        assert server.ended("body") == 0
