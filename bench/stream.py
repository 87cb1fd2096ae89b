"""What the live stream costs: many clients that read, and one that does not.

``python -m bench.stream``: the real ``mooring up``; 2,000 clients, each with a device of its own
that sends a message a second, all on one serving process. Then a client of every device that reads
nothing for a while. Printed are CPU and memory of ``mooring serve`` alone, and the delay from the
publish to the client's socket.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import websockets

from bench.figures import percentile
from bench.processes import cpu_exact, pss
from mooring.app import open_app
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Endpoint
from mooring.settings import Settings
from tests.support.platform import Platform

__all__ = ["main", "measure"]

DIALECT, TENANT = "mooring", "bench"
CORE, MEMORY_MB, HELD_MB = 1.0, 300.0, 1.0
"""What is asked: of a core and of memory with 2,000 clients; of memory by the one that waits."""
TOGETHER = 50
STEPS = 20  # in a second, so that messages do not come all at once
LAZY_RATE = 1_000  # changes a second while one client does not read


class Client:
    """One reader; delays are those of the payload's own time."""

    def __init__(self, url: str, key: str, device: str) -> None:
        self._url, self._key, self._device = url, key, device
        self.delays: list[float] = []
        self.task: asyncio.Task[None] | None = None
        self._socket: Any = None

    async def open(self) -> None:
        self._socket = await websockets.connect(
            self._url, additional_headers={"X-API-Key": self._key}, compression=None, max_queue=8
        )
        wanted = {"id": "1", "devices": [f"{TENANT}:{self._device}"], "kinds": ["telemetry"]}
        await self._socket.send(json.dumps({"subscribe": wanted}))
        while json.loads(await self._socket.recv()).get("more") is not False:
            pass
        self.task = asyncio.create_task(self._read())

    async def close(self) -> None:
        if self.task is not None:
            self.task.cancel()
        await self._socket.close()

    async def _read(self) -> None:
        async for text in self._socket:
            now = time.time()
            for one in json.loads(text).get("items", ()):
                self.delays.append(now - one["values"]["sent"])


