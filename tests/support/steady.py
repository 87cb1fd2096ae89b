"""A fleet that publishes at a steady rate and writes down what the broker acknowledged.

Run as a program it is that fleet (``python -m tests.support.steady``, orders on standard
input); ``Steady`` starts it and reads what it wrote. It is a process of its own, and speaks
MQTT 3.1.1 by hand, so that thousands of messages a second cost little beside what is tested.

Each device keeps its session and sends again, in order and marked as repeated, what was not
acknowledged when its connection broke.
"""

from __future__ import annotations

import asyncio
import json
import struct
import subprocess
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.platform import Login, Platform

__all__ = ["Numbers", "Steady", "Told", "mixed_fleet", "received", "stored"]

FIRST = 1_000_000_000  # so that every number has as many digits
DIGITS = slice(5, 15)  # where it stands in a payload
WINDOW = 400  # unacknowledged messages of a device; when it is full, nothing is measured
TICK = 0.01  # seconds between two writes of a device
KEEPALIVE = 30
CONNECT_SECONDS = 5.0
AGAIN_SECONDS = 0.5
END_SECONDS = 120.0
READY = "ready"


class Numbers(StrEnum):
    """By what a repeated message can be recognised."""

    TIME = "ts"  # a device's clock
    COUNT = "seq"  # a number of the device's own


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("!H", len(raw)) + raw


def _packet(kind: int, body: bytes) -> bytes:
    length, out = len(body), bytearray([kind])
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out) + body


