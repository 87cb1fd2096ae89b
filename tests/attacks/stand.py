"""What an attack needs: a running platform with two tenants, and ways to look at the result."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import httpx

from mooring.settings import Settings
from tests.support.mqtt import MqttClient
from tests.support.platform import Login, Platform
from tests.support.raw_mqtt import RawClient
from tests.support.waiting import wait_until

__all__ = ["AUTHORITIES", "DATABASES", "Attacked", "Combination", "unavailable"]

AUTHORITIES = ("dynamic_security", "password_file", "plugin")
DATABASES = ("sqlite", "postgresql")

ATTACKER, VICTIM = "attacker", "victim"
DIALECT = "mooring"  # its usernames name the tenant, and a password file can hold them


@dataclass(frozen=True, slots=True)
class Combination:
    """Where an attack is tried."""

    authority: str
    database: str

    @classmethod
    def from_environment(cls) -> Combination:
        """Raises: ValueError: a variable names something else."""
        authority = os.environ.get("MOORING_ATTACK_AUTHORITY", AUTHORITIES[0])
        database = os.environ.get("MOORING_ATTACK_DATABASE", DATABASES[0])
        if authority not in AUTHORITIES or database not in DATABASES:
            raise ValueError(f"{authority}/{database}: choose from {AUTHORITIES} and {DATABASES}.")
        return cls(authority, database)

    def __str__(self) -> str:
        return f"{self.authority}/{self.database}"


def unavailable(combination: Combination) -> str:
    """Why nothing can be tried there; empty when it can."""
    modes = get_args(Settings.model_fields["auth_mode"].annotation)
    if combination.authority not in modes:
        return f"auth_mode has no {combination.authority}"
    return ""


class Attacked:
    """A platform under attack. ``platform`` has everything else."""

    def __init__(self, platform: Platform, combination: Combination) -> None:
        self.platform = platform
        self.combination = combination
        self.clients: list[RawClient | MqttClient] = []
        self._key = ""
        self._marker: Login | None = None

    # ------------------------------------------------------------------ who is there

    def attacker(self, name: str = "", *, dialect: str = DIALECT) -> Login:
        """A new device of the tenant ``attacker``, with a name of its own unless given one."""
        return self.device(ATTACKER, name, dialect=dialect)

    def victim(self, name: str = "", *, dialect: str = DIALECT) -> Login:
        """A new device of the tenant ``victim``."""
        return self.device(VICTIM, name, dialect=dialect)

    def device(
        self, tenant: str, name: str = "", *, dialect: str = DIALECT, **options: Any
    ) -> Login:
        """A new device, added over HTTP, once the broker accepts it."""
        name = name or f"{tenant}-{secrets.token_hex(3)}"
        given: dict[str, Any] = {"name": name, "tenant": tenant, "dialect": dialect} | options
        with self.admin() as admin:
            added = admin.post("/api/v1/devices", json=given)
        assert added.status_code in {201, 202}, added.text
        answer = added.json()
        if not answer["accepted_by_broker"]:
            wait_until(lambda: not self.platform.waiting(), f"the broker to accept {name}")
        return Login.of(answer)

    # ------------------------------------------------------------------ what they do

    def raw(self, port: str = "mqtt_port") -> RawClient:
        """A TCP connection to the broker that has said nothing; closed after the test."""
        client = RawClient(self.platform.ports[port])
        self.clients.append(client)
        return client

    def login(
        self, login: Login, client_id: bytes | str | None = None, **options: Any
    ) -> RawClient:
        """A raw connection that sent CONNECT with a device's password.

        Whether the broker accepted is in ``code``: a hostile client id may well be refused.
        """
        client = self.raw()
        client.connect(
            login.client_id if client_id is None else client_id,
            login.username,
            login.password,
            **options,
        )
        return client

    def client(self, login: Login, **options: Any) -> MqttClient:
        """A well-behaved client with a device's credentials; closed after the test."""
        client = self.platform.connect(login, **options)
        self.clients.append(client)
        return client

    def end_clients(self) -> None:
        """Closes what the attack has left open."""
        for client in self.clients:
            if isinstance(client, MqttClient):
                client.disconnect()
            else:
                client.drop()
        self.clients.clear()

    # ------------------------------------------------------------------ what came of it

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.platform.ports['http_port']}"

    def http(self, *, headers: Mapping[str, str] | None = None) -> httpx.Client:
        """Nobody's HTTP client; close it, or use it in a ``with``."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def admin(self) -> httpx.Client:
        """An administrator's HTTP client."""
        if not self._key:
            made = self.platform.cli(
                "key", "new", secrets.token_hex(4), "--role", "admin", "--json"
            )
            self._key = str(made.json()["secret"])
        return self.http(headers={"X-API-Key": self._key})

    def broker_pid(self) -> int:
        return int((self.platform.data_dir / "broker" / "mosquitto.pid").read_text())

    def log_is_read(self) -> None:
        """Waits until the broker's evidence is evaluated up to now."""
        if self._marker is None:
            self._marker = self.device("marker")
        before = len(self.events(self._marker))
        self.platform.connect(self._marker).disconnect()
        marker = self._marker
        wait_until(lambda: len(self.events(marker)) > before, "the broker's log to be read")

    def events(self, login: Login) -> list[tuple[str, str | None, str | None]]:
        """What the broker's log is believed to say of a login: event, client id, detail."""
        return [
            (str(row[0]), row[1], row[2])
            for row in self.platform.rows(
                "SELECT event, client_id, detail FROM broker_events WHERE username = ? ORDER BY id",
                login.username,
            )
        ]

    def dead_letters(self, login: Login) -> list[tuple[str, str]]:
        """Reason and topic of a device's dead letters."""
        return [
            (str(row[0]), str(row[1]))
            for row in self.platform.rows(
                "SELECT reason, topic FROM dead_letters WHERE device_id ="
                " (SELECT id FROM devices WHERE username = ?) ORDER BY id",
                login.username,
            )
        ]

    def connected(self, login: Login) -> bool:
        """Whether the platform believes that the device is connected."""
        rows = self.platform.rows(
            "SELECT connected FROM device_state WHERE device_id ="
            " (SELECT id FROM devices WHERE username = ?)",
            login.username,
        )
        return bool(rows and rows[0][0])

    def lives(self, login: Login) -> None:
        """Fails unless the platform stores a message of this device and answers over HTTP."""
        assert self.platform.up is not None
        assert self.platform.up.running, self.platform.up.log()
        before = self.platform.stored(login)
        client = self.platform.connect(login)
        client.publish(login.topics["telemetry"], '{"values":{"alive":1}}')
        client.disconnect()
        wait_until(lambda: self.platform.stored(login) > before, "a message to be stored")
        with self.http() as http:
            assert http.get("/readyz").status_code == 200
