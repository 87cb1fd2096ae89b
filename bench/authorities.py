"""How each authority grows: a new device until its login, and what the others feel of it.

    python -m bench.authorities [--sizes 100,1000,10000] [--rounds 10] [--json FILE]

For each number of devices and each authority, on a broker of its own:

- *bulk*: so many devices created in one go, until the broker accepts the last of them;
- *login*: one more device, from the call that adds it to its accepted CONNECT;
- *cpu*: what of that is computing, by us and by the broker, whatever else the machine does;
- *gone*: a device removed, until its CONNECT is refused;
- *stall*: the longest a pinging client waits for its answer during those, and *idle* when
  nothing happens;
- *compare*: everything compared with the database, and the stall of that.

All of it by the parts of ``mooring up`` in one process; no message is sent meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import multiprocessing.connection
import os
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from bench.generator import connect_packet
from mooring.app import App, open_app
from mooring.broker.connection import Connection, Endpoint
from mooring.bulk.model import Entry
from mooring.changes.waiting import wait_applied
from mooring.devices.model import Credentials, NewDevice
from mooring.devices.reconcile import Reconciler
from mooring.errors import BrokerUnavailable
from mooring.identity.actor import SYSTEM
from mooring.run.broker import build_process, service_endpoint, write_accounts, write_config
from mooring.run.follow import Follower
from mooring.settings import Settings
from tests.support.ports import free_port

MODES = ("plugin", "dynamic_security", "password_file")
LIMITS = {("dynamic_security", 1000): 0.05, ("dynamic_security", 10_000): 0.4}
PLUGIN_LIMIT = 0.1  # whatever the size
PASSWORD_FILE_LIMIT = 2.5
BULK_LIMIT = 30.0
DIALECT = "drivesafe"

PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"
PING_PAUSE = 0.002


def ping_for_ever(port: int, login: tuple[str, str], pipe: Any) -> None:
    """A process of its own: pings without end, tells the longest answer when asked."""
    while True:
        try:
            sock = socket.create_connection(("127.0.0.1", port), timeout=60)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(connect_packet(f"bench-{login[0]}", *login))
            if sock.recv(4)[3:] != b"\x00":
                raise ConnectionError("refused")
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


class Pinger:
    """The process above, from outside."""

    def __init__(self, port: int, login: tuple[str, str]) -> None:
        here, there = multiprocessing.Pipe()
        self._pipe: multiprocessing.connection.Connection = here
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(
            target=ping_for_ever, args=(port, login, there), daemon=True
        )
        self._process.start()

    async def longest(self) -> float:
        """Seconds of the slowest answer since the last call."""
        self._pipe.send("tell")
        return float(await asyncio.to_thread(self._pipe.recv))

    def end(self) -> None:
        self._pipe.send("end")
        self._process.join(10)


@contextmanager
def installation(mode: str) -> Iterator[App]:
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as folder:
        ports = {name: free_port() for name in ("mqtt_port", "mqtt_tls_port", "mqtt_ws_port")}
        settings = Settings(
            data_dir=Path(folder) / "data",
            auth_mode=mode,  # type: ignore[arg-type]
            broker_compare_seconds=1e9,
            **ports,
        )
        with open_app(settings, upgrade=True) as app:
            yield app


@asynccontextmanager
async def followed(app: App) -> AsyncIterator[Follower]:
    """Broker and follower, as ``mooring up`` has them."""
    process = build_process(app, write_config(app))
    accounts = await write_accounts(app)
    await process.start()
    await process.wait_ready()

    async def moved(_app: App) -> None: ...

    follower = Follower(app, process, accounts, moved)
    task = asyncio.create_task(follower.follow())
    try:
        yield follower
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await process.stop()


async def create(app: App, count: int) -> tuple[float, Credentials]:
    """Seconds until the broker accepts the last of so many."""
    begun = time.perf_counter()
    entries = [Entry(n, NewDevice(f"bulk-{n}", DIALECT)) for n in range(count)]
    checked, wrong = await asyncio.to_thread(app.bulk.check, SYSTEM, entries)
    assert not wrong
    made, secrets = await asyncio.to_thread(app.bulk.new_passwords, checked)
    changes = await asyncio.to_thread(
        lambda: app.bulk.store(SYSTEM, made, secrets=secrets if count > 20 else ())
    )
    assert await asyncio.to_thread(wait_applied, app.database, changes, 300)
    await log_in(app, secrets[-1])
    return time.perf_counter() - begun, secrets[-1]


async def log_in(app: App, credentials: Credentials) -> None:
    connection = await Connection.open(
        Endpoint(
            app.settings.mqtt_host,
            app.settings.mqtt_port,
            credentials.device.username,
            credentials.password,
        ),
        client_id=credentials.device.client_id,
    )
    await connection.close()


def cpu_of(pid: int | None) -> float:
    """Seconds of CPU that this process and another have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


