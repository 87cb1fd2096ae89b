"""Firmware updates on a running platform: devices that speak plain MQTT and fetch their file."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from mooring.clock import now_ms
from mooring.dialects.outgoing import packet_bytes
from tests.support.mqtt import MqttClient
from tests.support.platform import Login, Platform, running_platform
from tests.support.waiting import wait_until

IMAGE = secrets.token_bytes(20_000)
ENV = {
    "MOORING_FIRMWARE_PROOF_SECONDS": "2",
    "MOORING_FIRMWARE_SIGNATURES": "optional",
}


@dataclass
class Stand:
    """A platform, and what one asks of it."""

    platform: Platform
    http: httpx.Client

    def publish(self, product: str, version: str) -> str:
        new = {"product": product, "version": version, "tenant": "t"}
        place = f"/api/v1/firmware/{self.http.post('/api/v1/firmware', json=new).json()['id']}"
        self.http.put(f"{place}/files/app.bin", content=IMAGE)
        answer = self.http.post(f"{place}/publish", json={"unsigned": True})
        assert answer.status_code == 200, answer.text
        return f"{product}:{version}"

    def offer(self, device: str, release: str) -> int:
        body = {"device": f"t:{device}", "release": release}
        answer = self.http.post("/api/v1/firmware-updates", json=body)
        assert answer.status_code == 202, answer.text
        return int(answer.json()["number"])

    def update(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/api/v1/firmware-updates/{number}").json()
        return found

    def until(self, number: int, *states: str) -> dict[str, Any]:
        wait_until(
            lambda: self.update(number)["state"] in states,
            f"the update to be {' or '.join(states)}",
            timeout=60,
        )
        return self.update(number)

    def knows(self, device: str, version: str) -> None:
        """The device has reported its version, and is known to be connected."""
        sql = (
            "SELECT 1 FROM device_state s JOIN devices d ON d.id = s.device_id"
            " WHERE d.name = ? AND s.firmware = ? AND s.connected"
        )
        wait_until(lambda: self.platform.rows(sql, device, version), "the version", timeout=60)

    def fetch(self, offer: dict[str, Any]) -> None:
        assert httpx.get(offer["url"], timeout=30).content == IMAGE


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    data = tmp_path_factory.mktemp("updates") / "data"
    with running_platform(data, env=ENV) as platform:
        platform.cli("tenant", "add", "t")
        made = platform.cli("key", "new", "fw", "--role", "admin", "--json").json()
        url = f"http://127.0.0.1:{platform.ports['http_port']}"
        with httpx.Client(base_url=url, headers={"X-API-Key": made["secret"]}, timeout=60) as http:
            yield Stand(platform, http)


def say(client: MqttClient, topic: str, body: dict[str, Any]) -> None:
    client.publish(topic, json.dumps(body).encode(), qos=1)


def offered(client: MqttClient) -> dict[str, Any]:
    (message,) = client.collect(1, timeout=60)
    assert message.retain is False
    found: dict[str, Any] = json.loads(message.payload)
    return found


def test_a_new_version_is_proved_in_the_session_after_the_install(stand: Stand) -> None:
    login: Login = stand.platform.add("lamp", "mooring", "--tenant", "t")
    topics, release = login.topics, stand.publish("lamp", "1.5.0")

    def status(client: MqttClient, version: str, ts: int | None = None) -> None:
        body = {"ts": ts or now_ms(), "online": True, "meta": {"firmware": version}}
        say(client, topics["status"], body)

    with stand.platform.connect(login) as client:
        client.subscribe(topics["firmware"])
        status(client, "1.4.0")
        stand.knows("lamp", "1.4.0")
        number = stand.offer("lamp", release)
        offer = offered(client)
        assert (offer["id"], offer["version"]) == (str(number), "1.5.0")
        before = now_ms()
        stand.fetch(offer)
        assert stand.until(number, "downloading")["state"] == "downloading"
        report = {"id": offer["id"], "version": "1.5.0", "state": "installing"}
        say(client, topics["firmware_progress"], {"ts": now_ms(), **report})
        stand.until(number, "installing")
    with stand.platform.connect(login) as client:
        stand.until(number, "rebooting", "installed")
        # What waited in its queue names the old version, and is older than this session.
        status(client, "1.4.0", before)
        status(client, "v1.5")
        found = stand.until(number, "confirmed")
        assert [one["state"] for one in found["history"]] == [
            *("waiting", "offered", "downloading", "installing", "rebooting", "installed"),
            "confirmed",
        ]
        assert found["served"] == len(IMAGE)
        status(client, "1.4.0")
        stand.until(number, "regressed")


def test_a_trap_with_packets_of_256_bytes_goes_back(stand: Stand) -> None:
    words = ("--tenant", "t", "--mac", "AA:BB:CC:DD:EE:07")
    login = stand.platform.add("trap7", "mousetrap", *words)
    topics, release = login.topics, stand.publish("trap", "2.0")

    def status(client: MqttClient, version: str) -> None:
        body = {"online": True, "firmware_version": version, "timestamp": now_ms() // 1000 + 1}
        say(client, topics["status"], body)

    def progress(client: MqttClient, **said: Any) -> None:
        say(client, topics["firmware_progress"], said)

    with stand.platform.connect(login) as client:
        client.subscribe(f"tenant/t/device/{login.device}/ota/firmware")
        status(client, "1.9")
        stand.knows("trap7", "1.9")
        number = stand.offer("trap7", release)
        (message,) = client.collect(1, timeout=60)
        assert packet_bytes(message.topic, message.payload, 1) <= 256
        stand.fetch(json.loads(message.payload))
        progress(client, status="downloading", progress=100)
        progress(client, status="rebooting")
        stand.until(number, "rebooting")
    with stand.platform.connect(login) as client:
        # Its boot loader went back.
        wait_until(lambda: stand.update(number)["session_at"], "the new session", timeout=60)

        def says_so() -> bool:
            status(client, "1.9")
            return bool(stand.update(number)["over"])

        wait_until(says_so, "the update to end", timeout=60)
        assert stand.update(number)["state"] == "reverted"

    def alarmed() -> bool:
        items = stand.http.get("/api/v1/alerts", params={"device": "t:trap7"}).json()["items"]
        return "firmware_reverted" in {one["name"] for one in items}

    wait_until(alarmed, "the alert", timeout=60)


def test_firmware_that_takes_updates_by_a_command(stand: Stand) -> None:
    login = stand.platform.add("plug", "smarthome", "--tenant", "t")
    topics, release = login.topics, stand.publish("plug", "3.1")

    def readings(client: MqttClient, version: str) -> None:
        about = {"firmwareVersion": version}
        say(client, topics["telemetry"], {"sensors": {"powerW": 1}, "metadata": about})

    with stand.platform.connect(login) as client:
        client.subscribe(topics["command"])
        readings(client, "3.0")
        stand.knows("plug", "3.0")
        number = stand.offer("plug", release)
        offer = offered(client)
        assert offer["type"] == "UPDATE_FIRMWARE"
        stand.fetch(offer["payload"])
        stand.until(number, "downloading")
    stand.until(number, "installing", "rebooting")
    with stand.platform.connect(login) as client:
        wait_until(lambda: stand.update(number)["session_at"], "the new session", timeout=60)
        readings(client, "3.1")
        found = stand.until(number, "installed")
        assert (found["seen"], found["from_version"]) == ("new", "3.0")
        due = datetime.fromisoformat(found["due_at"]) - datetime.fromisoformat(found["session_at"])
        assert due >= timedelta(minutes=2), "it sends once a minute: two intervals"


def test_the_command_line(stand: Stand) -> None:
    login = stand.platform.add("bulb", "mooring", "--tenant", "t")
    release = stand.publish("bulb", "1.1")
    cli = stand.platform.cli
    made = cli("firmware", "offer", "t:bulb", release, "--reason", "trial", "--json").json()
    assert (made["state"], made["device"]) == ("waiting", login.device)
    listed = cli("firmware", "updates", "--device", "t:bulb", "--json").json()["updates"]
    assert [one["number"] for one in listed] == [made["number"]]
    shown = cli("firmware", "update", "show", str(made["number"])).stdout
    assert "trial" in shown
    ended = cli("firmware", "update", "cancel", str(made["number"]), "--json").json()
    assert ended["state"] == "cancelled"