class _Device(asyncio.Protocol):
    """One device's session; a connection at a time."""

    def __init__(self, order: dict[str, str]) -> None:
        self.order = order
        self.acknowledged_at = array("q")  # by number: milliseconds since 1970, 0: not yet
        self.repeated = self.connects = 0
        self.there = asyncio.Event()  # the broker has let it in
        self.idle = asyncio.Event()  # everything is acknowledged
        self.idle.set()
        self._topic = _string(order["topic"])
        self._flying: deque[tuple[int, int, bytes]] = deque()  # number, packet id, packet
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._lost = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self._flying)

    async def stay(self, port: int) -> None:
        """Connects, and connects again, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._lost.clear()
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await loop.create_connection(lambda: self, "127.0.0.1", port)
            except (OSError, TimeoutError):
                pass
            else:
                await self._lost.wait()
            await asyncio.sleep(AGAIN_SECONDS)

    def publish(self) -> None:
        number = len(self.acknowledged_at)
        self.acknowledged_at.append(0)
        body = {
            "n": FIRST + number,
            self.order["mark"]: number + 1
            if self.order["mark"] == Numbers.COUNT
            else time.time_ns() // 1_000_000,
            "values": {"temperature": 20 + number % 100 / 10, "door": False},
            "pad": "x" * 120,
        }
        packet_id = number % 65_535 + 1
        head = self._topic + struct.pack("!H", packet_id)
        packet = _packet(0x32, head + json.dumps(body, separators=(",", ":")).encode())
        self._flying.append((number, packet_id, packet))
        self.idle.clear()
        if self.there.is_set():
            self._write(packet)

    def ping(self) -> None:
        if self.there.is_set():
            self._write(b"\xc0\x00")

    def close(self) -> None:
        if self.there.is_set():
            self._write(b"\xe0\x00")
        if self._transport is not None:
            self._transport.close()

    # ---------------------------------------------------------------- asyncio's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._rest = transport, b""
        order = self.order
        flags = 0xC0  # username and password; the session is kept
        body = _string("MQTT") + bytes([4, flags]) + struct.pack("!H", KEEPALIVE)
        for word in ("client_id", "username", "password"):
            body += _string(order[word])
        self._write(_packet(0x10, body))

    def connection_lost(self, exc: Exception | None) -> None:
        self.there.clear()
        self._transport = None
        self._lost.set()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        at = 0
        # All that a broker sends to a device that subscribes to nothing has four bytes but
        # the answer to a ping, which has two.
        while len(data) - at >= (2 if data[at : at + 1] == b"\xd0" else 4):
            if data[at] == 0xD0:
                at += 2
                continue
            if data[at] == 0x20:
                self._connected(data[at + 3])
            else:
                self._acknowledged(struct.unpack_from("!H", data, at + 2)[0])
            at += 4
        self._rest = data[at:]

    # ---------------------------------------------------------------- inside

    def _write(self, packet: bytes) -> None:
        # One that is closing says so soon; what is not acknowledged is sent again then.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(packet)

    def _connected(self, code: int) -> None:
        if code:
            assert self._transport is not None
            self._transport.close()
            return
        self.there.set()
        self.connects += 1
        for _, _, packet in self._flying:
            self._write(bytes([packet[0] | 0x08]) + packet[1:])
            self.repeated += 1

    def _acknowledged(self, packet_id: int) -> None:
        flying = self._flying
        for place, (number, its_id, _) in enumerate(flying):  # the first, nearly always
            if its_id == packet_id:
                self.acknowledged_at[number] = time.time_ns() // 1_000_000
                del flying[place]
                break
        if not flying:
            self.idle.set()


async def _run(orders: dict[str, Any]) -> list[_Device]:
    devices = [_Device(order) for order in orders["devices"]]
    tasks = [asyncio.create_task(device.stay(orders["port"])) for device in devices]
    async with asyncio.timeout(END_SECONDS):
        for device in devices:
            await device.there.wait()
    print(READY, flush=True)
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))  # until it is closed
    rate, begun, sent, pinged = orders["rate"], time.monotonic(), 0, time.monotonic()
    while not ended.done():
        due = int((time.monotonic() - begun) * rate) - sent
        open_ones = [device for device in devices if device.waiting < WINDOW]
        for turn in range(due if open_ones else 0):
            device = open_ones[(sent + turn) % len(open_ones)]
            if device.waiting < WINDOW:
                device.publish()
        sent += due  # what nobody had room for was never measured
        if time.monotonic() - pinged > KEEPALIVE / 3:
            pinged = time.monotonic()
            for device in devices:
                device.ping()
        await asyncio.sleep(TICK)
    with suppress(TimeoutError):  # what is not acknowledged then is told as that
        async with asyncio.timeout(END_SECONDS):
            for device in devices:
                await device.there.wait()
                await device.idle.wait()
    for task in tasks:
        task.cancel()
    for device in devices:
        device.close()
    return devices


def main() -> None:
    """Reads the orders, publishes until standard input ends, and tells how it went."""
    orders = json.loads(sys.stdin.readline())
    devices = asyncio.run(_run(orders))
    with Path(orders["output"]).open("wb") as file:
        for device in devices:
            device.acknowledged_at.tofile(file)
    told = [
        {
            "sent": len(device.acknowledged_at),
            "repeated": device.repeated,
            "connects": device.connects,
        }
        for device in devices
    ]
    print(json.dumps(told))


@dataclass(frozen=True, slots=True)
class Told:
    """What one device sent, and when each message was acknowledged (0: never)."""

    login: Login
    acknowledged_at: Sequence[int]
    repeated: int
    connects: int


class Steady:
    """The fleet, from the side of a test.

    Args:
        logins: the devices, each with how its messages can be told apart.
        port: where the broker listens.
        rate: messages a second of all together.
        output: a file for what was acknowledged.
    """

    def __init__(
        self, logins: Sequence[tuple[Login, Numbers]], port: int, *, rate: float, output: Path
    ) -> None:
        self._logins, self._output = [login for login, _ in logins], output
        orders = {
            "port": port,
            "rate": rate,
            "output": str(output),
            "devices": [
                {
                    "client_id": login.client_id,
                    "username": login.username,
                    "password": login.password,
                    "topic": login.topics["telemetry"],
                    "mark": mark,
                }
                for login, mark in logins
            ],
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.steady"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(orders) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout is not None
        said = self._process.stdout.readline()  # when every device is connected
        if said.strip() != READY:
            self._process.kill()
            raise AssertionError(f"The fleet did not connect: {said!r}.")

    def finish(self) -> list[Told]:
        """Stops it when everything is acknowledged; what each device was told."""
        said, _ = self._process.communicate(timeout=END_SECONDS + 30)
        if self._process.returncode:
            raise AssertionError(f"The fleet ended with {self._process.returncode}.")
        told = []
        with self._output.open("rb") as file:
            for login, one in zip(self._logins, json.loads(said), strict=True):
                times = array("q")
                times.fromfile(file, one["sent"])
                told.append(Told(login, times, one["repeated"], one["connects"]))
        return told

    def __enter__(self) -> Steady:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(20)


def mixed_fleet(platform: Platform, count: int = 10) -> list[tuple[Login, Numbers]]:
    """Devices of the native dialect that tell time and others that only count, in turn."""
    marks = list(Numbers)
    return [
        (platform.add(f"d{number}", "mooring"), marks[number % len(marks)])
        for number in range(count)
    ]


def stored(platform: Platform, told: Told) -> Counter[int]:
    """How often each number of a device is stored; counted from 0, as ``acknowledged_at``."""
    return Counter({number: len(times) for number, times in received(platform, told).items()})


def received(platform: Platform, told: Told) -> dict[int, list[int]]:
    """When ingest received what is stored of each number, in order, milliseconds since 1970."""
    rows = platform.rows(
        "SELECT payload, received_at FROM messages WHERE device_id ="
        " (SELECT id FROM devices WHERE username = ?) ORDER BY received_at",
        told.login.username,
    )
    found: dict[int, list[int]] = {}
    for payload, at in rows:
        found.setdefault(int(payload[DIGITS]) - FIRST, []).append(int(at))
    return found


if __name__ == "__main__":
    main()