def measure(*, clients: int, seconds: float, lazy: float) -> dict[str, float]:
    """The figures of one run."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "data"
        most = str(clients + 10)
        env = {
            "MOORING_STREAM_CLIENTS_MAX_PER_LOGIN": most,
            "MOORING_STREAM_CLIENTS_MAX_PER_TENANT": most,
            "MOORING_HTTP_CONNECTIONS_MAX": str(clients + 100),
            "MOORING_HTTP_CONNECTIONS_MAX_PER_ADDRESS": str(clients + 100),
        }
        platform = Platform(folder, env=env)
        with open_app(Settings(data_dir=folder), upgrade=True) as app:
            topics = {
                made.device.name: made.topics["telemetry"]
                for number in range(clients)
                for made in [app.devices.add(SYSTEM, NewDevice(f"d{number}", DIALECT, TENANT))[0]]
            }
        platform.start()
        try:
            return asyncio.run(_measure(platform, topics, seconds, lazy))
        finally:
            platform.stop()


async def _measure(
    platform: Platform, topics: dict[str, str], seconds: float, lazy: float
) -> dict[str, float]:
    key = platform.cli("key", "new", "bench", "--role", "viewer", "--json").json()["secret"]
    port = platform.ports["http_port"]
    serve = platform.pid("serve")
    secrets = json.loads((platform.data_dir / "secrets.json").read_text())
    link = MqttLink(
        Endpoint(
            "127.0.0.1",
            platform.ports["mqtt_port"],
            "service:mooring",
            secrets["service_password"],
            "bench-sender",
        )
    )
    await link.start()
    found: dict[str, float] = {"clients": float(len(topics)), "idle_mb": _megabytes(serve)}
    readers = [Client(f"ws://127.0.0.1:{port}/api/v1/stream", key, name) for name in topics]
    for start in range(0, len(readers), TOGETHER):
        await asyncio.gather(*(one.open() for one in readers[start : start + TOGETHER]))
    await _send(link, list(topics.values()), 3.0)
    for one in readers:
        one.delays.clear()
    before, began = cpu_exact(serve), time.monotonic()
    await _send(link, list(topics.values()), seconds)
    elapsed = time.monotonic() - began
    found["cores"] = (cpu_exact(serve) - before) / elapsed
    found["mb"] = _megabytes(serve)
    await asyncio.sleep(1)
    delays = sorted(1000 * delay for one in readers for delay in one.delays)
    found |= {
        "received_share": len(delays) / (len(readers) * seconds),
        "p50_ms": percentile(delays, 0.5),
        "p99_ms": percentile(delays, 0.99),
    }
    for start in range(0, len(readers), TOGETHER):
        await asyncio.gather(*(one.close() for one in readers[start : start + TOGETHER]))
    found |= await _lazy(link, (port, key), list(topics.values()), serve, lazy)
    await link.close()
    return found


async def _lazy(
    link: MqttLink, way: tuple[int, str], topics: list[str], serve: int, seconds: float
) -> dict[str, float]:
    """One client of everything reads nothing for a while; ``way``: port and API key."""
    port, key = way
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    await asyncio.to_thread(raw.connect, ("127.0.0.1", port))
    raw.setblocking(False)
    connection = await websockets.connect(
        f"ws://127.0.0.1:{port}/api/v1/stream",
        sock=raw,
        additional_headers={"X-API-Key": key},
        compression=None,
        max_queue=1,
        ping_interval=None,
    )
    await connection.send(json.dumps({"subscribe": {"id": "1", "kinds": ["telemetry"]}}))
    await _send(link, topics, 3.0, rate=LAZY_RATE)
    before = _megabytes(serve)
    await _send(link, topics, seconds, rate=LAZY_RATE)
    held = _megabytes(serve) - before
    last = time.time()
    await _send(link, topics, 1.0, rate=LAZY_RATE)
    missed, newest = 0, 0.0
    async with asyncio.timeout(30):
        while newest < last:
            message = json.loads(await connection.recv())
            missed += message.get("missed", 0)
            for one in (*message.get("items", ()), *message.get("snapshot", ())):
                newest = max(newest, one["values"]["sent"])
    await connection.close()
    return {"held_mb": held, "missed": float(missed)}


async def _send(link: MqttLink, topics: list[str], seconds: float, rate: int | None = None) -> None:
    """Every topic once a second, or so many messages a second in turn."""
    each = (rate or len(topics)) // STEPS
    place, began = 0, time.monotonic()
    for step in range(int(seconds * STEPS)):
        now = time.time()
        some = [topics[(place + n) % len(topics)] for n in range(each)]
        link.publish_many([(t, b'{"values":{"sent":%.4f}}' % now) for t in some])
        place += each
        await asyncio.sleep(max(0.0, began + (step + 1) / STEPS - time.monotonic()))


def _megabytes(pid: int) -> float:
    return (pss(pid) or 0) / 1e6


def main() -> None:
    """Prints each figure with what is asked."""
    made = argparse.ArgumentParser(prog="python -m bench.stream", description=__doc__)
    made.add_argument("--clients", type=int, default=2_000)
    made.add_argument("--seconds", type=float, default=20.0)
    made.add_argument("--lazy", type=float, default=60.0, help="seconds without reading")
    options = made.parse_args()
    found = measure(clients=options.clients, seconds=options.seconds, lazy=options.lazy)
    for name, most in (("cores", CORE), ("mb", MEMORY_MB), ("held_mb", HELD_MB)):
        good = found[name] < most
        print(f"{name:10} {found[name]:8.2f} (< {most:g})  {'ok' if good else 'OVER'}")
    for name in ("received_share", "p50_ms", "p99_ms", "missed", "idle_mb"):
        print(f"{name:10} {found[name]:8.2f}")
    print(json.dumps(found | {"load": os.getloadavg()[0]}), file=sys.stderr)


if __name__ == "__main__":
    main()
