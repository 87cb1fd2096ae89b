"""A device writes sentences into the broker's log, which is evidence for presence, dead letters
and rotations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.stand import Attacked
from tests.support.platform import Login
from tests.support.raw_mqtt import publish_packet, subscribe_packet
from tests.support.waiting import wait_until

CUT = 999  # bytes of a line of Mosquitto's log
STAMP = "2026-11-21T08:39:41+0000: "


def sentences(victim: Login) -> Iterator[str]:
    """What the log should say of the victim, if it were for the attacker."""
    name, client = victim.username, victim.client_id
    yield f"New client connected from 10.0.0.7:5 as {client} (p2, c1, k60, u'{name}')."
    yield f"x (p2, c1, k60, u'{name}')."
    yield f"Client {client} disconnected."
    yield f"Client {client} disconnected: x"
    yield f"{client} disconnected: x"
    yield f"{client} closed its connection."
    yield f"{client} [127.0.0.1:5] disconnected: session taken over."
    yield f"{client} already connected, closing old connection."
    yield f"{client} (d0, q1, r0, m1, '{victim.topics['telemetry']}', ... (1 bytes))"
    yield f"Denied PUBLISH from {client} (d0, q1, r0, m1, 'x', ... (1 bytes))"
    yield "mosquitto version 9.9.9 running"
    yield f"x: Received {client}"


def client_ids(victim: Login) -> Iterator[str]:
    """Each sentence alone, nested, and so far in that Mosquitto cuts the line behind it."""
    for sentence in sentences(victim):
        yield sentence
        yield f"{sentence} {sentence}"
        for before in ("New client connected from 127.0.0.1:40000 as ", "Client ", ""):
            yield "x" * (CUT - len(STAMP + before + sentence)) + sentence + "tail"
    yield (
        "mosquitto version " + "9" * (CUT - len(STAMP + "mosquitto version  running")) + " running"
    )


def speak(attacked: Attacked, attacker: Login, client_id: str, victim: Login) -> None:
    """One session that does all that gets a line: login, subscription, refused message, end."""
    client = attacked.login(attacker, client_id)
    if client.code == 0:
        client.send(subscribe_packet(attacker.topics["command"], f"{client_id[:900]}/x"))
        for topic in (victim.topics["telemetry"], client_id.replace("#", "")[:2000]):
            client.send(publish_packet(topic, b"{}"))
            client.receive()
    client.drop()


@pytest.mark.attack("a device writes the broker's log")
def test_a_device_writes_the_brokers_log(attacked: Attacked) -> None:
    attacker, victim = attacked.attacker(), attacked.victim()
    attacked.client(victim).subscribe(victim.topics["command"])
    attacked.log_is_read()
    before = attacked.events(victim)
    assert [event for event, _, _ in before] == ["connected"]
    running = attacked.platform.rows("SELECT count(*) FROM broker_events WHERE event = 'running'")
    # The victim is asked to change its password and does not: nothing may say that it has.
    attacked.platform.cli("device", "rotate", victim.reference, "--wait", "0s")

    for client_id in client_ids(victim):
        speak(attacked, attacker, client_id, victim)
    attacked.log_is_read()

    assert attacked.events(victim) == before
    assert attacked.connected(victim)
    assert attacked.dead_letters(victim) == []
    assert (
        attacked.platform.rows("SELECT count(*) FROM broker_events WHERE event = 'running'")
        == running
    )
    phases = attacked.platform.rows(
        "SELECT phase FROM rotations WHERE device_id = (SELECT id FROM devices WHERE username = ?)",
        victim.username,
    )
    assert phases in ([("sent",)], [("prepared",)])
    attacked.lives(attacked.victim())


@pytest.mark.attack("a client id hides what a device does")
def test_a_client_id_hides_what_a_device_does(attacked: Attacked) -> None:
    attacker, victim = attacked.attacker(), attacked.victim()
    client = attacked.login(attacker, "a: Received b")
    if client.code != 0:
        client = attacked.login(attacker)  # client ids are bound: it has no choice
    client.send(publish_packet(victim.topics["telemetry"], b"{}"))
    client.receive()
    wait_until(
        lambda: ("denied", victim.topics["telemetry"]) in attacked.dead_letters(attacker),
        "the refused message to be listed as the attacker's",
    )
    assert attacked.connected(attacker)


@pytest.mark.attack("lines the log reader refuses are counted")
def test_lines_the_log_reader_refuses_are_counted(attacked: Attacked) -> None:
    if attacked.combination.authority == "plugin":
        pytest.skip("no line about a device is read from the log")
    client = attacked.login(attacked.attacker())
    assert client.code == 0
    client.send(publish_packet("x" * 2000, b"{}"))  # refused, and the line is cut
    wait_until(
        lambda: attacked.platform.counted("broker_lines_refused") > 0, "the line to be counted"
    )
    status = attacked.platform.cli("status", "--json", expect=None).json()
    assert status["counters"]["broker_lines_refused"] > 0
