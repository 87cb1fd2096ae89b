"""Every verdict of ``mooring device why`` that a device can bring about, on a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from tests.support.mqtt import MqttClient, Refused
from tests.support.platform import Login, Platform
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def api(platform: Platform) -> Iterator[httpx.Client]:
    base = f"http://127.0.0.1:{platform.ports['http_port']}/api/v1"
    with httpx.Client(base_url=base, timeout=30) as client:
        answer = client.post(
            "/login", json={"name": "admin", "password": platform.password_of_admin()}
        )
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        yield client


def why(api: httpx.Client, reference: str) -> dict[str, Any]:
    answer = api.get(f"/devices/{reference}/why")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def becomes(api: httpx.Client, reference: str, code: str) -> dict[str, Any]:
    """The verdict, once it is ``code``."""
    try:
        wait_until(lambda: why(api, reference)["code"] == code, f"{reference}: {code}", timeout=20)
    except TimeoutError as exc:
        raise AssertionError(f"{exc} It is {why(api, reference)}") from exc
    return why(api, reference)


def rejected(platform: Platform, login: Login, **options: Any) -> None:
    with pytest.raises(Refused):
        platform.connect(login, **options)


def test_from_never_reached_to_well(platform: Platform, api: httpx.Client) -> None:
    lamp = platform.add("why-lamp", "mooring")
    assert why(api, "why-lamp")["code"] == "never_reached"

    rejected(platform, lamp, password="not-this-one")
    found = becomes(api, "why-lamp", "wrong_password_never_used")
    assert "127.0.0.1" in found["evidence"][0]["text"]

    rejected(platform, lamp, client_id="another")
    found = becomes(api, "why-lamp", "wrong_client_id")
    assert lamp.client_id in found["next_step"]

    rejected(platform, lamp, password=None)
    becomes(api, "why-lamp", "no_password")

    client = platform.connect(lamp)
    becomes(api, "why-lamp", "well")
    client.publish("mooring/default/why-lamb/telemetry", b"{}")
    found = becomes(api, "why-lamp", "denied_topic")
    assert lamp.topics["telemetry"] in found["next_step"]

    client.publish(lamp.topics["telemetry"], b"{not json")
    found = becomes(api, "why-lamp", "undecodable")
    assert "JSON" in found["next_step"]

    client.publish(lamp.topics["telemetry"], b'{"values": {"t": 1}}')
    found = becomes(api, "why-lamp", "well")
    assert found["next_step"] == ""

    # Attempts of somebody else under its name change nothing while it is there.
    rejected(platform, lamp, password="of-a-neighbour", client_id="neighbour")
    client.publish(lamp.topics["telemetry"], b'{"values": {"t": 2}}')
    assert why(api, "why-lamp")["code"] == "well"

    client.disconnect()
    becomes(api, "why-lamp", "disconnected")


def test_disabled_and_removed(platform: Platform, api: httpx.Client) -> None:
    lamp = platform.add("why-gone", "mooring")
    api.post("/devices/why-gone/disable", json={}).raise_for_status()
    rejected(platform, lamp)
    found = why(api, "why-gone")
    assert found["code"] == "disabled"
    api.delete("/devices/why-gone").raise_for_status()
    rejected(platform, lamp)
    said = platform.cli("device", "why", lamp.username, "--json", expect=1).json()
    assert said["code"] == "removed"
    assert api.get("/devices/why-was-never/why").status_code == 404


def test_a_session_that_is_taken_over_in_a_loop(platform: Platform, api: httpx.Client) -> None:
    lamp = platform.add("why-loop", "mooring")
    for _ in range(5):
        platform.connect(lamp)
    found = becomes(api, "why-loop", "takeover_loop")
    assert "same credentials" in found["next_step"]


@pytest.mark.parametrize("size", [1_060_000, 1_200_000], ids=["payload", "packet"])
def test_a_packet_that_is_too_large(platform: Platform, api: httpx.Client, size: int) -> None:
    name = f"why-large-{size}"
    lamp = platform.add(name, "mooring")
    client = MqttClient(
        platform.ports["mqtt_port"],
        client_id=lamp.client_id,
        username=lamp.username,
        password=lamp.password,
        protocol=MQTTProtocolVersion.MQTTv311,
    )
    client.connect()
    client._client.publish(lamp.topics["telemetry"], b"x" * size, qos=1)
    becomes(api, name, "oversize")
    client.disconnect()


def test_the_command_line_says_the_same(platform: Platform, api: httpx.Client) -> None:
    platform.add("why-cli", "mooring")
    said = platform.cli("device", "why", "why-cli", "--json", expect=1).json()
    assert said["code"] == why(api, "why-cli")["code"] == "never_reached"
