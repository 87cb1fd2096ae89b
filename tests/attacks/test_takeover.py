"""A login that uses somebody else's client id: a broker ends the session that has it."""

from __future__ import annotations

import contextlib
import json
import socket
import time

import pytest

from tests.attacks.stand import Attacked
from tests.support.mqtt import MqttClient
from tests.support.platform import Login
from tests.support.waiting import wait_until

ROUNDS = 5


def platform_ids(attacked: Attacked) -> list[str]:
    """The platform's client ids: those everybody can guess, and one that nobody can know."""
    secrets = json.loads((attacked.platform.data_dir / "secrets.json").read_text())
    return ["mooring-ingest", "service:mooring", "service.mooring", secrets["ingest_client_id"]]


@pytest.mark.attack("ends ingest's session by its client id")
@pytest.mark.parametrize("dialect", ["mooring", "drivesafe"])
def test_the_platforms_sessions_cannot_be_ended(attacked: Attacked, dialect: str) -> None:
    """Devices whose firmware fixes the client id, and devices that choose one."""
    attacker, victim = attacked.attacker(dialect=dialect), attacked.victim()
    taken = platform_ids(attacked)
    if dialect == "drivesafe":
        taken.pop()  # the secret one is guarded by being unknown
    ingest = attacked.platform.pid("ingest")
    sender = attacked.client(victim)
    sent = 0
    for _ in range(ROUNDS):
        for client_id in taken:
            attacked.login(attacker, client_id, clean=False)
            sender.publish(victim.topics["telemetry"], f'{{"values":{{"n":{sent}}}}}')
            sent += 1
    wait_until(lambda: attacked.platform.stored(victim) >= sent, f"all {sent} messages")
    assert attacked.platform.stored(victim) == sent
    assert attacked.platform.pid("ingest") == ingest
    attacked.lives(victim)


@pytest.mark.attack("ends another device's session by its client id")
@pytest.mark.parametrize("dialect", ["mooring", "drivesafe"])
@pytest.mark.parametrize("port", ["mqtt_port", "mqtt_ws_port"])
def test_another_devices_session_and_queue_stay(
    attacked: Attacked, dialect: str, port: str
) -> None:
    """Devices whose firmware fixes the client id, and devices that choose one: each as the
    attacker and as the victim."""
    attacker = attacked.attacker(dialect=dialect)
    victims = [attacked.victim(), attacked.victim(dialect="drivesafe")]
    with attacked.admin() as admin:
        for victim in victims:
            away = attacked.client(victim, clean=False)
            topic = victim.topics.get("config") or victim.topics["command"]
            away.subscribe(topic)
            away.disconnect()
            sent = admin.post(
                "/api/v1/mqtt/publish",
                json={"topic": topic, "payload": {"wifi": "secret"}, "qos": 1},
            )
            assert sent.status_code < 300, sent.text
    live = attacked.victim()
    session = attacked.client(live)
    for other in (*victims, live):
        for client_id in (other.client_id, other.username):
            for clean in (False, True):
                take(attacked, attacker, client_id, clean=clean, port=port)
    assert session.connected
    session.publish(live.topics["telemetry"], '{"values":{"a":1}}')
    for victim in victims:
        back = attacked.client(victim, clean=False)
        assert back.session_present
        assert b"secret" in back.collect()[0].payload


def take(attacked: Attacked, login: Login, client_id: str, *, clean: bool, port: str) -> None:
    """Connects with a client id and goes, whether or not the broker accepts."""
    client = MqttClient(
        attacked.platform.ports[port],
        client_id=client_id,
        username=login.username,
        password=login.password,
        clean=clean,
        transport="websockets" if port == "mqtt_ws_port" else "tcp",
    )
    with contextlib.suppress(AssertionError):
        client.connect()
    client.disconnect()


@pytest.mark.attack("ends the sessions of serve and of the other processes")
@pytest.mark.parametrize("dialect", ["mooring", "drivesafe"])
def test_the_sessions_of_serve(attacked: Attacked, dialect: str) -> None:
    """Each command is accepted, whatever ids a device tries that can be guessed."""
    attacker, victim = attacked.attacker(dialect=dialect), attacked.victim()
    pids = [attacked.platform.pid(role) for role in ("serve", "ingest")]
    guesses = [
        *(
            f"mooring-{role}-{socket.gethostname()}-{pid}"
            for role in ("serve", "up")
            for pid in pids
        ),
        "mooring-serve",
        "mooring-authority-events",
        "mooring.reload",
        "mooring-mark-",
    ]
    with attacked.admin() as admin:
        for client_id in guesses:
            attacked.login(attacker, client_id, clean=False)
            sent = admin.post(
                "/api/v1/mqtt/publish",
                json={"topic": victim.topics["config"], "payload": {"a": 1}},
            )
            assert sent.status_code == 202, sent.text
    attacked.lives(victim)


@pytest.mark.attack("makes sessions that nobody returns to")
def test_a_device_has_one_session(attacked: Attacked) -> None:
    attacker = attacked.attacker()
    before = sessions(attacked)
    for number in range(50):
        attacked.login(attacker, f"left-{number}", clean=False).drop()
    attacked.client(attacker, clean=False).disconnect()
    assert sessions(attacked) <= before + 1


def sessions(attacked: Attacked) -> int:
    """What the broker says of the sessions it holds; told every ten seconds."""
    secrets = json.loads((attacked.platform.data_dir / "secrets.json").read_text())
    name = "service:mooring"
    if attacked.combination.authority == "password_file":
        name = "service.mooring"
    client = MqttClient(
        attacked.platform.ports["mqtt_port"], username=name, password=secrets["service_password"]
    )
    total, uptime = "$SYS/broker/clients/total", "$SYS/broker/uptime"
    with client:
        client.subscribe(total, uptime)
        found = client.collect(1)
        # What is retained is old, and a number that stays the same is not published again.
        while found[-1].topic != uptime or found[-1].retain:
            found += client.collect(1)
        time.sleep(1)  # the uptime comes first
        found += client.waiting()
        return int([message for message in found if message.topic == total][-1].payload)


@pytest.mark.attack("runs a second ingest next to the platform's own")
def test_a_second_ingest_is_refused(attacked: Attacked) -> None:
    victim = attacked.victim()
    ran = attacked.platform.cli("ingest", expect=4)
    assert str(attacked.platform.pid("ingest")) in ran.stderr  # who it is
    attacked.lives(victim)
