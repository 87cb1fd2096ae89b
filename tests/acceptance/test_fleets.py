"""The fleets as they are: their payloads, word for word, through the whole platform."""

from __future__ import annotations

import json
import subprocess

import pytest

from mooring.dialects import builtin
from mooring.dialects.model import Direction
from tests.support.platform import Login, Platform
from tests.support.waiting import wait_until
from tests.unit.dialects.payload_examples import EXAMPLES, Example

UPS = [
    example
    for example in EXAMPLES
    for dialect in builtin()
    if dialect.name == example.dialect
    and (channel := dialect.channel(example.channel)) is not None
    and channel.direction is Direction.UP
]


@pytest.fixture(scope="module")
def fleet(platform: Platform) -> dict[str, Login]:
    """One device of each dialect, called what its fleet calls it."""
    return {
        "smarthome": platform.add("ESP32_001", "smarthome", "--tenant", "1"),
        "iotflow": platform.add("sensor_001", "iotflow"),
        "mousetrap": platform.add(
            "trap-1", "mousetrap", "--tenant", "acme", "--mac", "AA:BB:CC:DD:EE:01"
        ),
        "drivesafe": platform.add("cab-7", "drivesafe"),
        "pulse": platform.add("pump-1", "pulse", "--tenant", "acme"),
        "mooring": platform.add("kitchen", "mooring"),
    }


def channels_of(platform: Platform, login: Login) -> dict[str, dict[str, object]]:
    answer = platform.cli("telemetry", "latest", login.reference, "--json").json()
    return {one["channel"]: one for one in answer["readings"]}


@pytest.mark.parametrize("example", UPS, ids=str)
def test_a_documented_payload_is_readable_within_a_second(
    platform: Platform, fleet: dict[str, Login], example: Example
) -> None:
    login = fleet[example.dialect]
    subprocess.run(
        [
            "mosquitto_pub",
            *("-h", "127.0.0.1", "-p", str(platform.ports["mqtt_port"])),
            *("-u", login.username, "-P", login.password, "-i", login.client_id),
            *("-q", "1", "-t", example.topic, "-s"),
        ],
        input=example.payload.encode(),
        check=True,
        timeout=20,
    )

    def arrived() -> bool:
        return bool(
            platform.rows(
                "SELECT 1 FROM latest WHERE payload = ? AND channel_id ="
                " (SELECT id FROM channels WHERE dialect = ? AND name = ?)",
                example.payload,
                example.dialect,
                example.channel,
            )
        )

    wait_until(arrived, "the payload in the database", timeout=1.0 + 4.0)  # the machine is shared
    shown = channels_of(platform, login)[example.channel]
    assert shown["payload"] == json.loads(example.payload)


@pytest.mark.parametrize("dialect", builtin(), ids=lambda d: d.name)
def test_every_up_channel_of_a_dialect_is_stored(
    platform: Platform, fleet: dict[str, Login], dialect: object
) -> None:
    from mooring.dialects.model import Dialect, Identity

    assert isinstance(dialect, Dialect)
    login = fleet[dialect.name]
    mac = "AA:BB:CC:DD:EE:01" if dialect.needs_mac else None
    identity = Identity(login.tenant, login.device, mac)
    client = platform.connect(login)
    expected = set()
    for channel in dialect.ups():
        topics = channel.addresses(identity)
        if not topics:
            continue
        client.publish(topics[0].replace("+", "word"), channel.payload.example, qos=channel.qos)
        expected.add(channel.name)
    assert expected

    def stored() -> bool:
        names = {
            row[0]
            for row in platform.rows(
                "SELECT c.name FROM latest l JOIN channels c ON c.id = l.channel_id"
                " JOIN devices d ON d.id = l.device_id WHERE d.username = ?",
                login.username,
            )
        }
        return expected <= names

    wait_until(stored, f"every up channel of {dialect.name}: {sorted(expected)}", timeout=10)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_every_quality_of_service_is_stored(
    platform: Platform, fleet: dict[str, Login], qos: int
) -> None:
    login = fleet["drivesafe"]
    before = platform.stored(login)
    client = platform.connect(login)
    client.publish(login.topics["telemetry"], json.dumps({"qos": qos, "value": 1}), qos=qos)
    wait_until(lambda: platform.stored(login) == before + 1, f"the QoS {qos} message")


def test_a_device_reaches_nobody_elses_topics(platform: Platform, fleet: dict[str, Login]) -> None:
    mine = fleet["smarthome"]
    neighbour = platform.add("ESP32_002", "smarthome", "--tenant", "1")
    stranger = platform.add("ESP32_003", "smarthome", "--tenant", "2")
    client = platform.connect(mine)
    for other in (neighbour, stranger):
        client.publish(other.topics["telemetry"], '{"sensors":{"temperature":1}}', qos=1)
        client.publish(other.topics["command"], '{"type":"RESET"}', qos=1)
    client.publish("smarthome/1/ESP32_001/nothing", "{}", qos=1)
    client.publish(mine.topics["heartbeat"], '{"uptime":1}', qos=1)
    client.disconnect()
    listener = platform.connect(mine)
    for filter_ in ("#", "smarthome/#", neighbour.topics["command"], "$SYS/#"):
        with pytest.raises(AssertionError):
            listener.subscribe(filter_)
    wait_until(
        lambda: "heartbeat" in channels_of(platform, mine), "the message after the refused ones"
    )
    assert platform.stored(neighbour) == 0
    assert platform.stored(stranger) == 0


def test_a_device_hears_its_own_commands_only(platform: Platform, fleet: dict[str, Login]) -> None:
    mine = fleet["iotflow"]
    client = platform.connect(mine)
    client.subscribe(mine.topics["command"])
    sender = platform.connect()
    sender.publish("iotflow/devices/another/commands/control", '{"command":"stop"}', qos=1)
    sender.publish(mine.topics["command"], '{"command":"start"}', qos=1)
    messages = client.collect(1)
    assert [m.payload for m in messages] == [b'{"command":"start"}']
