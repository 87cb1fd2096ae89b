"""How long a command takes: from the API call to the device's socket, and from a device's
SUBSCRIBE to a command that waits for it.

``python -m bench.commands``: the real ``mooring up`` with Mooring's plugin and 1,000 connected
devices, on SQLite and on PostgreSQL. A delay ends when the socket has the bytes of the PUBLISH.
``--fleet 10000`` measures one command to each of so many connected devices instead, from the first
transaction that writes them to the last socket. It begins when the platform shows all of them as
connected.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from bench.figures import percentile
from mooring.app import App, open_app
from mooring.commands.model import Command, NewCommand
from mooring.commands.service import Commands
from mooring.devices.model import Device, NewDevice
from mooring.downlink.gate import WORK
from mooring.identity.actor import SYSTEM
from mooring.presence.states.machine import State
from mooring.secrets import verifiers
from mooring.settings import Settings
from mooring.store.schema import presence
from tests.support.platform import Platform
from tests.support.postgres import Postgres
from tests.support.raw_mqtt import binary, packet

__all__ = ["TENANT", "TOGETHER", "Board", "Login", "main", "measure", "platform_with"]

DIALECT, TENANT = "iotflow", "bench"
TARGETS = {"call to socket": (10.0, 50.0), "subscribe to socket": (50.0, 300.0)}
"""Milliseconds: p50 and p99."""
TOGETHER = 100  # connections that are opened at the same time
WAIT_SECONDS = 20.0
AT_ONCE = 1_000  # devices, or commands, in one transaction
FLEET_TARGET, FLEET_SECONDS = 5.0, 300.0


@dataclass(frozen=True, slots=True)
class Login:
    """A device of the benchmark."""

    name: str
    username: str
    password: str
    client_id: str
    topic: str
    device: Device


class Board:
    """An MQTT 3.1.1 client that notes when a PUBLISH arrives, and answers it."""

    def __init__(self, login: Login, port: int) -> None:
        self.login = login
        self._port = port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._task: asyncio.Task[None] | None = None
        self.arrived: asyncio.Queue[float] = asyncio.Queue()

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        body = binary("MQTT") + b"\x04\xc2\x00\x00" + binary(self.login.client_id)
        self._send(0x10, body + binary(self.login.username) + binary(self.login.password))
        kind, answer = await self._packet()
        if kind != 0x20 or answer[1] != 0:
            raise RuntimeError(f"{self.login.name}: CONNACK {answer.hex()}")

    async def subscribe(self, *, wait: bool = True) -> None:
        self._send(0x82, b"\x00\x01" + binary(self.login.topic) + b"\x01")
        if wait:
            await self._packet()
        self._task = asyncio.create_task(self._read())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._writer.close()

    def _send(self, kind: int, body: bytes) -> None:
        self._writer.write(packet(kind, body))

    async def _packet(self) -> tuple[int, bytes]:
        kind = (await self._reader.readexactly(1))[0]
        size = shift = 0
        while True:
            byte = (await self._reader.readexactly(1))[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return kind, await self._reader.readexactly(size)

    async def _read(self) -> None:
        while True:
            kind, body = await self._packet()
            if kind & 0xF0 != 0x30:
                continue
            self.arrived.put_nowait(time.perf_counter())
            after = 2 + int.from_bytes(body[:2], "big")
            if kind & 0x06:
                self._send(0x40, body[after : after + 2])


def measure(*, devices: int, calls: int, store: str) -> dict[str, dict[str, float]]:
    """Both delays on one database, in milliseconds."""
    with platform_with(store, devices) as (platform, logins):
        return asyncio.run(_measure(platform, logins, calls))


@contextmanager
def platform_with(store: str, devices: int) -> Iterator[tuple[Platform, list[Login]]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "data"
        env = {"MOORING_AUTH_MODE": "plugin"}
        url = None
        if store == "postgresql":
            url = stack.enter_context(Postgres()).create_database()
            env["MOORING_DATABASE_URL"] = url
        platform = Platform(folder, env=env)
        settings = Settings(data_dir=folder, database_url=url, auth_mode="plugin")
        with open_app(settings, upgrade=True) as app:
            logins = [
                login
                for start in range(0, devices, AT_ONCE)
                for login in _added(app, range(start, min(start + AT_ONCE, devices)))
            ]
        platform.start()
        try:
            yield platform, logins
        finally:
            platform.stop()


def _added(app: App, numbers: Sequence[int]) -> list[Login]:
    """Devices in one transaction."""
    found = []
    with app.database.write() as connection:
        for number in numbers:
            password = verifiers.new_password()
            new = NewDevice(f"d{number}", DIALECT, TENANT)
            device, _ = app.devices.insert(connection, new, password)
            topic = app.devices.topics(device)["command"]
            found.append(
                Login(device.name, device.username, password, device.client_id, topic, device)
            )
    return found


def measure_fleet(*, devices: int, store: str) -> dict[str, float]:
    """Seconds until each of so many connected devices has one command."""
    with platform_with(store, devices) as (platform, logins):
        settings = Settings(
            data_dir=platform.data_dir,
            database_url=platform.cli.env.get("MOORING_DATABASE_URL"),
            auth_mode="plugin",
        )
        with open_app(settings) as app:
            return asyncio.run(_measure_fleet(platform, app, logins))


async def _measure_fleet(platform: Platform, app: App, logins: list[Login]) -> dict[str, float]:
    boards = [Board(one, platform.ports["mqtt_port"]) for one in logins]
    for start in range(0, len(boards), TOGETHER):
        some = boards[start : start + TOGETHER]
        await asyncio.gather(*(one.connect() for one in some))
        await asyncio.gather(*(one.subscribe() for one in some))
    known = await _all_known(app, len(boards))
    commands = app.service(Commands)
    every = [one.device for one in logins]

    def write(some: Sequence[Device]) -> None:
        with app.database.write(news=WORK) as connection:
            made = commands.create_many(
                connection, SYSTEM, [(one, NewCommand("x")) for one in some]
            )
        failed = [one for one in made if not isinstance(one, Command)]
        if failed:
            raise RuntimeError(f"{len(failed)} commands: {failed[0]}")

    began = time.perf_counter()
    for start in range(0, len(every), AT_ONCE):
        await asyncio.to_thread(write, every[start : start + AT_ONCE])
    written = time.perf_counter() - began
    async with asyncio.timeout(FLEET_SECONDS):
        arrived = [await board.arrived.get() for board in boards]
    for board in boards:
        await board.close()
    return {
        "known": known,
        "written": written,
        "handed over": max(arrived) - began,
        "devices": float(len(boards)),
    }


async def _all_known(app: App, devices: int) -> float:
    """Seconds until the platform shows all of them as connected: what comes then is measured."""
    began = time.perf_counter()
    shown = sa.select(sa.func.count()).where(presence.c.state == str(State.ONLINE))

    def count() -> int:
        with app.database.read() as connection:
            return int(connection.execute(shown).scalar_one())

    async with asyncio.timeout(FLEET_SECONDS):
        while await asyncio.to_thread(count) < devices:  # noqa: ASYNC110 - others write it
            await asyncio.sleep(0.5)
    return time.perf_counter() - began


async def _measure(
    platform: Platform, logins: list[Login], calls: int
) -> dict[str, dict[str, float]]:
    key = platform.cli("key", "new", "bench", "--role", "admin", "--json").json()["secret"]
    url = f"http://127.0.0.1:{platform.ports['http_port']}"
    late = logins[: min(calls, len(logins) // 4)]
    boards = [Board(one, platform.ports["mqtt_port"]) for one in logins[len(late) :]]
    for start in range(0, len(boards), TOGETHER):
        some = boards[start : start + TOGETHER]
        await asyncio.gather(*(one.connect() for one in some))
        await asyncio.gather(*(one.subscribe() for one in some))
    headers = {"X-API-Key": key}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as api:

        async def send(name: str) -> None:
            answer = await api.post(f"/api/v1/devices/{name}/commands", json={"name": "x"})
            answer.raise_for_status()

        await send(boards[0].login.name)
        await boards[0].arrived.get()
        called = []
        for board in random.sample(boards, min(calls, len(boards))):
            began = time.perf_counter()
            await send(board.login.name)
            async with asyncio.timeout(WAIT_SECONDS):
                called.append(await board.arrived.get() - began)
        subscribed = []
        for login in late:
            await send(login.name)
        for login in late:
            board = Board(login, platform.ports["mqtt_port"])
            await board.connect()
            began = time.perf_counter()
            await board.subscribe(wait=False)
            async with asyncio.timeout(WAIT_SECONDS):
                subscribed.append(await board.arrived.get() - began)
            await board.close()
    for board in boards:
        await board.close()
    return {"call to socket": _shares(called), "subscribe to socket": _shares(subscribed)}


def _shares(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(1000 * one for one in seconds)
    return {
        "p50": percentile(ordered, 0.5),
        "p99": percentile(ordered, 0.99),
        "most": ordered[-1],
        "calls": float(len(ordered)),
    }


def main() -> None:
    """Prints one line a database and delay."""
    made = argparse.ArgumentParser(prog="python -m bench.commands", description=__doc__)
    made.add_argument("--devices", type=int, default=1_000)
    made.add_argument("--calls", type=int, default=300)
    made.add_argument("--fleet", type=int, help="One command to each of so many devices instead.")
    made.add_argument("--store", choices=["sqlite", "postgresql"], action="append")
    options = made.parse_args()
    found: dict[str, Any] = {}
    for store in options.store or ["sqlite", "postgresql"]:
        if options.fleet:
            found[store] = measure_fleet(devices=options.fleet, store=store)
            took = found[store]["handed over"]
            print(
                f"{store:10}  {options.fleet} devices  written in {found[store]['written']:.1f} s, "
                f"handed over in {took:.1f} s (< {FLEET_TARGET:g})",
                file=sys.stderr,
            )
            continue
        found[store] = measure(devices=options.devices, calls=options.calls, store=store)
        for what, shares in found[store].items():
            p50, p99 = TARGETS[what]
            good = shares["p50"] < p50 and shares["p99"] < p99
            print(
                f"{store:10}  {what:19}  p50 {shares['p50']:7.1f} ms (< {p50:g})  "
                f"p99 {shares['p99']:7.1f} ms (< {p99:g})  {'ok' if good else 'over'}",
                file=sys.stderr,
            )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
