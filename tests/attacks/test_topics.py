"""Topics that are somebody else's: foreign devices', the platform's and the broker's own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from tests.attacks.stand import Attacked
from tests.support.mqtt import MqttClient, MqttMessage
from tests.support.platform import Login
from tests.support.raw_mqtt import RawClient, publish_packet, subscribe_packet

DENIED = 0x80
PUBLISH = 0x30


def root(login: Login) -> str:
    return f"mooring/{login.tenant}/{login.device}"


def inside(own: Login) -> list[str]:
    here = root(own)
    return [f"{here}/#", f"{here}/command/#", f"{here}/command/+", f"{here}/+", f"{here}/config"]


def wider(own: Login, victim: Login) -> list[str]:
    """Filters that somebody else's topics match."""
    there = root(victim)
    return [
        "#",
        "+/#",
        "/#",
        "mooring/#",
        "mooring/+/+/#",
        f"mooring/{own.tenant}/#",
        f"mooring/{own.tenant}/+/#",
        f"mooring/+/{own.device}/#",
        f"mooring/{victim.tenant}/#",
        f"{there}/#",
        f"{there}/command/+",
        f"{there}/config",
        "$share/group/#",
        "$share/group/mooring/#",
        f"$share/group/{there}/#",
        f"$share/{own.device}/{there}/config",
        "$SYS/#",
        "$CONTROL/#",
        "$CONTROL/dynamic-security/v1/response",
        "$CONTROL/mooring-authority/v1/response",
        "$mooring/#",
        "$mooring/authority/event",
        "+/authority/event",
    ]


def received(client: RawClient, until: bytes) -> Iterator[bytes]:
    """Topics of the messages that come, up to the one with this payload."""
    while True:
        packet = client.receive()
        assert packet is not None, "the connection ended"
        first, body = packet
        if first & 0xF0 == PUBLISH:
            length = int.from_bytes(body[:2], "big")
            yield body[2 : 2 + length]
            if body.endswith(until):
                return


def subscribed(client: RawClient, topic: str) -> bool:
    """Whether SUBACK grants it. Messages that come first are passed over."""
    client.send(subscribe_packet(topic))
    while (packet := client.receive()) is not None:
        if packet[0] == 0x90:
            return packet[1][-1] < DENIED
    raise AssertionError(f"the connection ended after SUBSCRIBE {topic}")


@pytest.mark.attack("reads beyond its own prefix")
def test_a_device_reads_inside_its_own_prefix_only(attacked: Attacked) -> None:
    attacker, victim = attacked.attacker(), attacked.victim()
    sibling = attacked.attacker()  # of its own tenant
    client = attacked.login(attacker)
    assert [one for one in inside(attacker) if not subscribed(client, one)] == []
    for one in wider(attacker, victim):
        subscribed(client, one)  # a password file grants it and delivers nothing
    attacked.client(victim).publish(victim.topics["telemetry"], '{"values":{"a":1}}')
    attacked.client(sibling).publish(sibling.topics["status"], '{"online":true}', retain=True)
    with attacked.admin() as admin:
        for login in (victim, sibling, attacker):
            for topic in (f"{root(login)}/command/reboot", login.topics["config"]):
                retain = "/command/" not in topic  # REST lets the broker keep no command
                sent = admin.post(
                    "/api/v1/mqtt/publish",
                    json={"topic": topic, "payload": {"id": login.device}, "retain": retain},
                )
                assert sent.status_code == 202, sent.text
        admin.post(
            "/api/v1/mqtt/publish",
            json={"topic": attacker.topics["config"], "payload": "the last one"},
        )
    topics = set(received(client, until=b"the last one"))
    assert [one for one in topics if not one.startswith(root(attacker).encode() + b"/")] == []


@pytest.mark.attack("reads what was retained before it came")
def test_retained_messages_of_others(attacked: Attacked) -> None:
    attacker, victim = attacked.attacker(), attacked.victim()
    attacked.client(victim).publish(victim.topics["status"], '{"online":true}', retain=True)
    client = attacked.client(attacker, protocol=MQTTProtocolVersion.MQTTv5)
    for one in wider(attacker, victim):
        try:
            client.subscribe(one)
        except AssertionError:
            if not client.connected:  # 2.1 ends a session for some of them
                client = attacked.client(attacker, protocol=MQTTProtocolVersion.MQTTv5)
    fence(attacked, client, attacker)
    assert {one.payload for one in client.waiting()} <= {b"fence"}  # by each filter it has


def fence(attacked: Attacked, client: MqttClient, login: Login) -> None:
    """Returns when the client has what the broker sent it before."""
    client.subscribe(login.topics["config"])
    attacked.platform.connect().publish(login.topics["config"], "fence")
    messages = client.collect()
    while messages[-1].payload != b"fence":
        messages += client.collect()
    assert {one.topic for one in messages} == {login.topics["config"]}


# ---------------------------------------------------------------------- writing


