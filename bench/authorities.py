"""How each authority grows: changes through REST, and what the broker pays for them.

    python -m bench.authorities [--sizes 100,10000,100000] [--live 5000] [--json FILE]

For each number of devices and each authority there is one installation: broker, the process
that follows the database, and the HTTP server, as ``mooring up`` has them; ``live`` devices are
connected. ``none`` is a broker that checks nothing, to compare with. The columns:

- *start*: the broker, from its start to its first answer, and *memory* of it then and with
  all clients connected, for each client;
- *add*, *lock*, *remove*: one device through REST, from the request to the answer that the
  change is in force (p50 and p99);
- *idle*, *wait*: the longest time a pinging client waits for its answer while nothing happens
  and during those changes; *replaced*: while every account is written again with another
  verifier; *locked*: while 1,000 devices are locked at once;
- *message*: CPU time of the broker for each QoS 1 message; *login* for a login that is
  repeated, and how much that is of a password file's; *refused* for a login with a wrong
  password, *unknown* for one with an unknown username;
- *tcp*, *connect*: what any broker pays: a connection on which nothing is sent, and a CONNECT
  without a username, which the broker rejects itself (without a check it accepts it: a login).
  *unknown* less *connect* is what looking for the account and counting the rejection cost;
- *compare*: everything compared with the database: time, CPU time, and the longest wait.

CPU time is that of the broker unless it says otherwise. It holds on a busy machine; times do
not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench.authority_limits import judged
from bench.authority_load import Crowd, Login, Pinger, cpu_of, knock, log_in, memory_of, publish
from bench.authority_web import Web
from bench.figures import percentile
from mooring.app import App, open_app
from mooring.bulk.model import Entry
from mooring.changes import queue as change_queue
from mooring.changes.waiting import wait_applied
from mooring.devices.model import NewDevice
from mooring.devices.reconcile import REPLACE, Reconciler
from mooring.identity.actor import SYSTEM, Role
from mooring.people.model import NewKey
from mooring.run.children import Child
from mooring.secrets import verifiers
from mooring.settings import Settings
from mooring.store.processes import Heartbeat
from mooring.store.schema import credentials, devices
from mooring.wiring.broker import build_process, service_endpoint, write_accounts, write_config
from mooring.wiring.follow import Follower
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port

MODES = ("none", "plugin", "dynamic_security", "password_file")
DIALECT = "drivesafe"
PORTS = ("mqtt_port", "mqtt_tls_port", "mqtt_ws_port", "http_port")
ROUNDS = {"plugin": 100, "dynamic_security": 10, "password_file": 3}
SLOW_ROUNDS = {"dynamic_security": 2, "password_file": 2}  # from 20,000 devices on
SLOW_DEVICES = 20_000
LOCKED_AT_ONCE = 1_000
MESSAGES, LOGINS, REFUSALS = 20_000, 2_000, 2_000
WAIT_SECONDS = 120.0
SETTLE_SECONDS = 1.5  # after a burst of messages or logins the broker is busy a little longer


# ---------------------------------------------------------------------- an installation


def settings_for(folder: Path, mode: str) -> Settings:
    return Settings(
        data_dir=folder,
        auth_mode=mode,
        broker_compare_seconds=1e9,
        max_connections=20_000,
        **{name: free_port() for name in PORTS},
    )


def fill(folder: Path, count: int, live: int) -> list[tuple[str, str, str]]:
    """A data directory with so many devices; what ``live`` of them log in with: username,
    password, client id. The others have one password, which nobody uses: hashing is not
    what is measured."""
    unused = verifiers.make(verifiers.new_password())
    with open_app(settings_for(folder, "plugin"), upgrade=True) as app:
        entries = [Entry(n, NewDevice(f"bulk-{n}", DIALECT)) for n in range(count)]
        checked, wrong = app.bulk.check(SYSTEM, entries)
        assert not wrong
        made, secrets = app.bulk.new_passwords(checked[:live])
        rest = [replace(one, verifier=unused) for one in checked[live:]]
        app.bulk.store(SYSTEM, [*made, *rest])
        with app.database.write() as connection:  # written when the broker starts
            waiting = [number for number, _ in change_queue.waiting(connection)]
            change_queue.settle(connection, waiting)
        return [(one.device.username, one.password, one.device.client_id) for one in secrets]


@dataclass(frozen=True)
class Stand:
    """A running installation and what the measurements need of it."""

    app: App
    follower: Follower
    web: Web
    logins: list[Login]
    pid: int  # of the broker
    serve: int  # of the HTTP server

    @property
    def port(self) -> int:
        return self.app.settings.mqtt_port

    def reconciler(self) -> Reconciler:
        app = self.app
        return Reconciler(
            app.database,
            app.devices,
            app.instance,
            self.follower.authority,
            service_endpoint(app),
        )


@asynccontextmanager
async def running(
    folder: Path, mode: str, known: list[tuple[str, str, str]], row: dict[str, Any]
) -> AsyncIterator[Stand]:
    """Broker, follower and HTTP server. ``row`` gets how long the start took."""
    with open_app(settings_for(folder, mode), upgrade=True) as app:
        by_name = app.settings.username_is_client_id
        logins = [Login(u, p, u if by_name else c) for u, p, c in known]
        key = app.people.add_key(SYSTEM, NewKey(name="bench", role=Role.ADMIN)).secret
        process = build_process(app, write_config(app))
        begun = time.perf_counter()
        accounts = await write_accounts(app)
        row["written"] = time.perf_counter() - begun
        begun = time.perf_counter()
        await process.start()
        await process.wait_ready()
        row["start"] = time.perf_counter() - begun
        follower = Follower(app, process, accounts, _nothing)
        task = asyncio.create_task(follower.follow())
        app.settings.logs_dir.mkdir(parents=True, exist_ok=True)
        serve = Child("serve", ["serve"], app.settings, app.settings.logs_dir / "serve.log")
        await serve.start()
        try:
            web = Web(app.settings.http_port, key)
            await _until(lambda: _answers(web), "the HTTP server")
            assert process.pid is not None
            assert serve.pid is not None
            with _heartbeat(app):
                yield Stand(app, follower, web, logins, process.pid, serve.pid)
            await web.close()
        finally:
            await serve.stop()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await process.stop()


async def _nothing(_app: App) -> None: ...


@contextlib.contextmanager
def _heartbeat(app: App) -> Any:
    """The server waits for changes only while somebody says that the broker follows."""
    beat = Heartbeat(app.database, "up", dict)
    beat.start()
    try:
        yield
    finally:
        beat.stop()


async def _answers(web: Web) -> bool:
    try:
        await web.request("GET", "/healthz")
    except OSError:
        return False
    return True


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        await asyncio.sleep(0.05)


# ---------------------------------------------------------------------- what is measured


async def changes(stand: Stand, rounds: int, row: dict[str, Any]) -> None:
    """One device after another is added, locked and removed through REST."""
    times: dict[str, list[float]] = {"add": [], "lock": [], "remove": []}

    async def one(what: str, request: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        begun = time.perf_counter()
        document = await request
        if not document.get("accepted_by_broker", document.get("applied_by_broker")):
            await _until(_nothing_pending(stand.app), "a change")  # slower than a request waits
        times[what].append(time.perf_counter() - begun)
        return document

    for number in range(rounds + 1):
        name = f"one-{number}"
        made = await one("add", stand.web.request("POST", "/api/v1/devices", _new(name)))
        login = _login(stand.app, made)
        assert await asyncio.to_thread(log_in, stand.port, login)
        await one("lock", stand.web.request("POST", f"/api/v1/devices/{name}/disable"))
        assert not await asyncio.to_thread(log_in, stand.port, login)
        await one("remove", stand.web.request("DELETE", f"/api/v1/devices/{name}"))
    for what, taken in times.items():
        ordered = sorted(taken[1:])  # the first connects, and reads what is read once
        row[f"{what}_p50"] = statistics.median(ordered)
        row[f"{what}_p99"] = percentile(ordered, 0.99)


def _new(name: str) -> dict[str, str]:
    return {"name": name, "dialect": DIALECT}


def _login(app: App, made: dict[str, Any]) -> Login:
    by_name = app.settings.username_is_client_id
    name = made["username"]
    return Login(name, made["password"], name if by_name else made["client_id"])


def _nothing_pending(app: App) -> Callable[[], Awaitable[bool]]:
    def look() -> bool:
        with app.database.read() as connection:
            return not change_queue.waiting(connection)

    async def asked() -> bool:
        return await asyncio.to_thread(look)

    return asked


async def many_locked(stand: Stand, count: int) -> None:
    """Devices that are not connected are locked in one transaction."""
    app = stand.app

    def lock() -> list[int]:
        with app.database.write() as connection:
            newest = sa.select(devices.c.id, devices.c.username).order_by(devices.c.id.desc())
            rows = connection.execute(newest.limit(count)).all()
            connection.execute(
                sa.update(devices)
                .where(devices.c.id.in_([row.id for row in rows]))
                .values(enabled=False)
            )
            return [change_queue.enqueue(connection, "put", row.username) for row in rows]

    numbers = await asyncio.to_thread(lock)
    assert await asyncio.to_thread(wait_applied, app.database, numbers[-1:], WAIT_SECONDS)
    await _until(_nothing_pending(app), "the locks")


async def all_replaced(stand: Stand) -> None:
    """Every device that is not connected has another verifier."""
    app, connected = stand.app, [login.username for login in stand.logins]

    def others() -> int:
        with app.database.write() as connection:
            names = sa.select(devices.c.id).where(devices.c.username.in_(connected))
            connection.execute(
                sa.update(credentials)
                .where(credentials.c.device_id.not_in(names))
                .values(verifier=verifiers.make(verifiers.new_password()))
            )
            return change_queue.enqueue(connection, REPLACE, "")

    number = await asyncio.to_thread(others)
    assert await asyncio.to_thread(wait_applied, app.database, [number], WAIT_SECONDS)


async def compared(stand: Stand, row: dict[str, Any]) -> None:
    begun, used = time.perf_counter(), time.process_time()
    report = await stand.reconciler().full(dry_run=True)
    row["compare"] = time.perf_counter() - begun
    row["compare_cpu"] = time.process_time() - used
    assert report.differences == (), report.differences[:3]


async def broker_costs(
    port: int, pid: int, login: Login, topic: str, row: dict[str, Any], *, checks: bool
) -> None:
    """CPU time of the broker for a message, a repeated login and a refused one."""

    async def cost(count: int, work: Callable[[], object]) -> float:
        before = cpu_of(pid)
        await asyncio.to_thread(work)
        await asyncio.sleep(0.2)  # what the broker still does for the last ones
        return (cpu_of(pid) - before) / count

    row["message_cpu"] = await cost(MESSAGES, lambda: publish(port, login, topic, MESSAGES))

    def logins(one: Login, count: int) -> None:
        for _ in range(count):
            log_in(port, one)

    def knocks() -> None:
        for _ in range(REFUSALS):
            knock(port)

    await asyncio.sleep(SETTLE_SECONDS)
    row["tcp_cpu"] = await cost(REFUSALS, knocks)
    if checks:
        rejected = {
            "connect_cpu": Login("", "", "bench"),
            "unknown_cpu": Login("nobody-of-that-name", "wrong", "bench"),
            "refused_cpu": login._replace(password="wrong"),
        }
        for name, one in rejected.items():
            row[name] = await cost(REFUSALS, partial(logins, one, REFUSALS))
    # Last: what a burst of logins leaves to be reported belongs to nothing else.
    row["login_cpu"] = await cost(LOGINS, lambda: logins(login, LOGINS))


# ---------------------------------------------------------------------- one row


async def measure(
    template: Path, folder: Path, mode: str, count: int, known: list[tuple[str, str, str]]
) -> dict[str, Any]:
    row: dict[str, Any] = {"mode": mode, "devices": count, "live": len(known)}
    shutil.copytree(template, folder)
    slow = SLOW_ROUNDS.get(mode) if count > SLOW_DEVICES else None
    async with running(folder, mode, known, row) as stand:
        first, *crowd = stand.logins
        row["memory_at_start"] = memory_of(stand.pid)
        topic = stand.app.devices.topics(stand.app.devices.get(SYSTEM, first.username))
        await broker_costs(stand.port, stand.pid, first, topic["telemetry"], row, checks=True)
        held, pinger = Crowd(stand.port, crowd), Pinger(stand.port, first)
        try:
            row["connected"] = await held.ready()
            row["memory_a_client"] = (memory_of(stand.pid) - row["memory_at_start"]) / max(
                1, row["connected"]
            )
            await pinger.longest()
            await asyncio.sleep(2.0)
            row["idle"] = await pinger.longest()
            await changes(stand, slow or ROUNDS[mode], row)
            row["wait"] = await pinger.longest()
            if count > len(known) and mode == "plugin":
                await many_locked(stand, min(LOCKED_AT_ONCE, count - len(known)))
                row["wait_locked"] = await pinger.longest()
                await all_replaced(stand)
                row["wait_replaced"] = await pinger.longest()
            await _until(_nothing_pending(stand.app), "the last changes")
            await pinger.longest()
            await compared(stand, row)
            row["wait_compare"] = await pinger.longest()
            row["lost"] = row["connected"] - await held.connected()
        finally:
            held.end()
            pinger.end()
    return row


async def without_check(live: int) -> dict[str, Any]:
    """The broker alone: anybody may do anything."""
    row: dict[str, Any] = {"mode": "none", "devices": 0, "live": live}
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as folder:
        begun = time.perf_counter()
        with Mosquitto(Path(folder) / "broker", "max_inflight_messages 100") as broker:
            row["start"] = time.perf_counter() - begun
            pid = broker.pid
            row["memory_at_start"] = memory_of(pid)
            await broker_costs(broker.port, pid, Login("", "", "bench"), "a/b/c", row, checks=False)
            held = Crowd(broker.port, [Login("", "", f"c{n}") for n in range(live - 1)])
            pinger = Pinger(broker.port, Login("", "", "ping"))
            try:
                row["connected"] = await held.ready()
                row["memory_a_client"] = (memory_of(pid) - row["memory_at_start"]) / max(
                    1, row["connected"]
                )
                await pinger.longest()
                await asyncio.sleep(2.0)
                row["idle"] = await pinger.longest()
            finally:
                held.end()
                pinger.end()
    return row


# ---------------------------------------------------------------------- the tables

MS, US, S, MB, B, N = (1e3, "ms"), (1e6, "µs"), (1.0, "s"), (1e-6, "MB"), (1.0, "B"), (1.0, "")
TABLES = (
    (
        ("devices", "devices", N),
        ("mode", "authority", N),
        ("add_p50", "add p50", MS),
        ("add_p99", "p99", MS),
        ("lock_p50", "lock p50", MS),
        ("lock_p99", "p99", MS),
        ("remove_p50", "remove p50", MS),
        ("remove_p99", "p99", MS),
        ("idle", "idle", MS),
        ("wait", "wait", MS),
        ("wait_locked", "locked", MS),
        ("wait_replaced", "replaced", MS),
    ),
    (
        ("devices", "devices", N),
        ("mode", "authority", N),
        ("start", "start", S),
        ("memory_at_start", "memory", MB),
        ("memory_a_client", "a client", B),
        ("message_cpu", "message", US),
        ("login_cpu", "login", US),
        ("login_ratio", "of a file's", N),
        ("tcp_cpu", "tcp", US),
        ("connect_cpu", "connect", US),
        ("unknown_cpu", "unknown", US),
        ("refused_cpu", "refused", US),
        ("compare", "compare", S),
        ("compare_cpu", "its CPU", S),
        ("wait_compare", "its wait", MS),
    ),
)


def cell(row: dict[str, Any], name: str, unit: tuple[float, str]) -> str:
    value = row.get(name)
    if value is None:
        return "-"
    if isinstance(value, str) or not unit[1]:
        return str(value)
    scaled = value * unit[0]
    digits = 0 if scaled >= 100 else 1 if scaled >= 1 else 2
    return f"{scaled:.{digits}f} {unit[1]}"


def show(rows: list[dict[str, Any]]) -> None:
    for columns in TABLES:
        table = [[title for _, title, _ in columns]]
        table += [[cell(row, name, unit) for name, _, unit in columns] for row in rows]
        widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
        for line in table:
            print("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)))
        print()


def compare_logins(rows: list[dict[str, Any]]) -> None:
    """Gives each row what its login costs, as a part of what it costs with a password file."""
    files = {row["devices"]: row["login_cpu"] for row in rows if row["mode"] == "password_file"}
    for row in rows:
        if row["devices"] in files:
            row["login_ratio"] = round(row["login_cpu"] / files[row["devices"]], 2)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="100,10000,100000")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--live", type=int, default=5_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    modes = options.modes.split(",")
    rows = []
    if "none" in modes:
        rows.append(asyncio.run(without_check(options.live)))
        print(json.dumps(rows[-1]), flush=True)
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as base:
        for size in (int(word) for word in options.sizes.split(",")):
            template = Path(base) / f"template-{size}"
            known = fill(template, size, min(options.live, size))
            for mode in modes:
                if mode == "none":
                    continue
                folder = Path(base) / f"{mode}-{size}"
                rows.append(asyncio.run(measure(template, folder, mode, size, known)))
                print(json.dumps(rows[-1]), flush=True)
                shutil.rmtree(folder)
    compare_logins(rows)
    show(rows)
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"load of the machine: {load}")
    for line in judged(rows):
        print(line)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
