"""The live stream: another tenant's devices, a client that does not read, a device that floods."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.attacks.stand import Attacked
from tests.support.platform import Login
from tests.support.stream import StreamClient
from tests.support.waiting import wait_until

MESSAGES = 3_000
KINDS = ["telemetry", "status", "alert", "presence"]


@pytest.fixture(scope="module")
def attack_settings() -> dict[str, str]:
    """A platform for those who flood: for half a minute after it, without the plugin, nobody
    watches denials, which other attacks wait for."""
    return {"MOORING_WATCH_DENIALS": "off"}


@pytest.fixture
def port(attacked: Attacked) -> int:
    return attacked.platform.ports["http_port"]


def key(attacked: Attacked, tenant: str) -> str:
    with attacked.admin() as admin:
        new = {"name": "stream", "role": "admin", "tenant": tenant}
        made: str = admin.post("/api/v1/api-keys", json=new).json()["key"]
    return made


def tenant_of(login: Login) -> str:
    return login.reference.partition(":")[0]


@pytest.fixture
def pair(attacked: Attacked) -> Iterator[tuple[Login, Login]]:
    """The attacker's device, and the victim's."""
    yield attacked.attacker(), attacked.victim()
    attacked.end_clients()


@pytest.mark.attack("listens to another tenant's devices in the stream")
def test_no_other_tenant(attacked: Attacked, pair: tuple[Login, Login], port: int) -> None:
    attacker, victim = pair
    assert tenant_of(attacker) != tenant_of(victim)
    with StreamClient(port, key(attacked, tenant_of(attacker))) as spy:
        for wanted in (victim.reference, victim.username, victim.device):
            answer = spy.subscribe("named", devices=[wanted])
            assert answer["error"]["code"] == "device_not_found"
        answer = spy.subscribe("group", groups=[f"{tenant_of(victim)}:g"])
        assert answer["error"]["code"] == "group_not_found"
        spy.subscribe("all", kinds=KINDS)
        own, other = attacked.client(attacker), attacked.client(victim)
        other.publish(victim.topics["telemetry"], b'{"values":{"secret":42}}', qos=1)
        other.publish(victim.topics["status"], b'{"online":true}', qos=1)
        wait_until(lambda: attacked.platform.stored(victim) >= 1, "the victim's message")
        own.publish(attacker.topics["telemetry"], b'{"values":{"last":1}}', qos=1)
        spy.sees(attacker.device, "last", 1)
        assert victim.device not in {device for device, _, _ in spy.view}
        tenants = {
            one["tenant"] for m in spy.got for one in (*m.get("items", ()), *m.get("snapshot", ()))
        }
        assert tenants == {tenant_of(attacker)}


@pytest.mark.attack("says something in another device's name in the stream")
def test_no_foreign_topic(attacked: Attacked, pair: tuple[Login, Login], port: int) -> None:
    attacker, victim = pair
    with StreamClient(port, key(attacked, tenant_of(victim))) as stream:
        stream.subscribe(kinds=KINDS)
        client = attacked.client(attacker)
        forged = json.dumps({"device": victim.device, "values": {"forged": 1}}).encode()
        client.publish(victim.topics["telemetry"], forged, qos=1)
        client.publish(attacker.topics["telemetry"], forged, qos=1)
        client.publish("$mooring/stream", forged, qos=0)
        wait_until(lambda: attacked.platform.stored(attacker) >= 1, "the attacker's own message")
        attacked.client(victim).publish(victim.topics["telemetry"], b'{"values":{"true":1}}', qos=1)
        stream.sees(victim.device, "true", 1)
        assert not [metric for _, _, metric in stream.view if metric == "forged"]


@pytest.mark.attack("floods the stream of its tenant, and reads none of it")
def test_a_client_that_does_not_read(
    attacked: Attacked, pair: tuple[Login, Login], port: int
) -> None:
    attacker, victim = pair
    lazy = StreamClient(port, key(attacked, tenant_of(attacker)))
    lazy.subscribe()
    raw = lazy.socket.socket
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client = attacked.client(attacker)
    with StreamClient(port, key(attacked, tenant_of(victim))) as stream:
        stream.subscribe(kinds=["telemetry"])
        other = attacked.client(victim)
        for number in range(MESSAGES):
            values = {f"m{number % 400}": "x" * 200, "n": number}
            body = json.dumps({"values": values}).encode()
            client.publish(attacker.topics["telemetry"], body, qos=0)
            if number % 500 == 0:
                body = json.dumps({"values": {"n": number}}).encode()
                other.publish(victim.topics["telemetry"], body, qos=1)
        other.publish(victim.topics["telemetry"], b'{"values":{"end":1}}', qos=1)
        stream.sees(victim.device, "end", 1)
        with attacked.http() as anyone:
            assert anyone.get("/healthz").status_code == 200
    with lazy:  # it reads at last, and gets what is newest
        client.publish(attacker.topics["telemetry"], b'{"values":{"end":1}}', qos=1)
        lazy.sees(attacker.device, "end", 1)
        assert lazy.missed


@pytest.mark.attack("says anything to the stream")
def test_any_message(attacked: Attacked, pair: tuple[Login, Login], port: int) -> None:
    attacker, _ = pair
    hostile = [
        "\0",
        "{" * 5_000,
        '{"subscribe":{"id":"\\u202e\\u0000","devices":["%","_","\\u0000","../..","*","#"]}}',
        '{"subscribe":{"id":"1","from":"' + "9" * 64 + '"}}',
        '{"subscribe":{"id":"1","devices":' + json.dumps(["x" * 200] * 1_000) + "}}",
        '{"unsubscribe":"1e999"}',
    ]
    with StreamClient(port, key(attacked, tenant_of(attacker))) as stream:
        for text in hostile:
            stream.send(text)
        stream.subscribe("last", kinds=["presence"])
        codes = {m["error"]["code"] for m in stream.got if "error" in m}
        assert codes <= {"invalid_message", "device_not_found", "no_subscription", "nul_character"}
    with StreamClient(port, key(attacked, tenant_of(attacker))) as stream:
        stream.send("x" * 300_000)
        assert stream.closed()[0] == 1009
