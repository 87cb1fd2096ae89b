"""One device at full speed, and what another tenant's device notices of it.

``python -m bench.neighbour --seconds 60``: the real ``mooring up``. A device of the tenant `loud`
publishes as fast as the broker takes it: small messages, messages of 1 MB, bad JSON, 250 metrics in
each message. Meanwhile a device of the tenant `quiet` publishes five messages a second, each timed
until the database holds it, and ``/healthz`` is asked as often. ``--limit`` gives the loud tenant a
limit of messages a second, which the broker's plugin keeps. Under each flood stands the CPU of each
process: the flooding client and this program need theirs from the same cores.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from bench.figures import percentile
from bench.processes import VISIBLE, cpu_exact, descendants, name_of
from tests.support.platform import Login, Platform
from tests.support.raw_mqtt import connect_packet, publish_packet

__all__ = ["FLOODS", "main", "measure"]

STORED_MS, HEALTH_MS = 1_000.0, 100.0
"""What is asked: p99 from publish to stored, and of the answers of ``/healthz``."""
EVERY_SECONDS = 0.2
WAIT_SECONDS = 60.0
ACCEPTED = 0x20  # CONNACK
READ = 65_536
WINDOW = 20  # unacknowledged messages, as a client library has them


def _small() -> bytes:
    return b'{"values":{"t":1}}'


def _large() -> bytes:
    return b'{"values":{"t":1},"note":"' + b"x" * 1_000_000 + b'"}'


def _bad() -> bytes:
    return b'{"values":{"t":'


def _wide() -> bytes:
    return json.dumps({"values": {f"m{number}": number for number in range(250)}}).encode()


FLOODS = {"small": _small, "1 MB": _large, "bad JSON": _bad, "250 metrics": _wide}


def flood(port: int, login: Login, payload: bytes, end: float, counts: tuple[Any, Any]) -> None:
    """Publishes at full speed until ``end``; a disconnected device connects again.

    Args:
        counts: of acknowledged messages and of CPU seconds, for its parent.
    """
    sent, spent = counts
    packets = [
        publish_packet(login.topics["telemetry"], payload, qos=1, packet_id=number)
        for number in range(1, WINDOW + 1)
    ]
    while time.time() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(
                    connect_packet(
                        login.client_id, username=login.username, password=login.password
                    )
                )
                if connection.recv(4)[:1] != bytes([ACCEPTED]):
                    continue
                while time.time() < end:
                    for packet in packets:
                        connection.sendall(packet)
                    left = 4 * len(packets)  # bytes of as many PUBACKs
                    while left > 0:
                        got = connection.recv(min(READ, left))
                        if not got:
                            raise ConnectionError
                        left -= len(got)
                        sent.value += len(got) // 4
                    spent.value = time.process_time()
        except OSError:
            time.sleep(0.05)
    spent.value = time.process_time()


class Neighbour:
    """The other tenant's device."""

    def __init__(self, platform: Platform, login: Login) -> None:
        self._platform, self._login = platform, login
        self.delays: list[float] = []
        self.unstored = 0
        self._number = 0

    def run(self, end: float) -> None:
        path = self._platform.data_dir / "mooring.db"
        with (
            self._platform.connect(self._login) as client,
            closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database,
        ):
            (device,) = database.execute(
                "SELECT id FROM devices WHERE username = ?", (self._login.username,)
            ).fetchone()
            while time.time() < end:
                began = time.monotonic()
                self._number += 1
                payload = {"values": {"n": self._number}, "seq": self._number}
                client.publish(self._login.topics["telemetry"], json.dumps(payload).encode(), qos=1)
                if self._stored(database, device):
                    self.delays.append(1000 * (time.monotonic() - began))
                else:
                    self.unstored += 1
                time.sleep(max(0.0, began + EVERY_SECONDS - time.monotonic()))

    def _stored(self, database: sqlite3.Connection, device: int) -> bool:
        give_up = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < give_up:
            row = database.execute(
                "SELECT payload FROM latest WHERE device_id = ?", (device,)
            ).fetchone()
            if row is not None and json.loads(row[0])["seq"] >= self._number:
                return True
            time.sleep(0.002)
        return False


