"""A device sends what could stop ingest for everybody, or what gets lost unseen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mooring.broker.config import PACKET_OVERHEAD
from tests.attacks.stand import Attacked
from tests.support.platform import Login
from tests.support.raw_mqtt import connect_packet, publish_packet
from tests.support.waiting import wait_until

LIMIT = 20_000  # bytes of a payload, in this module
MAXIMUM_PACKET_SIZE = 0x27  # of CONNACK [MQTT-3.2.2.3.6]


@pytest.fixture(scope="module")
def attack_settings() -> dict[str, str]:
    return {"MOORING_MESSAGE_SIZE_LIMIT": str(LIMIT), "MOORING_PAYLOAD_MAX_BYTES": str(LIMIT // 2)}


def publish(attacked: Attacked, login: Login, kind: str, *bodies: Any) -> None:
    client = attacked.client(login)
    for body in bodies:
        client.publish(login.topics[kind], json.dumps(body), qos=1)
    client.disconnect()


def letters(attacked: Attacked, login: Login) -> list[tuple[str, str]]:
    return [
        (reason, topic)
        for reason, topic in attacked.platform.rows(
            "SELECT reason, topic FROM dead_letters WHERE device_id ="
            " (SELECT id FROM devices WHERE username = ?) ORDER BY id",
            login.username,
        )
    ]


@pytest.mark.attack("ranges of lost numbers that overlap without end")
def test_ranges_of_lost_numbers(attacked: Attacked) -> None:
    """They ended ingest for every tenant and multiplied other devices' readings."""
    attacker, victim = attacked.attacker(), attacked.victim()
    most = 2**63 - 1
    pid = attacked.platform.pid("ingest")
    for ranges in ([[1, most]] * 2, [[1, most]] * 300, [[n, most] for n in range(1, 300)]):
        publish(attacked, victim, "telemetry", {"values": {"t": 1}})
        publish(attacked, attacker, "event", {"event": "lost", "lost": ranges})
        publish(attacked, victim, "telemetry", {"values": {"t": 1}})
    wait_until(lambda: attacked.platform.stored(victim) >= 6, "the victim's readings")
    wait_until(lambda: attacked.platform.stored(attacker) >= 3, "the attacker's events")
    assert attacked.platform.stored(victim) == 6
    assert attacked.platform.pid("ingest") == pid


@pytest.mark.attack("equal readings are taken for repetitions")
def test_what_a_device_says_again(attacked: Attacked) -> None:
    """Two presses in a second, a clock that stands still, a counter that begins again."""
    device = attacked.victim()
    pressed = [{"ts": 1_771_000_000_000, "event": "pressed"}] * 5
    publish(attacked, device, "event", *pressed)
    for _ in range(3):
        publish(attacked, device, "telemetry", *({"seq": n, "values": {"t": 1}} for n in range(3)))
    wait_until(lambda: attacked.platform.stored(device) >= 14, "all of them")
    assert attacked.platform.stored(device) == 14


@pytest.mark.attack("a packet that is larger than the broker takes")
@pytest.mark.parametrize("version", [4, 5], ids=["mqtt-3.1.1", "mqtt-5"])
@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + PACKET_OVERHEAD + 1], ids=["some", "far"])
def test_a_packet_too_large(attacked: Attacked, version: int, size: int) -> None:
    device = attacked.attacker()
    topic = device.topics["telemetry"]
    for _ in range(2):  # it comes back with it
        client = attacked.login(device, version=version)
        assert client.code == 0
        client.send(publish_packet(topic, b"x" * size, version=version))
        client.receive()
        client.drop()
    found = wait_until(lambda: letters(attacked, device), "a dead letter")
    assert {reason for reason, _ in found} == {"too_large"}
    assert {where for _, where in found} <= {topic, ""}
    if size == LIMIT + 1:
        assert found[0] == ("too_large", topic)


@pytest.mark.attack("a limit that is not announced")
def test_the_limit_is_announced(attacked: Attacked) -> None:
    device = attacked.attacker()
    client = attacked.raw()
    client.send(connect_packet(device.client_id, device.username, device.password, version=5))
    answer = client.receive()
    assert answer is not None
    announced = bytes([MAXIMUM_PACKET_SIZE]) + (LIMIT + PACKET_OVERHEAD).to_bytes(4, "big")
    assert announced in answer[1]
