"""How long a fleet takes to come back when the broker has died.

    python -m bench.reconnect [--devices 2000] [--tls] [--first 10] [--json FILE]

The whole platform runs (`mooring up`, Dynamic Security), with so many devices added to it. Each
has a connection of its own, all in this one process, and the device SDK's rule for the waits
between attempts (`mooring_device.Backoff`). The broker is killed with -9; `mooring up` starts
it again. A device is back when it has logged in, subscribed to its topics, and the broker has
its birth message.

`--first` is the upper end of the first window in seconds, for a comparison: with 1, all come
back in the first second. With `--tls` every handshake is a full one, the worst case: the SDK
resumes where the broker lets it. That needs about half a megabyte a device here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform as machine
import random
import resource
import signal
import ssl
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from bench.tables import table
from mooring.app import open_app
from mooring.broker.installation import find_mosquitto, version
from mooring.devices.model import NewDevice
from mooring.errors import BrokerUnavailable
from mooring.secrets.verifiers import new_password
from mooring.settings import Settings
from mooring.simulate.client import Client, Login
from mooring_device import Backoff
from mooring_device.credentials import DOWN_KINDS
from tests.support.platform import Platform, running_platform

__all__ = ["measure", "shown"]

SHARES = (0.5, 0.9, 0.99, 1.0)
OPENING = 100  # connections opened at once before the broker is killed
SPARE_FILES = 200  # besides one for each device
LONGEST = 900.0  # seconds until somebody who is not back counts as lost


@dataclass(slots=True)
class Run:
    """What happened since the broker was killed; times in seconds after that."""

    killed_at: float = 0.0
    attempts: list[float] = field(default_factory=list)
    welcomes: list[float] = field(default_factory=list)
    back: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def now(self) -> float:
        return time.monotonic() - self.killed_at


class Device:
    """One device's life: connect, serve, wait, again."""

    def __init__(self, login: Login, topics: dict[str, str], backoff: Backoff, run: Run) -> None:
        self._lost = asyncio.Event()
        self._client = Client(login, on_lost=lambda _: self._lost.set())
        self._topics = topics
        self._backoff = backoff
        self._run = run

    async def come(self) -> None:
        """For the first time; the broker is well."""
        await self._session()

    async def live(self, draw: random.Random) -> None:
        """Until it is back after having been lost once."""
        await self._lost.wait()
        # It was connected for long, so the count of attempts starts anew.
        attempt = self._backoff.after(-1, self._backoff.stable)
        while True:
            await asyncio.sleep(self._backoff.wait(attempt, draw.random()))
            self._run.attempts.append(self._run.now())
            try:
                await self._session()
            except BrokerUnavailable as exc:
                self._run.failures[exc.message.partition(": ")[2] or exc.message] += 1
                self._client.close(farewell=False)
                attempt = self._backoff.after(attempt, 0.0)
            else:
                self._run.back.append(self._run.now())
                return

    def leave(self) -> None:
        self._client.close()

    async def _session(self) -> None:
        await self._client.connect()
        if self._run.killed_at:
            self._run.welcomes.append(self._run.now())
        self._lost.clear()
        downs = [(self._topics[kind], 1) for kind in DOWN_KINDS if kind in self._topics]
        granted = await self._client.subscribe(downs)
        if not all(granted):
            raise AssertionError("The broker does not grant a device's own topics.")
        birth = self._client.publish(self._topics["status"], b'{"online":true}', qos=1, retain=True)
        lost = asyncio.create_task(self._lost.wait())
        waiting: set[asyncio.Future[Any]] = {birth, lost}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        lost.cancel()
        if not birth.done():
            raise BrokerUnavailable("It went away at once.")


def prepare(directory: Path, count: int) -> list[tuple[str, str, str, dict[str, str]]]:
    """Adds devices to a platform that does not run yet: client id, username, password, topics."""
    made = []
    with (
        open_app(Settings(data_dir=directory), upgrade=True) as app,
        app.database.write() as connection,
    ):
        for number in range(count):
            new, password = NewDevice(f"d{number}", "mooring", tenant="bench"), new_password()
            device, _ = app.devices.insert(connection, new, password)
            made.append((device.client_id, device.username, password, app.devices.topics(device)))
    return made


