"""Usernames, client ids and topics with every byte that MQTT can carry."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from tests.support.accounts_db import AccountsDb, Watch, facts
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import MqttClient, Refused

Connect = Callable[..., MqttClient]

NAMES = ["a/b", "a+b#c", 'q"uo\\te', "$SYS", "it's", "{}", "Zähler 😀", "x" * 4_000, "%u%c%s%n"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:12])
def test_a_name_is_a_name_whatever_it_holds(
    accounts: AccountsDb, connect: Connect, watch: Watch, reader: MqttClient, name: str
) -> None:
    rights = {"publish": ("t/\x01/up",), "values": (name[:1000],)}
    watch.apply(accounts.put(facts(name, client_id=name, **rights)))
    reader.subscribe("t/#")
    client = connect(name, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
    event = watch.event("login", user=name[:256])
    assert ("cut" in event) == (len(name) > 256)
    if not set("+#") & set(name):
        client.publish(f"t/{name[:1000]}/up", b"x")
        assert reader.collect()[0].payload == b"x"
    with pytest.raises(Refused):
        client.publish("t/other/up", b"x")
    assert watch.event("denied")["topic"] == "t/other/up"
    watch.apply(accounts.remove(name))
    client.wait_for_disconnect()
    with pytest.raises(Refused):
        connect(name, client_id=name)


def test_the_longest_name_there_can_be(
    accounts: AccountsDb, watch: Watch, broker: Mosquitto
) -> None:
    name = "x" * 65_535
    watch.apply(accounts.put(facts(name, client_id=name)))
    before = watch.poke()["logins"]
    packet = connect_packet(name.encode(), b"secret", name.encode())
    with socket.create_connection(("127.0.0.1", broker.port), timeout=20) as connection:
        connection.sendall(packet)
        try:
            accepted = connection.recv(4) == b"\x20\x02\x00\x00"
        except ConnectionError:
            accepted = False  # 2.1 takes no CONNECT of that size
        assert watch.poke()["logins"] == before + accepted


def connect_packet(username: bytes, password: bytes, client_id: bytes) -> bytes:
    fields = b"".join(struct.pack("!H", len(f)) + f for f in (client_id, username, password))
    body = b"\x00\x04MQTT\x04\xc2\x00\x3c" + fields
    length, size = b"", len(body)
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return b"\x10" + length + body


@pytest.mark.parametrize(
    "username", [b"pu\0mp", b"pump\0", b"\xff\xfe", b"\xed\xa0\x80", b"pump\x01", b"\xc0\xaf"]
)
def test_bytes_that_are_no_text_get_nobody_in(
    accounts: AccountsDb, watch: Watch, broker: Mosquitto, username: bytes
) -> None:
    watch.apply(accounts.put(facts("pump")))
    before = watch.poke()["logins"]
    with socket.create_connection(("127.0.0.1", broker.port), timeout=20) as connection:
        connection.sendall(connect_packet(username, b"secret", b"id"))
        assert connection.recv(4) in (b"", b"\x20\x02\x00\x05", b"\x20\x02\x00\x04")
    assert watch.poke()["logins"] == before


def test_a_password_of_any_bytes_is_only_a_wrong_one(
    accounts: AccountsDb, watch: Watch, broker: Mosquitto
) -> None:
    watch.apply(accounts.put(facts("pump")))
    for password in (b"\xff" * 65_535, b"\0secret", b"secre", b"%s%n", b"secret" * 9):
        with socket.create_connection(("127.0.0.1", broker.port), timeout=20) as connection:
            connection.sendall(connect_packet(b"pump", password, b"id"))
            assert connection.recv(4) == b"\x20\x02\x00\x05", password
    assert watch.poke()["refused"] == 5


def test_a_device_can_write_nothing_into_the_evidence(
    accounts: AccountsDb, connect: Connect, watch: Watch
) -> None:
    forged = '","kind":"login","user":"fan","x":"'
    watch.apply(accounts.put(facts("pump", publish=("ok",))))
    with pytest.raises(Refused):
        connect(forged, client_id=forged)
    event = watch.event("refused")
    assert (event["user"], event["client"], event["why"]) == (forged, forged, "unknown_username")
    pump = connect("pump", protocol=MQTTProtocolVersion.MQTTv5)
    for topic in ("$mooring/authority/event", "$CONTROL/mooring-authority/v1", "$SYS/x"):
        with pytest.raises(Refused):
            pump.publish(topic, json.dumps({"kind": "login", "user": "fan"}))
    with pytest.raises(Refused):
        pump.publish(forged, b"\xff")
    assert watch.event("denied", topic=forged)["user"] == "pump"
    assert [e for e in watch.events_so_far() if e.get("user") == "fan"] == []
