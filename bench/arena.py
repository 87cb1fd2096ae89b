"""A fresh installation for one run: data directory, accounts, and the broker as Mooring runs it.

The broker's configuration is the generated one (Dynamic Security, persistence, limits), whoever
is subscribed, so that all are compared on the same ground. Databases, certificates and accounts
are made once (``Template``) and copied for each run.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mooring.app import App, open_app
from mooring.broker.users import BrokerUser
from mooring.devices.model import NewDevice
from mooring.files import write_atomically
from mooring.identity.account import Rights
from mooring.identity.actor import SYSTEM
from mooring.link.protocol import Endpoint
from mooring.secrets import verifiers
from mooring.settings import Settings
from mooring.settings.field import Secret
from mooring.wiring.broker import build_authority, write_config
from tests.support.mosquitto import Mosquitto
from tests.support.ports import free_port

__all__ = ["DIALECT", "SUBSCRIPTION", "TENANT", "Arena", "Template", "arena", "template"]

DIALECT, TENANT = "smarthome", "bench"
SUBSCRIPTION = f"smarthome/{TENANT}/+/telemetry"
PUBLISHERS = 20  # connections that publish
_PORTS = ("http_port", "mqtt_port", "mqtt_tls_port", "mqtt_ws_port")


@dataclass(frozen=True, slots=True)
class Template:
    """An installation on SQLite that was never started, to be copied.

    Attributes:
        directory: its data directory.
        devices: how many it has.
        shuffled: whether they send in another order than that in which they were added.
        logins: what the generator logs in with, and the topics each of them writes to.
    """

    directory: Path
    devices: int
    shuffled: bool
    logins: list[dict[str, Any]] = field(repr=False)

    def copy(self, to: Path) -> None:
        shutil.copytree(self.directory, to)


@dataclass(frozen=True, slots=True)
class Arena:
    """One installation with its broker running.

    Attributes:
        settings: those of every process of Mooring in it.
        endpoint: the platform's own login at the broker.
        logins: the generator's file of logins, to the topics of all devices.
        few: the same logins, to the topics of as many devices as there are logins.
        broker: the broker.
    """

    settings: Settings
    endpoint: Endpoint
    logins: Path
    few: Path
    broker: Mosquitto

    @property
    def directory(self) -> Path:
        """A place for files of this run; gone with it."""
        return self.settings.data_dir.parent

    def environment(self) -> dict[str, str]:
        """What a process of Mooring needs to run in this installation."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MOORING_", "MQTT_"))}
        names = ("data_dir", *_PORTS)
        kept["MOORING_CLIENT_IDS"] = self.settings.client_ids
        kept |= {f"MOORING_{name.upper()}": str(getattr(self.settings, name)) for name in names}
        if self.settings.database_url is not None:
            kept["MOORING_DATABASE_URL"] = self.settings.database_url.get_secret_value()
        return kept

    def process(self, *words: str) -> subprocess.Popen[bytes]:
        """Starts ``mooring WORDS`` in this installation; what it says goes to a file."""
        with (self.directory / f"{words[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "mooring", *words],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def said(self, name: str) -> str:
        """The end of what a process has said, for errors."""
        path = self.directory / f"{name}.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""


@contextmanager
def template(*, devices: int = PUBLISHERS, shuffled: bool = False) -> Iterator[Template]:
    """Makes a template: so many devices, twenty logins that publish for them.

    With twenty devices each publishes for itself; with more, twenty broker users (gateways)
    write to the topics of all of them in turn.
    """
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as name:
        directory = Path(name) / "data"
        settings = _settings(directory)
        with open_app(settings, upgrade=True) as app:
            logins = _logins(app, devices, shuffled=shuffled)
            write_config(app)  # certificates
        yield Template(directory, devices, shuffled, logins)


@contextmanager
def arena(of: Template, *, database_url: str | None = None) -> Iterator[Arena]:
    """A copy of the template with its broker running.

    Args:
        database_url: where Mooring keeps its data instead; an empty database. Accounts are made
            there as well.
    """
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as name:
        directory = Path(name) / "data"
        of.copy(directory)
        settings = _settings(directory, database_url)
        logins = of.logins
        with open_app(settings, upgrade=database_url is not None) as app:
            if database_url is not None:
                logins = _logins(app, of.devices, shuffled=of.shuffled)
            write_config(app, every_packet=False)  # as under load (``run.attend``)
            # The contestants are waited for until the log names their subscriptions.
            with (settings.broker_dir / "mosquitto.conf").open("a") as file:
                file.write("log_type subscribe\n")
            accounts = app.devices.accounts()
            asyncio.run(build_authority(app, running=False).replace(accounts))
            endpoint = app.endpoint("bench")
        every, few = Path(name) / "logins.json", Path(name) / "few.json"
        write_atomically(every, json.dumps(logins))
        write_atomically(few, json.dumps([{**one, "topics": one["topics"][:1]} for one in logins]))
        with Mosquitto(
            Path(name) / "broker",
            config=(settings.broker_dir / "mosquitto.conf").absolute(),
            port=settings.mqtt_port,
        ) as broker:
            yield Arena(settings, endpoint, every, few, broker)


def _settings(directory: Path, database_url: str | None = None) -> Settings:
    given: dict[str, Any] = {name: free_port() for name in _PORTS}
    url = None if database_url is None else Secret(database_url)
    # The contestants log in with the platform's account, each with a client id of its own.
    return Settings(
        data_dir=directory, database_url=url, max_connections=-1, client_ids="own", **given
    )


def _logins(app: App, devices: int, *, shuffled: bool) -> list[dict[str, Any]]:
    made = _devices(app, devices)
    if devices <= PUBLISHERS:
        return made
    topics = [topic for login in made for topic in login["topics"]]
    if shuffled:
        random.Random(devices).shuffle(topics)
    return _gateways(app, topics)


def _devices(app: App, count: int) -> list[dict[str, Any]]:
    found = []
    with app.database.write() as connection:
        for number in range(1, count + 1):
            new = NewDevice(f"d{number}", DIALECT, tenant=TENANT)
            password = verifiers.new_password()
            device, _ = app.devices.insert(connection, new, password)
            found.append(
                {
                    "username": device.username,
                    "password": password,
                    "client_id": device.client_id,
                    "topics": [app.devices.topics(device)["telemetry"]],
                }
            )
    return found


def _gateways(app: App, topics: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for number in range(PUBLISHERS):
        name = f"gateway-{number}"
        user = BrokerUser(name, Rights(publish=(SUBSCRIPTION,)))
        password, _ = app.broker_users.create(SYSTEM, user)
        found.append(
            {
                "username": name,
                "password": password,
                "client_id": name,
                "topics": topics[number::PUBLISHERS],
            }
        )
    return found