def raise_limit(devices: int) -> None:
    """As many open files as that takes, here and in what is started from here.

    Raises:
        SystemExit: the system does not allow so many.
    """
    needed = devices + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SystemExit(
            f"{devices} devices need {needed} open files, and the limit here is {hard}. "
            f"Raise it (`ulimit -Hn {needed}` as root) or take fewer devices."
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def peak(moments: list[float], span: float = 1.0) -> int:
    """The most moments within any ``span`` seconds."""
    ordered = sorted(moments)
    most = first = 0
    for last, moment in enumerate(ordered):
        while ordered[first] <= moment - span:
            first += 1
        most = max(most, last - first + 1)
    return most


async def storm(
    platform: Platform, logins: list[tuple[str, str, str, dict[str, str]]], options: Any
) -> Run:
    """Connects everybody, kills the broker, waits until everybody is back."""
    context = None
    if options.tls:
        context = ssl.create_default_context(cafile=platform.data_dir / "pki" / "ca.crt")
    port = platform.ports["mqtt_tls_port" if options.tls else "mqtt_port"]
    run = Run()
    backoff = Backoff(first=options.first)
    devices = [
        Device(Login("127.0.0.1", port, client, user, secret, context), topics, backoff, run)
        for client, user, secret, topics in logins
    ]
    gate = asyncio.Semaphore(OPENING)

    async def enter(device: Device) -> None:
        async with gate:
            await device.come()

    await asyncio.gather(*(enter(device) for device in devices))
    draw = random.Random(options.seed)
    lives = [asyncio.create_task(device.live(draw)) for device in devices]
    pid = int((platform.data_dir / "broker" / "mosquitto.pid").read_text())
    run.killed_at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    done, waiting = await asyncio.wait(lives, timeout=LONGEST)
    for life in waiting:
        life.cancel()
    for life in done:
        life.result()
    for device in devices:
        device.leave()
    return run


def measure(options: Any) -> dict[str, Any]:
    """One run; the figures as they go into the JSON document."""
    raise_limit(options.devices)
    with tempfile.TemporaryDirectory(prefix="mooring-reconnect-") as name:
        directory = Path(name) / "data"
        logins = prepare(directory, options.devices)
        # What is measured is the fleet, so the limit on connections is out of the way.
        with running_platform(directory, env={"MOORING_MAX_CONNECTIONS": "-1"}) as platform:
            began = os.getloadavg()[0]
            run = uvloop.run(storm(platform, logins, options))
    back = sorted(run.back)

    def at(share: float) -> float | None:
        rank = math.ceil(share * options.devices)
        return round(back[rank - 1], 2) if rank <= len(back) else None

    return {
        "devices": options.devices,
        "back": len(back),
        "tls": options.tls,
        "backoff": {"floor": Backoff().floor, "first": options.first, "cap": Backoff().cap},
        "seconds_to": {f"{share:.0%}": at(share) for share in SHARES},
        "broker_back": round(min(run.welcomes), 2) if run.welcomes else None,
        "attempts": len(run.attempts),
        "peak_attempts_a_second": peak(run.attempts),
        "peak_connects_a_second": peak(run.welcomes),
        "failures": dict(run.failures.most_common(5)),
        "broker": ".".join(map(str, version(find_mosquitto()))),
        "python": machine.python_version(),
        "cores": os.cpu_count(),
        "load": round(began, 1),
    }


def shown(found: dict[str, Any]) -> str:
    """The table for people."""
    rows = [
        ["devices", f"{found['devices']}"],
        ["first connection after the kill, s", f"{found['broker_back']}"],
        *([f"{share} back, s", f"{at}"] for share, at in found["seconds_to"].items()),
        ["attempts in all", f"{found['attempts']}"],
        ["most attempts in a second", f"{found['peak_attempts_a_second']}"],
        ["most connects in a second", f"{found['peak_connects_a_second']}"],
        *([f"failed: {why}", f"{count}"] for why, count in found["failures"].items()),
    ]
    window = found["backoff"]
    way = "TLS, full handshakes" if found["tls"] else "plain"
    about = (
        f"Mosquitto {found['broker']}, {way}, first wait {window['floor']:g} to "
        f"{window['first']:g} s, {found['cores']} cores, load {found['load']}."
    )
    return table(["", "figure"], rows) + "\n" + about


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.reconnect",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--devices", type=int, default=2_000)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--first", type=float, default=Backoff().first)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args(words)
    found = measure(options)
    sys.stdout.write(shown(found) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if found["back"] < found["devices"]:
        raise SystemExit(f"{found['devices'] - found['back']} devices did not come back.")


if __name__ == "__main__":
    main()
