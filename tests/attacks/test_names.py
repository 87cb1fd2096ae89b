"""Names that mean something else to the broker, to its files or to people."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.attacks.stand import Attacked
from tests.support.cli import Cli
from tests.support.mqtt import Refused
from tests.support.ports import free_port
from tests.support.waiting import wait_until

ODD = (
    "device:account",
    "account:account:device",
    "role",
    "%c",
    "a%ub",
    ".",
    "..",
    "...a",
    "mooring",
    "mooring-ingest",
    "mooring.reload",
    "service:mooring",
    "service.mooring",
    "\u202egnp.exe",
    "zero\u200bwidth",
    "no\u00a0break",
    "\ufe0f",
    "#comment",
    "a+b",
    "a/b",
    "$SYS",
    "$CONTROL",
    "topic readwrite #",
    "pattern",
    "a:b",
    "a:$7$101$AAAA$BBBB",
    "'; DROP TABLE devices; --",
    "--help",
    "-rf",
    "back\\slash",
    '"quoted"',
    "line\nbreak",
    "{device}",
    "%2e%2e",
    "é" * 64,
    "é" * 65,
    "\U0001f4a9",
    "NULL",
)
DIALECTS = ("drivesafe", "mooring", "pulse")
REFUSED = {409, 422}


def trials() -> Iterator[dict[str, str]]:
    for name in ODD:
        for dialect in DIALECTS:
            yield {"name": name, "dialect": dialect, "tenant": "attacker"}
    for tenant in ("victim:a", "..", "%c", "account:device", "\u202e", "mooring", "a/b", "#"):
        yield {"name": "b", "dialect": "pulse", "tenant": tenant}
        yield {"name": "b", "dialect": "mooring", "tenant": tenant}


@pytest.mark.attack("names that mean something else")
def test_names_that_mean_something_else(attacked: Attacked) -> None:
    """Each is refused, or is a device like others. The next test starts the platform with them."""
    with attacked.admin() as admin, ThreadPoolExecutor(8) as pool:

        def add(given: dict[str, str]) -> httpx.Response:
            return admin.post("/api/v1/devices", json=given)

        answers = list(pool.map(add, trials()))
    odd = [one.text for one in answers if one.status_code not in REFUSED | {201, 202}]
    assert odd == []
    added = [one.json() for one in answers if one.status_code not in REFUSED]
    assert len({one["username"] for one in added}) == len(added)
    shown = {one["device"] for one in added}
    assert not shown & {"..", ".", "%c", "a/b", "mooring", "\u202egnp.exe", "zero\u200bwidth"}
    wait_until(lambda: not attacked.platform.waiting(), "the broker to accept them")
    for one in added:
        with attacked.raw() as client:
            code = client.connect(one["client_id"], one["username"], one["password"])
            assert code == 0, one["username"]
    attacked.lives(attacked.victim())


UNUSUAL = ["account:device", "admin", "user x", "Küche"]


@pytest.mark.attack("is named like another device's role")
def test_a_name_gives_no_rights_and_stops_no_start(attacked: Attacked) -> None:
    victim = attacked.victim("device", dialect="drivesafe")
    plain = [
        n for n in UNUSUAL if ":" not in n or attacked.combination.authority != "password_file"
    ]
    admin = attacked.admin()
    thieves = [attacked.attacker(name, dialect="drivesafe") for name in plain]
    for written in (False, True):  # as it was added, and as it is written for the next start
        if written:
            attacked.platform.stop()
            attacked.platform.start()
        for thief in thieves:
            client = attacked.client(thief)
            try:
                client.subscribe(victim.topics["command"], victim.topics["command"] + "/#")
            except Refused:
                client.subscribe(thief.topics["command"])
            sent = admin.post(
                "/api/v1/mqtt/publish",
                json={"topic": victim.topics["command"], "payload": {"command": "open"}},
            )
            assert sent.status_code < 300, sent.text
            client.publish(thief.topics["telemetry"], "{}", qos=1)
            assert client.waiting() == []
            client.disconnect()
    admin.close()
    attacked.lives(victim)


@pytest.mark.attack("is named like the platform, or invisibly")
@pytest.mark.parametrize(
    "name", ["mooring-ingest", "mooring", "..", "a%cb", "a\u202eb", "a\u200bb"]
)
def test_a_name_that_is_rejected(attacked: Attacked, name: str) -> None:
    ran = attacked.platform.cli(
        "device", "add", name, "--dialect", "drivesafe", "--json", expect=None
    )
    assert ran.rc not in (0, 1), ran
    assert json.loads(ran.stderr)["error"]["code"] == "invalid_id"


@pytest.mark.attack("takes another tenant's login by its name")
def test_a_login_of_another_tenant_cannot_be_taken(attacked: Attacked) -> None:
    victim = attacked.victim(dialect="drivesafe")
    live = attacked.client(victim)
    with attacked.admin() as admin:
        key = admin.post(
            "/api/v1/api-keys",
            json={"name": secrets.token_hex(4), "role": "operator", "tenant": "attacker"},
        )
        assert key.status_code == 201, key.text
        with attacked.http(headers={"X-API-Key": key.json()["key"]}) as operator:
            for dialect in ("drivesafe", "smarthome", "iotflow"):
                answer = operator.post(
                    "/api/v1/devices", json={"name": victim.device, "dialect": dialect}
                )
                assert answer.status_code == 409, (dialect, answer.text)
            code = operator.post(
                "/api/v1/claim-codes", json={"dialect": "drivesafe", "name": victim.device}
            )
            hardware = code.json().get("code", "AAAA-AAAA")
            for body in (
                {"code": hardware, "hardware_id": victim.device},
                {"code": hardware, "hardware_id": "aa:bb:cc:dd:ee:ff"},
            ):
                assert operator.post("/api/v1/claims", json=body).status_code >= 400
            for method, path in (
                ("GET", f"/api/v1/devices/{victim.reference}"),
                ("GET", f"/api/v1/devices/{victim.username}"),
                ("DELETE", f"/api/v1/devices/{victim.reference}"),
                ("POST", f"/api/v1/devices/{victim.reference}/disable"),
                ("POST", f"/api/v1/devices/{victim.reference}/rotate-credentials"),
            ):
                assert operator.request(method, path).status_code in {404, 405}, path
            for topic in victim.topics.values():
                sent = operator.post("/api/v1/mqtt/publish", json={"topic": topic, "payload": {}})
                assert sent.status_code == 403, sent.text
    live.publish(victim.topics["telemetry"], "{}")
    assert live.connected
    attacked.lives(victim)


@pytest.mark.attack("a fleet's MQTT_USERNAME becomes the platform's account")
@pytest.mark.parametrize("name", ["MQTT_USERNAME", "MQTT_PASSWORD"])
def test_a_fleets_variables(attacked: Attacked, name: str, tmp_path: Path) -> None:
    ports = {
        f"MOORING_{one}_PORT": str(free_port()) for one in ("HTTP", "MQTT", "MQTT_TLS", "MQTT_WS")
    }
    env = ports | {"MOORING_AUTH_MODE": attacked.combination.authority, name: "esp32-lamp"}
    ran = Cli(tmp_path / "data", env)("up", expect=None)
    assert ran.rc != 0
    assert name in ran.stderr
    assert not (tmp_path / "data" / "secrets.json").exists()
