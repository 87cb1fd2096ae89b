"""What devices say, and how they say it: nothing stops ingest, hides or multiplies a message."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator

import pytest

from tests.attacks.stand import Attacked
from tests.support.mqtt import MqttClient
from tests.support.platform import Login
from tests.support.waiting import wait_until

COUNTED = (
    "messages_duplicate",
    "messages_undeclared",
    "dead_letters_dropped",
    "retained_cleared",
)
MOST = 2**63 - 1
WORDS = ("", "null", "true", '""', "[]", "{}", "1e999", "NaN", "-Infinity", "-0", str(10**400))
NUMBERS = (0, 1, -1, 2**53 - 1, 2**53, 2**53 + 1, MOST, MOST + 1, 2**64, 10**30, 1.5, "1", None)


def payloads() -> Iterator[bytes]:
    for word in WORDS:
        yield word.encode()
        yield f'{{"values":{word or 1},"ts":{word or 1},"seq":{word or 1}}}'.encode()
        yield f'{{"values":{{"a":{word or 1},"b":1}}}}'.encode()
        yield f'{{"lost":{word or 1},"event":{word or 1},"online":{word or 1}}}'.encode()
    for number in NUMBERS:
        shown = "null" if number is None else f'"{number}"' if number == "1" else str(number)
        yield f'{{"seq":{shown},"values":{{"a":1}}}}'.encode()
        yield f'{{"ts":{shown},"values":{{"a":1}}}}'.encode()
        yield f'{{"event":"lost","lost":[[1,{shown}],[{shown},{shown}]]}}'.encode()
        yield f'{{"event":"lost","lost":[[{shown},1]],"seq":{shown}}}'.encode()
    yield b"\xff\xfe\x00"
    yield b'"\\ud800"'
    yield b'{"values":{"a\\u0000b":1}}'
    yield b'{"values":{"\xed\xa0\x80":1}}'
    yield b"[" * 60_000
    yield b'{"a":' * 20_000
    yield b'{"values":{' + b",".join(b'"k%d":%d' % (n, n) for n in range(5000)) + b"}}"
    yield b'{"values":{"' + b"k" * 60_000 + b'":1}}'
    yield b'{"values":{"a.b":1,"a":{"b":2}}}'
    yield b'{"values":{"a":1,"a":2},"values":{"a":3}}'
    yield b"\xef\xbb\xbf{}"
    yield b"{} {}"


@pytest.mark.attack("any payload on any own topic")
@pytest.mark.parametrize("retain", [False, True], ids=["", "retained"])
def test_any_payload_on_any_own_topic(attacked: Attacked, retain: bool) -> None:
    """Each is stored, a dead letter or counted, once; the other tenant's messages stay."""
    attacker, victim = attacked.attacker(), attacked.victim()
    ingest = attacked.platform.pid("ingest")
    before = counted(attacked)
    client, other = attacked.client(attacker), attacked.client(victim)
    topics = [
        attacker.topics[kind]
        for kind in (
            "telemetry",
            "event",
            "status",
            "heartbeat",
            "alert",
            "alert_cleared",
            "reply",
            "config_reported",
            "firmware_progress",
        )
    ]
    sent = said = 0
    for number, payload in enumerate(payloads()):
        for topic in topics if number % 3 == 0 else topics[:3]:
            client.publish(topic, payload, retain=retain)
            sent += 1
        if number % 10 == 0:
            other.publish(victim.topics["telemetry"], '{"values":{"t":21.5}}')
            said += 1
    wait_until(lambda: attacked.platform.stored(victim) >= said, "the victim's messages")
    wait_until(
        lambda: kept(attacked, attacker) + counted(attacked) - before >= sent,
        f"all {sent} messages to be accounted for",
    )
    assert kept(attacked, attacker) + counted(attacked) - before == sent
    assert attacked.platform.stored(victim) == said
    assert attacked.platform.pid("ingest") == ingest
    attacked.lives(victim)


def kept(attacked: Attacked, login: Login) -> int:
    return attacked.platform.stored(login) + len(attacked.dead_letters(login))


def counted(attacked: Attacked) -> int:
    return sum(map(attacked.platform.counted, COUNTED))


