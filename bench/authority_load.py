"""Clients for ``bench.authorities``: many that are connected, one that pings, some that work."""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import resource
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.generator import remaining, string

__all__ = ["Crowd", "Login", "Pinger", "cpu_of", "knock", "log_in", "memory_of", "publish"]

PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"
DISCONNECT = b"\xe0\x00"
PING_PAUSE = 0.002
WINDOW = 100  # messages that are not acknowledged yet


class Login(NamedTuple):
    """What a client connects with."""

    username: str
    password: str
    client_id: str


def connect_packet(login: Login) -> bytes:
    """CONNECT of MQTT 3.1.1, a clean session, without a keepalive."""
    flags = 0x02 | (0xC0 if login.username else 0)
    body = string("MQTT") + bytes([4, flags]) + struct.pack("!H", 0) + string(login.client_id)
    if login.username:
        body += string(login.username) + string(login.password)
    return b"\x10" + remaining(len(body)) + body


def _connected(port: int, login: Login) -> socket.socket:
    """Raises ``ConnectionError`` when the broker rejects the login."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(connect_packet(login))
    answer = sock.recv(4)
    if answer[3:] != b"\x00":
        sock.close()
        raise ConnectionError("rejected")
    return sock


def log_in(port: int, login: Login) -> bool:
    """Whether the broker accepts it; the session ends at once."""
    try:
        sock = _connected(port, login)
    except ConnectionError:
        return False
    sock.sendall(DISCONNECT)
    sock.recv(1)  # the broker has ended it
    sock.close()
    return True


def knock(port: int) -> None:
    """Connects and sends nothing: what any program on the network can make a broker pay."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.shutdown(socket.SHUT_WR)
    sock.recv(1)  # the broker has ended it
    sock.close()


def publish(port: int, login: Login, topic: str, count: int, size: int = 230) -> None:
    """So many messages at QoS 1, each acknowledged."""
    sock = _connected(port, login)
    waiting = 0
    for number in range(count):
        body = string(topic) + struct.pack("!H", number % 65535 + 1) + b"x" * size
        sock.sendall(b"\x32" + remaining(len(body)) + body)
        waiting += 1
        if waiting == WINDOW or number == count - 1:
            _read(sock, 4 * waiting)
            waiting = 0
    sock.sendall(DISCONNECT)
    sock.close()


def _read(sock: socket.socket, size: int) -> None:
    while size > 0:
        data = sock.recv(size)
        if not data:
            raise ConnectionError("the broker closed the connection")
        size -= len(data)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def memory_of(pid: int) -> int:
    """Bytes of its own in memory."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"process {pid} has no memory")


def _ping(port: int, login: Login, pipe: Any) -> None:
    """Pings without end, and tells the longest answer when asked."""
    while True:
        try:
            sock = _connected(port, login)
            longest = 0.0
            while True:
                begun = time.perf_counter()
                sock.sendall(PINGREQ)
                if sock.recv(2) != PINGRESP:
                    raise ConnectionError("no answer")
                longest = max(longest, time.perf_counter() - begun)
                if pipe.poll():
                    if pipe.recv() == "end":
                        return
                    pipe.send(longest)
                    longest = 0.0
                time.sleep(PING_PAUSE)
        except OSError:  # the broker restarts
            time.sleep(0.02)


def _hold(port: int, logins: Sequence[Login], pipe: Any) -> None:
    """Connects all, tells how many are connected each time it is asked, and holds them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sockets = [_connected(port, login) for login in logins]
    for sock in sockets:
        sock.setblocking(False)
    pipe.send(len(sockets))
    while pipe.recv() != "end":
        pipe.send(sum(map(_open, sockets)))


def _open(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


class _Process:
    """One of the functions above in a process of its own."""

    def __init__(self, target: Any, *words: Any) -> None:
        here, there = multiprocessing.Pipe()
        self.pipe: multiprocessing.connection.Connection = here
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=target, args=(*words, there), daemon=True)
        self._process.start()

    async def ask(self, word: str) -> Any:
        self.pipe.send(word)
        return await asyncio.to_thread(self.pipe.recv)

    def end(self) -> None:
        if self._process.is_alive():
            self.pipe.send("end")
        self._process.join(20)


class Pinger(_Process):
    """One client that pings all the time."""

    def __init__(self, port: int, login: Login) -> None:
        super().__init__(_ping, port, login)

    async def longest(self) -> float:
        """Seconds of the slowest answer since the last call."""
        return float(await self.ask("tell"))


class Crowd(_Process):
    """Clients that are connected and silent."""

    def __init__(self, port: int, logins: Sequence[Login]) -> None:
        super().__init__(_hold, port, list(logins))

    async def ready(self) -> int:
        """Waits until all are connected."""
        return int(await asyncio.to_thread(self.pipe.recv))

    async def connected(self) -> int:
        """How many are still."""
        return int(await self.ask("tell"))