def forged(victim: Login) -> dict[str, bytes]:
    """Topics no device may publish to, each with what would do harm there."""
    gone = {"kind": "gone", "user": victim.username, "client": victim.client_id, "n": 10**9}
    evil = {"command": "createClient", "username": "evil", "password": "evil"}
    return {
        victim.topics["telemetry"]: b'{"values":{"forged":1}}',
        victim.topics["status"]: b'{"online":false}',
        victim.topics["config"]: b'{"wifi":"evil"}',
        f"{root(victim)}/command/reboot": b"{}",
        f"{root(victim)}/receipt": b'{"upto":99999}',
        f"{root(victim)}/rerequest": b'{"missing":[[1,99999]]}',
        "$mooring/authority/event": json.dumps(gone | {"boot": "x", "session": 1}).encode(),
        "$CONTROL/dynamic-security/v1": json.dumps({"commands": [evil]}).encode(),
        "$CONTROL/mooring-authority/v1": b'{"nonce":"x","replay":true}',
        "$SYS/broker/version": b"mosquitto version 9.9.9",
        "$share/group/x": b"{}",
        "mooring": b"{}",
        f"mooring/{victim.tenant}": b"{}",
    }


def topic_alias(number: int) -> bytes:
    return b"\x23" + number.to_bytes(2, "big")


@pytest.mark.attack("writes where others or the platform write")
@pytest.mark.parametrize("way", ["3.1.1", "5", "topic alias", "will"])
def test_a_device_writes_to_its_own_topics_only(attacked: Attacked, way: str) -> None:
    attacker, victim = attacked.attacker(), attacked.victim()
    reader = attacked.client(victim)
    reader.subscribe(f"{root(victim)}/#")
    platform = attacked.platform.connect()
    platform.subscribe("#")
    attacked.log_is_read()
    before = attacked.events(victim)
    for topic, payload in forged(victim).items():
        try:
            write(attacked, attacker, way, topic, payload)
        except OSError:
            continue  # the broker ended the connection
    attacked.client(attacker).publish(attacker.topics["telemetry"], '{"values":{"last":1}}')
    attacked.lives(victim)
    attacked.log_is_read()
    assert attacked.platform.stored(victim) == 1
    assert not {one.topic for one in platform.waiting()} & set(forged(victim)) - {
        victim.topics["telemetry"]
    }
    assert reader.waiting() == []
    # Its second login, by ``lives``, ends the first session; nothing else may be known of it.
    kinds = {event for event, _, _ in attacked.events(victim)[len(before) :]}
    assert kinds <= {"connected", "taken_over", "disconnected"}
    evil = attacked.raw()
    assert evil.connect("evil", "evil", "evil") != 0


def write(attacked: Attacked, attacker: Login, way: str, topic: str, payload: bytes) -> None:
    version = 4 if way in ("3.1.1", "will") else 5
    if way == "will":
        attacked.login(attacker, will=(topic, payload)).drop()
        return
    client = attacked.login(attacker, version=version)
    if way == "topic alias":
        own = attacker.topics["telemetry"]
        client.send(publish_packet(topic, payload, qos=0, version=5, properties=topic_alias(1)))
        client.send(publish_packet("", payload, qos=0, version=5, properties=topic_alias(1)))
        client.send(publish_packet(own, b"{}", qos=0, version=5, properties=topic_alias(1)))
    else:
        for qos in (0, 1):
            client.send(publish_packet(topic, payload, qos=qos, version=version, retain=True))
    client.send(publish_packet(attacker.topics["telemetry"], b"{}", packet_id=9, version=version))
    while (packet := client.receive()) is not None and packet[1][:2] != b"\0\x09":
        pass
    client.drop()


# ---------------------------------------------------------------------- wills that come late

DELAY = b"\x18" + (1).to_bytes(4, "big")  # [MQTT-3.1.3.2.2]
EXPIRY = b"\x11" + (60).to_bytes(4, "big")


def leave(attacked: Attacked, login: Login, topic: str, payload: bytes) -> None:
    """Goes away with a Last Will that the broker sends a second later."""
    client = attacked.login(
        login,
        will=(topic, payload),
        version=5,
        properties=EXPIRY,
        will_properties=DELAY,
    )
    assert client.code == 0
    client.drop()


def new_message(client: MqttClient) -> MqttMessage:
    """The next one that was not retained."""
    while (message := client.collect()[0]).retain:
        pass
    return message


@pytest.mark.attack("a delayed Last Will to a foreign topic")
def test_a_delayed_will(attacked: Attacked) -> None:
    victim, attackers = attacked.victim(), [attacked.attacker() for _ in range(3)]
    platform = attacked.platform.connect()
    platform.subscribe("#")
    for attacker, kind in zip(attackers, ("status", "config"), strict=False):
        leave(attacked, attacker, victim.topics[kind], b'{"online":false}')
    own = attackers[-1].topics["telemetry"]
    leave(attacked, attackers[-1], own, b"{}")  # is sent after the others
    assert new_message(platform).topic == own


@pytest.mark.attack("a removed device's Last Will reaches the next of its name")
@pytest.mark.parametrize("dialect", ["drivesafe", "mooring"])
def test_the_will_of_a_removed_device(attacked: Attacked, dialect: str) -> None:
    name = f"will-{secrets.token_hex(3)}"
    old = attacked.victim(name, dialect=dialect)
    leave(attacked, old, old.topics["telemetry"], b'{"values":{"from":"the old one"}}')
    attacked.log_is_read()
    with attacked.admin() as admin:
        assert admin.delete(f"/api/v1/devices/{old.reference}").status_code < 300
    tenant = attacked.attacker if dialect == "drivesafe" else attacked.victim
    new = tenant(name, dialect=dialect)
    assert new.username == old.username
    fenced = attacked.attacker()
    platform = attacked.platform.connect()
    platform.subscribe(fenced.topics["telemetry"])
    leave(attacked, fenced, fenced.topics["telemetry"], b"{}")
    new_message(platform)  # wills of that time have been sent
    attacked.lives(new)
    assert attacked.platform.stored(new) == 1
