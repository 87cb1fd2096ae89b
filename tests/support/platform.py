"""A whole platform, run by the real ``mooring up`` on free ports."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import psycopg

from mooring.broker.ports import port_owner
from tests.support.cli import Cli
from tests.support.migrated import copy_migrated
from tests.support.mqtt import MqttClient
from tests.support.ports import free_port
from tests.support.processes import Child
from tests.support.waiting import wait_until

__all__ = ["Login", "Platform", "running_platform"]

START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Login:
    """What ``device add --json`` answered."""

    device: str
    tenant: str
    username: str
    password: str = field(repr=False)
    client_id: str
    topics: Mapping[str, str]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """From what adding a device answers, on the command line and over HTTP."""
        return cls(**{one.name: answer[one.name] for one in fields(cls)})

    @property
    def reference(self) -> str:
        return f"{self.tenant}:{self.device}"


class Platform:
    """One running installation and what a person does with it.

    Args:
        data_dir: the data directory, which need not exist.
        env: variables besides the ports.
        migrated: a new data directory gets a database that has its tables already, which saves the
            time of the migrations; ``False``: ``mooring up`` makes it.
    """

    def __init__(
        self, data_dir: Path, *, env: Mapping[str, str] | None = None, migrated: bool = True
    ) -> None:
        self.ports = {
            name: free_port()
            for name in ("http_port", "mqtt_port", "mqtt_tls_port", "mqtt_ws_port")
        }
        settings = {f"MOORING_{name.upper()}": str(port) for name, port in self.ports.items()}
        self.cli = Cli(data_dir, settings | dict(env or {}))
        self.data_dir = data_dir
        self.up: Child | None = None
        self._migrated = migrated
        self._clients: list[MqttClient] = []

    def start(self, *words: str) -> None:
        if self._migrated and "MOORING_DATABASE_URL" not in self.cli.env:
            copy_migrated(self.data_dir)
        self.up = self.cli.start("up", *words)
        self.up.wait_for_log("Mooring is ready", timeout=START_SECONDS)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        for client in self._clients:
            client.disconnect()
        self._clients.clear()
        assert self.up is not None
        return self.up.end(number, timeout=40)

    def password_of_admin(self) -> str:
        assert self.up is not None
        found = re.search(r"password\s+(\S+)", self.up.log())
        assert found, self.up.log()
        return found[1]

    def add(self, name: str, dialect: str, *words: str) -> Login:
        answer = self.cli("device", "add", name, "--dialect", dialect, *words, "--json").json()
        if answer["accepted_by_broker"] is not True:  # within five seconds: the machine is busy
            try:
                wait_until(lambda: not self.waiting(), f"the broker to be told of {name}")
            except TimeoutError as exc:
                said = self.up.log() if self.up is not None else ""
                raise AssertionError(f"{exc} {self.waiting()}\n{said}") from exc
        return Login.of(answer)

    def waiting(self) -> list[tuple[Any, ...]]:
        """What the broker was not told of yet."""
        return self.rows("SELECT action, username, attempts, error FROM broker_changes")

    def connect(self, login: Login | None = None, **options: Any) -> MqttClient:
        """A client with a device's credentials; without one, with the platform's own."""
        if login is None:
            secrets = json.loads((self.data_dir / "secrets.json").read_text())
            name = "service:mooring"
            if self.cli.env.get("MOORING_AUTH_MODE") == "password_file":
                name = name.replace(":", ".")  # such a file cannot hold one
            options |= {"username": name, "password": secrets["service_password"]}
        else:
            options = {
                "username": login.username,
                "password": login.password,
                "client_id": login.client_id,
            } | options
        client = MqttClient(self.ports["mqtt_port"], **options)
        client.connect()
        self._clients.append(client)
        return client

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What the database holds; read only. Placeholders are question marks."""
        url = self.cli.env.get("MOORING_DATABASE_URL")
        if url is not None:
            with psycopg.connect(url) as connection:
                connection.read_only = True
                statement = sql.replace("?", "%s").encode()
                return connection.execute(statement, parameters).fetchall()
        with sqlite3.connect(f"file:{self.data_dir / 'mooring.db'}?mode=ro", uri=True) as database:
            return database.execute(sql, parameters).fetchall()

    def pid(self, role: str) -> int:
        """The process that does this work now."""

        def found() -> int:
            rows = self.rows(
                "SELECT pid FROM processes WHERE role = ? ORDER BY started_at DESC LIMIT 1", role
            )
            return int(rows[0][0]) if rows else 0

        return wait_until(found, f"a process {role}")

    def pid_of_port(self, name: str) -> int:
        """The process that listens on one of our ports."""
        owner = port_owner(self.ports[name])
        assert owner is not None and owner.pid is not None
        return owner.pid

    def counted(self, name: str) -> int:
        """What one of Mooring's own counters says."""
        rows = self.rows("SELECT value FROM counters WHERE name = ?", name)
        return int(rows[0][0]) if rows else 0

    def stored(self, login: Login) -> int:
        """How many messages of a device are stored."""
        return int(
            self.rows(
                "SELECT count(*) FROM messages WHERE device_id = "
                "(SELECT id FROM devices WHERE username = ?)",
                login.username,
            )[0][0]
        )


@contextmanager
def running_platform(data_dir: Path, *words: str, **options: Any) -> Iterator[Platform]:
    """``mooring up`` for the time of the block; everything is ended, whatever happens."""
    platform = Platform(data_dir, **options)
    try:
        platform.start(*words)
        yield platform
    finally:
        if platform.up is not None and platform.up.running:
            platform.stop()