@pytest.mark.attack("a number that blocks what follows")
def test_a_number_that_blocks_what_follows(attacked: Attacked) -> None:
    """After the largest number that anything accepts, a device still uploads and is confirmed."""
    device = attacked.attacker()
    client = attacked.client(device)
    with attacked.http() as http:
        for number in (2**53 - 2, 2**53 - 1, 2**53, MOST, 2**64):
            client.publish(device.topics["telemetry"], f'{{"seq":{number},"values":{{"a":1}}}}')
            for one in (number, 5):
                answer = http.post(
                    f"/api/v1/devices/{device.reference}/telemetry",
                    content=f'{{"messages":[{{"seq":{one},"values":{{"a":{number}}}}}]}}',
                    auth=(device.username, device.password),
                )
                assert answer.status_code == 200, (one, answer.text)


@pytest.mark.attack("one reading hides or costs another")
def test_no_reading_costs_another(attacked: Attacked) -> None:
    device = attacked.victim()
    before = attacked.platform.counted("not_numbers")
    client = attacked.client(device)
    client.publish(device.topics["telemetry"], '{"values":{"t":NaN,"u":-Infinity,"h":55}}')
    client.publish(device.topics["event"], '{"values":{"a.b":1,"a":{"b":2}}}')
    wait_until(lambda: attacked.platform.stored(device) == 2, "both messages")
    assert attacked.platform.counted("not_numbers") == before + 2
    path = f"/api/v1/devices/{device.reference}/history"
    with attacked.admin() as admin:

        def values(metric: str) -> list[float]:
            found = admin.get(path, params={"metric": metric}).json()["items"]
            return [one["value"] for one in found]

        assert (values("t"), values("u"), values("h")) == ([], [], [55])
        assert sorted(values("a.b") + values("a\\.b")) == [1, 2]


@pytest.mark.attack("a Last Will as text leaves a device online")
def test_a_will_as_text(attacked: Attacked) -> None:
    mac = secrets.token_hex(6)
    device = attacked.device("victim", dialect="mousetrap", mac=mac)
    client = attacked.client(device, will=(device.topics["status"], b"offline", 1, False))
    client.publish(device.topics["status"], '{"online":true}')
    wait_until(lambda: online(attacked, device), "the device to be online")
    client.drop()
    wait_until(lambda: not online(attacked, device), "the device to be offline")


def online(attacked: Attacked, login: Login) -> bool:
    rows = attacked.platform.rows(
        "SELECT online FROM device_state WHERE device_id ="
        " (SELECT id FROM devices WHERE username = ?)",
        login.username,
    )
    return bool(rows and rows[0][0])


@pytest.mark.attack("a retained status counts as a sign of life")
def test_a_retained_status_is_delivered_again(attacked: Attacked) -> None:
    device = attacked.victim()
    client = attacked.client(device)
    client.publish(device.topics["status"], '{"online":true}', retain=True)
    wait_until(lambda: attacked.platform.stored(device) == 1, "the status")
    seen = last_seen(attacked, device)
    os.kill(attacked.platform.pid("ingest"), signal.SIGKILL)  # its session is resumed
    attacked.platform.cli("dialect", "reload")
    attacked.lives(attacked.victim())
    assert attacked.platform.stored(device) == 1
    assert last_seen(attacked, device) == seen


def last_seen(attacked: Attacked, login: Login) -> int:
    return int(
        attacked.platform.rows(
            "SELECT last_seen_at FROM device_state WHERE device_id ="
            " (SELECT id FROM devices WHERE username = ?)",
            login.username,
        )[0][0]
    )


# ---------------------------------------------------------------------- dialects of one's own

OVERLAP_ONE = """
name = "overlap-one"
title = "One"
description = "Devices."
username = "one-{device}"
client_id = "one-{device}"
[placeholders]
device = "device"
[payload]
time = "ts"
[[channels]]
name = "telemetry"
topic = "devices/{device}/telemetry"
direction = "up"
kind = "telemetry"
description = "Readings."
payload.example = '{"a":1}'
"""
OVERLAP_TWO = """
name = "overlap-two"
title = "Two"
description = "Devices in rooms, with sensors told apart by a word of the topic."
username = "two-{tenant}-{device}"
client_id = "two-{tenant}-{device}"
[placeholders]
room = "tenant"
device = "device"
sensor = "name"
[payload]
time = "ts"
[[channels]]
name = "telemetry"
topic = "{room}/{device}/telemetry"
direction = "up"
kind = "telemetry"
description = "Readings."
payload.example = '{"a":1}'
[[channels]]
name = "sensor"
topic = "sensors/{room}/{device}/{sensor}"
direction = "up"
kind = "telemetry"
description = "Readings of one sensor."
payload.example = '{"a":1}'
"""


