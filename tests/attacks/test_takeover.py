"""A login that uses somebody else's client id: a broker ends the session that has it."""

from __future__ import annotations

import json

import pytest

from tests.attacks.stand import Attacked
from tests.support.mqtt import MqttClient
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
    if dialect == "drivesafe" and attacked.combination.authority == "dynamic_security":
        # The only case in which the broker accepts such a login: it is noticed.
        counter = "platform_ids_used_by_others"
        wait_until(lambda: attacked.platform.counted(counter) > 0, "it to be counted")
    attacked.lives(victim)


@pytest.mark.attack("ends another device's session by its client id")
def test_another_devices_session_and_queue_stay(attacked: Attacked) -> None:
    attacker, victim = attacked.attacker(), attacked.victim()
    away = attacked.client(victim, clean=False)
    away.subscribe(victim.topics["config"])
    away.disconnect()
    with attacked.admin() as admin:
        sent = admin.post(
            "/api/v1/mqtt/publish",
            json={"topic": victim.topics["config"], "payload": {"wifi": "secret"}, "qos": 1},
        )
        assert sent.status_code < 300, sent.text
    live = attacked.victim()
    session = attacked.client(live)
    for client_id in (victim.client_id, victim.username, live.client_id, live.username):
        for clean in (False, True):
            thief = attacked.login(attacker, client_id, clean=clean)
            thief.drop()
    assert session.connected
    session.publish(live.topics["telemetry"], '{"values":{"a":1}}')
    back = attacked.client(victim, clean=False)
    assert back.session_present
    assert b"secret" in back.collect()[0].payload


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
    with client:
        client.subscribe("$SYS/broker/clients/total")
        return int(client.collect(2)[-1].payload)  # the first one is retained, and old


@pytest.mark.attack("runs a second ingest next to the platform's own")
def test_a_second_ingest_is_refused(attacked: Attacked) -> None:
    victim = attacked.victim()
    ran = attacked.platform.cli("ingest", expect=4)
    assert "Ingest runs already" in ran.stderr
    attacked.lives(victim)