async def one_more(app: App, number: int) -> tuple[float, Credentials]:
    begun = time.perf_counter()
    credentials, changes = await asyncio.to_thread(
        app.devices.add, SYSTEM, NewDevice(f"one-{number}", DIALECT)
    )
    assert await asyncio.to_thread(wait_applied, app.database, changes, 60)
    await log_in(app, credentials)
    return time.perf_counter() - begun, credentials


async def gone(app: App, credentials: Credentials) -> float:
    begun = time.perf_counter()
    changes = await asyncio.to_thread(app.devices.remove, SYSTEM, credentials.device.username)
    assert await asyncio.to_thread(wait_applied, app.database, changes, 60)
    try:
        await log_in(app, credentials)
    except BrokerUnavailable as exc:
        assert exc.slug == "broker_refused"
        return time.perf_counter() - begun
    raise AssertionError("a removed device got in")


async def measure(app: App, mode: str, count: int, rounds: int) -> dict[str, Any]:
    async with followed(app) as follower:
        bulk, last = await create(app, count)
        pinger = Pinger(app.settings.mqtt_port, (last.device.username, last.password))
        try:
            await pinger.longest()
            await asyncio.sleep(1.0)
            idle = await pinger.longest()
            logins, departures, computed = [], [], 0.0
            quiet = app.settings.reload_debounce_seconds if mode == "password_file" else 0.0
            for number in range(rounds):
                await asyncio.sleep(quiet)  # the first change after a quiet time
                before = cpu_of(follower.broker_pid)
                took, credentials = await one_more(app, number)
                computed += cpu_of(follower.broker_pid) - before
                logins.append(took)
                if number < rounds // 2:
                    # At once: in the password file it waits for the debounce.
                    departures.append(await gone(app, credentials))
            stall = await pinger.longest()
            begun = time.perf_counter()
            reconciler = Reconciler(
                app.database,
                app.devices,
                app.instance,
                follower.authority,
                service_endpoint(app),
            )
            report = await reconciler.full(dry_run=True)
            compare = time.perf_counter() - begun
            assert report.differences == ()
            compare_stall = await pinger.longest()
        finally:
            pinger.end()
    limit = {
        "plugin": PLUGIN_LIMIT,
        "dynamic_security": LIMITS.get((mode, count)),
        "password_file": PASSWORD_FILE_LIMIT,
    }[mode]
    return {
        "mode": mode,
        "devices": count,
        "bulk_seconds": round(bulk, 3),
        "login_median": round(statistics.median(logins), 4),
        "login_longest": round(max(logins), 4),
        "login_cpu": round(computed / rounds, 4),
        "limit": limit,
        "gone_longest": round(max(departures), 4),
        "idle_stall": round(idle, 4),
        "stall": round(stall, 4),
        "compare_seconds": round(compare, 3),
        "compare_stall": round(compare_stall, 4),
    }


HEADINGS = (
    ("mode", "authority", ""),
    ("devices", "devices", ""),
    ("bulk_seconds", "bulk", "s"),
    ("login_median", "login", "ms"),
    ("login_longest", "longest", "ms"),
    ("login_cpu", "cpu", "ms"),
    ("gone_longest", "gone", "ms"),
    ("idle_stall", "idle", "ms"),
    ("stall", "stall", "ms"),
    ("compare_seconds", "compare", "s"),
    ("compare_stall", "its stall", "ms"),
)


def cell(row: dict[str, Any], name: str, unit: str) -> str:
    value = row[name]
    if unit == "ms":
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if unit == "s" else str(value)


def show(rows: list[dict[str, Any]]) -> None:
    table = [[title for _, title, _ in HEADINGS]]
    table += [[cell(row, name, unit) for name, _, unit in HEADINGS] for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEADINGS))]
    for line in table:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="100,1000,10000")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    rows = []
    for size in (int(word) for word in options.sizes.split(",")):
        for mode in options.modes.split(","):
            with installation(mode) as app:
                rows.append(asyncio.run(measure(app, mode, size, options.rounds)))
            print(json.dumps(rows[-1]), flush=True)
    show(rows)
    for row in rows:
        if row["limit"] is not None and row["login_median"] > row["limit"]:
            print(f"{row['mode']} with {row['devices']}: over its limit of {row['limit']} s")
        if row["devices"] <= 10_000 and row["bulk_seconds"] > BULK_LIMIT:
            print(f"{row['mode']} with {row['devices']}: bulk over {BULK_LIMIT:g} s")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
