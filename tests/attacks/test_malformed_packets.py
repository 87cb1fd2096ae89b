"""Bytes that are no MQTT, sent by a stranger and by a device that is logged in."""

from __future__ import annotations

import pytest

from tests.attacks.stand import Attacked
from tests.support.raw_mqtt import binary, connect_packet, packet, publish_packet

BEFORE_LOGIN = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a length that never ends": b"\x10\xff\xff\xff\xff\xff\xff",
    "another protocol": packet(0x10, binary("MQIsdp\x00") + b"\x04\x02\x00\x3c" + binary("x")),
    "client id of broken UTF-8": connect_packet(b"\xff\xfe\xed\xa0\x80", "a", "b"),
    "client id with NUL": connect_packet("a\0b", "a", "b"),
    "SUBSCRIBE first": packet(0x82, b"\x00\x01" + binary("#") + b"\x00"),
    "half a CONNECT": connect_packet("half", "a", "b")[:-3],
}
AFTER_LOGIN = {
    "topic of broken UTF-8": publish_packet(b"\xff\xfe/\xc3(", b"1"),
    "topic with a wildcard": publish_packet("mooring/+/#", b"1"),
    "topic of 65,535 bytes": publish_packet("x" * 65_535, b"1"),
    "subscription with QoS 3": packet(0x82, b"\x00\x01" + binary("a") + b"\x03"),
    "CONNECT again": connect_packet("again", "a", "b"),
    "PUBACK for nothing": packet(0x40, b"\xff\xff"),
}


@pytest.mark.attack("bytes that are no MQTT")
def test_bytes_that_are_no_mqtt(attacked: Attacked) -> None:
    login, victim = attacked.attacker(), attacked.victim()
    for data in BEFORE_LOGIN.values():
        attacked.raw().send(data)
    for data in AFTER_LOGIN.values():
        client = attacked.login(login)
        assert client.code == 0
        client.send(data)
    attacked.lives(victim)
