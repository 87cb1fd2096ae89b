"""A trap with the firmware that its fleet has published, and the broker it comes from.

The firmware takes every word of its topics from its client id, subscribes to commands with
``#``, reads a command's name from the payload, and answers a new password on a topic of its own.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from mooring.secrets import verifiers
from tests.support.mqtt import MqttClient, Refused
from tests.support.platform import Login, Platform
from tests.support.waiting import wait_until

TENANT = "home"


class Trap:
    """One board: it keeps its password and does what its firmware does. MQTT 3.1.1."""

    def __init__(self, platform: Platform, login: Login) -> None:
        self._platform, self._login = platform, login
        self.password = login.password
        self.done: list[str] = []
        self.connects = 0
        self._base = f"tenant/{login.tenant}/device/{login.client_id}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trap", daemon=True)

    def __enter__(self) -> Trap:
        self.client = self._connect()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def say(self, word: str, body: dict[str, Any], *, retain: bool = False) -> None:
        self.client.publish(f"{self._base}/{word}", json.dumps(body), qos=0, retain=retain)

    def _connect(self) -> MqttClient:
        client = self._platform.connect(
            self._login,
            password=self.password,
            will=(f"{self._base}/status", b'{"online":false}', 1, True),
        )
        self.client = client
        self.connects += 1
        client.subscribe(
            f"{self._base}/revoke",
            f"{self._base}/command/#",
            f"{self._base}/ota/firmware",
            f"tenant/{self._login.tenant}/firmware/latest",
            f"tenant/{self._login.tenant}/filesystem/latest",
            "global/firmware/latest",
            "global/filesystem/latest",
            qos=0,
        )
        self.say("status", {"online": True, "firmware_version": "1.4.0", "rssi": -61}, retain=True)
        return client

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            for message in self.client.waiting():
                if "/command/" in message.topic:
                    self._obey(json.loads(message.payload))

    def _obey(self, body: dict[str, Any]) -> None:
        name = body.get("command")
        if name == "rotate_credentials" and body.get("password"):
            self.password = body["password"]
            if body.get("rotationId"):
                self.say("rotation_ack", {"rotationId": body["rotationId"], "success": True})
            self.client.disconnect()
            self.client = self._connect()
        elif name == "alert_reset":
            self.say("alert_cleared", {"status": "cleared", "reason": "server_command"})
        self.done.append(str(name))


@pytest.fixture(scope="module")
def login(platform: Platform) -> Login:
    mac = "94A9903060AA"
    return platform.add(mac, "mousetrap", "--tenant", TENANT, "--mac", mac)


def stored(platform: Platform, login: Login, channel: str) -> list[dict[str, Any]]:
    answer = platform.cli("telemetry", "latest", login.reference, "--json").json()
    return [one["payload"] for one in answer["readings"] if one["channel"] == channel]


def test_what_it_says_is_stored(platform: Platform, login: Login) -> None:
    with Trap(platform, login) as trap:
        trap.say("alert", {"alert_type": "trap_triggered", "severity": "high"})
        trap.say("alert_sync", {"isTriggered": True, "currentLevel": 1})
        trap.say("camera/snapshot", {"filename": "catch.jpg", "size": 30000, "image": "A" * 40000})
        for channel in ("status", "alert", "alert_state", "snapshot"):
            wait_until(lambda c=channel: stored(platform, login, c), f"its {channel}")  # type: ignore[misc]
        shown = platform.cli("device", "show", login.reference, "--json").json()
        assert shown["state"]["firmware"] == "1.4.0"
    denied = platform.cli("dead-letter", "list", "--json").json()["dead_letters"]
    assert not [one for one in denied if one["device"] == login.device]


def test_an_alert_by_its_mac_address_is_the_same(platform: Platform) -> None:
    login = platform.add("kitchen", "mousetrap", "--tenant", TENANT, "--mac", "AA:BB:CC:DD:EE:77")
    client = platform.connect(login)
    client.publish(f"tenant/{TENANT}/device/AA:BB:CC:DD:EE:77/alert", '{"alert_type":"catch"}')
    wait_until(lambda: stored(platform, login, "alert_by_mac"), "the alert")
    client.publish(f"tenant/{TENANT}/device/kitchen/alert", '{"alert_type":"catch"}')
    wait_until(lambda: stored(platform, login, "alert"), "the alert under its client id")


def test_a_rotation_settles_by_its_answer(platform: Platform, login: Login) -> None:
    with Trap(platform, login) as trap:
        before = trap.password
        platform.cli("device", "rotate", login.reference, "--yes", "--wait", "60s", "--json")
        assert trap.done == ["rotate_credentials"]
        assert trap.password != before
        wait_until(lambda: trap.connects == 2, "it to come back")
        assert stored(platform, login, "rotation_reply")[0]["success"] is True
        with pytest.raises(Refused):
            platform.connect(login, password=before)


def test_a_name_that_is_another_traps_address_is_rejected(platform: Platform) -> None:
    """Its topics would be those of the other trap."""
    said = platform.cli(
        *("device", "add", "AA:BB:CC:DD:EE:99", "-d", "mousetrap", "--mac", "AA:BB:CC:DD:EE:98"),
        *("--tenant", TENANT, "--json"),
        expect=2,
    ).stderr
    assert "name_is_mac" in said


def test_its_broker_is_imported_with_one_option(platform: Platform, tmp_path: Path) -> None:
    """One role with everything of a tenant, as the fleet's broker has it."""
    passwords = {"D0CF131550AA": "first-password-1", "D0CF131550AB": "second-password-2"}
    wide = [
        {"acltype": kind, "topic": topic, "priority": 0, "allow": True}
        for kind in ("publishClientSend", "publishClientReceive", "subscribePattern")
        for topic in ("tenant/#", "global/#")
    ]
    clients = []
    for username, password in passwords.items():
        parts = verifiers.to_dynsec(verifiers.make(password))
        clients.append({"username": username, "roles": [{"rolename": "device"}], **parts})
    server = verifiers.to_dynsec(verifiers.make("server-password-3"))
    everything = [one | {"topic": "#"} for one in wide[::2]]
    document = {
        "defaultACLAccess": {"publishClientSend": False, "subscribe": False},
        "clients": [*clients, {"username": "website", "roles": [{"rolename": "server"}], **server}],
        "groups": [],
        "roles": [
            {"rolename": "device", "acls": wide},
            {"rolename": "server", "acls": everything},
        ],
    }
    file = tmp_path / "dynamic-security.json"
    file.write_text(json.dumps(document))
    told = platform.cli(
        *("broker", "import", "--dynsec", str(file), "-d", "mousetrap", "--tenant", TENANT),
        *("--yes", "--json"),
    ).json()
    assert told["counts"]["device"] == 2
    assert told["counts"]["user"] == 1
    for username, password in passwords.items():
        shown = platform.cli("device", "show", f"{TENANT}:{username}", "--json").json()
        imported = Login(username, TENANT, username, password, shown["client_id"], shown["topics"])
        with Trap(platform, imported) as trap:
            trap.say("alert", {"alert_type": "trap_triggered"})
            wait_until(lambda one=imported: stored(platform, one, "alert"), "its alert")  # type: ignore[misc]


def test_a_device_keeps_the_username_and_password_it_has(platform: Platform) -> None:
    added = platform.cli(
        *("device", "add", "cellar", "-d", "smarthome", "--tenant", TENANT),
        *("--username", "esp-cellar-old", "--password-stdin", "--json"),
        input="a-password-of-its-own\n",
    ).json()
    assert added["password"] is None
    login = Login.of(added | {"password": "a-password-of-its-own"})
    assert login.username == "esp-cellar-old"
    client = platform.connect(login)
    client.publish(login.topics["telemetry"], '{"value":1}')
    wait_until(lambda: stored(platform, login, "telemetry"), "its message")