def _health(port: int, end: float, delays: list[float]) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        while time.time() < end:
            began = time.monotonic()
            client.get("/healthz").raise_for_status()
            delays.append(1000 * (time.monotonic() - began))
            time.sleep(max(0.0, began + EVERY_SECONDS - time.monotonic()))


def _used(platform: Platform) -> dict[str, float]:
    """CPU seconds of each process up to now, by what it is."""
    if not VISIBLE or platform.up is None:
        return {}
    roles = {pid: role for role, pid in platform.rows("SELECT role, pid FROM processes")}
    found = {"this program": time.process_time()}
    for pid in descendants(platform.up.pid):
        try:
            name = roles.get(pid) or name_of(pid)
            found[name] = found.get(name, 0.0) + cpu_exact(pid)
        except OSError:
            continue  # it has just ended
    return found


def measure(platform: Platform, name: str, seconds: float) -> dict[str, Any]:
    """The figures of one flood."""
    word = name.replace(" ", "-").lower()
    loud = platform.add(f"loud-{word}", "mooring", "--tenant", "loud")
    quiet = platform.add(f"quiet-{word}", "mooring", "--tenant", "quiet")
    neighbour, health = Neighbour(platform, quiet), list[float]()
    sent, spent = multiprocessing.Value("q", 0), multiprocessing.Value("d", 0.0)
    end = time.time() + seconds
    port = platform.ports["mqtt_port"]
    flooding = multiprocessing.Process(
        target=flood, args=(port, loud, FLOODS[name](), end, (sent, spent)), daemon=True
    )
    asking = threading.Thread(target=_health, args=(platform.ports["http_port"], end, health))
    before = _used(platform)
    flooding.start()
    asking.start()
    neighbour.run(end)
    asking.join()
    after = _used(platform)
    flooding.join(10)
    after["flooding client"] = spent.value
    delays, health = sorted(neighbour.delays), sorted(health)
    return {
        "flood": name,
        "sent_per_second": sent.value / seconds,
        "stored_p50_ms": percentile(delays, 0.5),
        "stored_p99_ms": percentile(delays, 0.99),
        "unstored": neighbour.unstored,
        "health_p99_ms": percentile(health, 0.99),
        "health_max_ms": health[-1],
        "cores": {role: (after[role] - before.get(role, 0.0)) / seconds for role in after},
    }


def main(words: list[str] | None = None) -> int:
    """Prints the table; the exit code is 1 if a figure is above what is asked."""
    parser = argparse.ArgumentParser(prog="python -m bench.neighbour", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each flood")
    parser.add_argument("--flood", choices=FLOODS, help="only this one")
    parser.add_argument("--limit", type=int, help="messages a second of the loud tenant")
    given = parser.parse_args(words)
    failed = False
    print("flood          sent/s  stored p50   stored p99  /healthz p99  not stored")
    for name in [given.flood] if given.flood else FLOODS:
        with tempfile.TemporaryDirectory() as folder:
            platform = Platform(Path(folder) / "data")
            platform.start()
            try:
                if given.limit:
                    platform.cli("tenant", "add", "loud")
                    limit = str(given.limit)
                    platform.cli("tenant", "set", "loud", "--messages-per-second", limit)
                found = measure(platform, name, given.seconds)
            finally:
                platform.stop()
        print(
            f"{name:12} {found['sent_per_second']:8,.0f} {found['stored_p50_ms']:8,.0f} ms"
            f" {found['stored_p99_ms']:9,.0f} ms {found['health_p99_ms']:10,.0f} ms"
            f" {found['unstored']:11}",
            flush=True,
        )
        busy = sorted(found["cores"].items(), key=lambda one: -one[1])
        print("    cores: " + ", ".join(f"{role} {used:.2f}" for role, used in busy if used > 0.01))
        failed = failed or bool(found["unstored"]) or found["stored_p99_ms"] >= STORED_MS
        failed = failed or found["health_p99_ms"] >= HEALTH_MS
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
