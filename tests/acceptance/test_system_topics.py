"""System topics of iotflow through a real broker: who hears what, and who does not."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.support.mqtt import MqttClient
from tests.support.platform import Platform, running_platform
from tests.support.waiting import wait_until

FIGURES = ("system/metrics", "monitoring/broker", "monitoring/clients", "monitoring/traffic")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    env = {"MOORING_SYSTEM_TOPICS_SECONDS": "5"}
    with running_platform(tmp_path_factory.mktemp("system") / "data", env=env) as running:
        yield running


def test_figures_health_and_groups(platform: Platform) -> None:
    login = platform.add("boiler-1", "iotflow", "--group", "boilers")
    other = platform.add("pump", "mooring", "--tenant", "other")
    device = platform.connect(login)
    for one in ("iotflow/system/health", "iotflow/monitoring/#", "iotflow/fleet/status/boilers"):
        for client in (device, platform.connect(other, clean=True)):
            with pytest.raises(AssertionError):
                client.subscribe(one)

    operator = platform.connect()
    heard: dict[str, dict[str, object]] = {}

    def hear() -> None:
        for message in operator.waiting():
            heard[message.topic.removeprefix("iotflow/")] = json.loads(message.payload or b"{}")

    operator.subscribe("iotflow/system/#", "iotflow/monitoring/#", "iotflow/fleet/#")

    def all_there() -> bool:
        hear()
        return {*FIGURES, "system/health", "fleet/status/boilers"} <= set(heard)

    wait_until(all_there, "every topic to be published", timeout=60)
    assert heard["monitoring/clients"]["total"] == 2
    assert str(heard["monitoring/broker"]["version"]).startswith("2.")
    assert isinstance(heard["monitoring/traffic"]["received"], int)

    def well() -> bool:
        hear()
        return heard["system/health"]["status"] == "ok" and (
            heard["fleet/status/boilers"] | {"timestamp": ""}
            == {"devices": 1, "online": 1, "timestamp": ""}
        )

    wait_until(well, "the platform to be well, and the device to be there", timeout=60)
    late = platform.connect()
    late.subscribe("iotflow/#")
    assert {one.topic for one in late.collect(2) if one.retain} == {
        "iotflow/system/health",
        "iotflow/fleet/status/boilers",
    }


def test_where_to_subscribe(platform: Platform) -> None:
    key = platform.cli("key", "new", "k", "--role", "admin", "--json").json()["secret"]
    url = f"http://127.0.0.1:{platform.ports['http_port']}/api/v1/mqtt/subscribe"
    with httpx.Client(headers={"X-API-Key": key}, timeout=30) as http:
        answer = http.post(url, json={"topic": "iotflow/monitoring/#"})
        port = platform.ports["http_port"]
        assert answer.json() == {
            "topic": "iotflow/monitoring/#",
            "url": f"ws://127.0.0.1:{port}/api/v1/stream",
            "send": None,
            "mqtt_url": f"ws://127.0.0.1:{platform.ports['mqtt_ws_port']}",
            "mqtt_host": "127.0.0.1",
            "mqtt_port": platform.ports["mqtt_tls_port"],
        }
        answer = http.post(url, json={"topic": "iotflow/devices/boiler-1/telemetry/#"})
        assert answer.json()["send"] == {
            "subscribe": {
                "id": "1",
                "devices": ["boiler-1"],
                "kinds": ["event", "metrics", "telemetry"],
            }
        }
        assert http.post(url, json={"topic": "a/#/b"}).status_code == 422
    login = platform.cli(
        "broker", "users", "create", "watcher", "--read", "iotflow/monitoring/#", "--json"
    ).json()
    wait_until(lambda: not platform.waiting(), "the broker to accept the watcher")
    with MqttClient(
        platform.ports["mqtt_ws_port"],
        transport="websockets",
        client_id="watcher",
        username="watcher",
        password=login["password"],
    ) as watcher:
        watcher.subscribe("iotflow/monitoring/#")
        platform.add("boiler-2", "iotflow")
        assert watcher.collect(1, timeout=60)[0].topic.startswith("iotflow/monitoring/")