@pytest.fixture(scope="module")
def overlapping(attacked_platform: Attacked) -> Attacked:
    """The platform with two dialects whose filters have topics in common."""
    folder = attacked_platform.platform.data_dir / "dialects"
    folder.mkdir(exist_ok=True)
    for name, text in (("overlap-one", OVERLAP_ONE), ("overlap-two", OVERLAP_TWO)):
        (folder / f"{name}.toml").write_text(text)
    attacked_platform.platform.cli("dialect", "reload")
    return attacked_platform


@pytest.mark.attack("two dialects that overlap store a message twice")
def test_overlapping_dialects(attacked: Attacked, overlapping: Attacked) -> None:
    one, two = (attacked.victim(dialect=f"overlap-{n}") for n in ("one", "two"))
    for device in (one, two):
        client = attacked.client(device)
        for _ in range(5):
            client.publish(device.topics["telemetry"], '{"a":1}')
    attacked.lives(attacked.victim())
    assert (attacked.platform.stored(one), attacked.platform.stored(two)) == (5, 5)


@pytest.mark.attack("equal payloads under two words of the topic")
def test_two_sensors_with_equal_payloads(attacked: Attacked, overlapping: Attacked) -> None:
    device = attacked.victim(dialect="overlap-two")
    client = attacked.client(device)
    for sensor in ("left", "right"):
        client.publish(
            f"sensors/{device.tenant}/{device.device}/{sensor}", '{"ts":1771000000,"a":1}'
        )
    attacked.lives(attacked.victim())
    assert attacked.platform.stored(device) == 2


@pytest.mark.attack("a gateway's messages vanish without a trace")
def test_a_gateway_on_an_undeclared_topic(attacked: Attacked) -> None:
    name, topic = f"gateway-{secrets.token_hex(3)}", f"nobody/{secrets.token_hex(3)}/declared"
    made = attacked.platform.cli(
        "broker", "users", "create", name, "--write", "nobody/#", "--json"
    ).json()
    wait_until(lambda: not attacked.platform.waiting(), "the broker to accept it")
    with MqttClient(
        attacked.platform.ports["mqtt_port"],
        client_id=name,
        username=name,
        password=made["password"],
    ) as gateway:

        def traced() -> bool:
            """Ingest follows new broker users, so the first message may be too early."""
            gateway.publish(topic, "1")
            rows = attacked.platform.rows("SELECT reason FROM dead_letters WHERE topic = ?", topic)
            return bool(rows)

        wait_until(traced, "a dead letter")
        before = attacked.platform.counted("messages_undeclared")
        for _ in range(5):
            gateway.publish(topic, "1")
        wait_until(
            lambda: attacked.platform.counted("messages_undeclared") >= before + 5,
            "further ones to be counted",
        )


@pytest.mark.attack("messages right after a reload are lost")
def test_right_after_a_reload(attacked: Attacked) -> None:
    name = f"late-{secrets.token_hex(3)}"
    folder = attacked.platform.data_dir / "dialects"
    folder.mkdir(exist_ok=True)
    text = OVERLAP_ONE.replace("overlap-one", name).replace("one-", f"{name}-")
    (folder / f"{name}.toml").write_text(text.replace("devices/", f"{name}/"))
    gateway = attacked.platform.connect()
    attacked.platform.cli("dialect", "reload")
    topic = f"{name}/nobody/telemetry"
    for number in range(3):
        gateway.publish(topic, str({"n": number}))

    def kept() -> int:
        rows = attacked.platform.rows("SELECT count(*) FROM dead_letters WHERE topic = ?", topic)
        return int(rows[0][0])

    wait_until(lambda: kept() == 3, "all three")


@pytest.mark.attack("an array is taken for readings")
def test_an_array_has_no_readings(attacked: Attacked) -> None:
    device = attacked.device("victim", dialect="mousetrap", mac=secrets.token_hex(6))
    client = attacked.client(device)
    for payload in ("[7, 8]", '[{"battery": 1}]', '{"battery": 55}'):
        client.publish(device.topics["status"], payload)
    wait_until(lambda: attacked.platform.stored(device) == 3, "all three")
    path = f"/api/v1/devices/{device.reference}/history"
    with attacked.admin() as admin:
        found = {
            metric: [
                one["value"] for one in admin.get(path, params={"metric": metric}).json()["items"]
            ]
            for metric in ("0", "0.battery", "battery")
        }
    assert found == {"0": [], "0.battery": [], "battery": [55]}
