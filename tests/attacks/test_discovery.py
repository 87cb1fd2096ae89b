"""Registrations: in other names and tenants, by the thousand, and of names that are none."""

from __future__ import annotations

import json
import secrets

import httpx
import pytest

from tests.attacks.stand import VICTIM, Attacked
from tests.support.mqtt import MqttClient
from tests.support.platform import Login
from tests.support.waiting import wait_until

REGISTER, RESPONSE = "iotflow/discovery/register", "iotflow/discovery/response"
FLOOD = 3_000  # the whole list of a tenant, three times


@pytest.fixture(scope="module")
def attack_settings() -> dict[str, str]:
    return {"MOORING_CLAIM_ATTEMPTS_PER_MINUTE": "100"}


def newcomer(attacked: Attacked, *read: str, write: str = f"{REGISTER}/+") -> MqttClient:
    """A program with a login of the broker that may register any name."""
    name = f"newcomer-{secrets.token_hex(3)}"
    words = [word for one in read for word in ("--read", one)]
    made = attacked.platform.cli(
        "broker", "users", "create", name, "--write", write, *words, "--json"
    ).json()
    wait_until(lambda: not attacked.platform.waiting(), "the broker to accept the newcomer")
    login = Login("", "", name, made["password"], name, {})
    return attacked.client(login)


def unknown(http: httpx.Client, tenant: str = "default") -> dict[str, dict[str, object]]:
    found: list[dict[str, object]] = []
    cursor = ""
    while True:
        page = http.get(f"/api/v1/discovery?tenant={tenant}&limit=500{cursor}").json()
        found += page["items"]
        if not page["next_cursor"]:
            return {str(one["name"]): one for one in found}
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.attack("registering in the name of other devices")
def test_in_other_names(attacked: Attacked) -> None:
    attacker = attacked.attacker(dialect="iotflow")
    victim = attacked.victim(dialect="iotflow")
    there = attacked.device("default", dialect="iotflow")
    with attacked.admin() as http:
        own = f"/api/v1/devices/{victim.reference}/attributes"
        assert http.patch(own, json={"type": "theirs"}).is_success
        before = http.get(own).json()
        client = attacked.client(attacker)
        about = json.dumps({"device_type": "stolen", "firmware_version": "6.6"})
        # The broker drops what is not the device's own topic.
        for name in (victim.device, there.device, f"new-{victim.device}", "+", "#"):
            if name not in "+#":
                client.publish(f"{REGISTER}/{name}", about)
        for topic in (f"{RESPONSE}/{victim.device}", f"{RESPONSE}/+", f"{REGISTER}/+"):
            if attacked.combination.authority == "password_file":
                client.subscribe(topic)  # accepted by Mosquitto, and brings nothing of others
                continue
            with pytest.raises(AssertionError):
                client.subscribe(topic)
        client.subscribe(f"{RESPONSE}/{attacker.device}")
        client.publish(f"{REGISTER}/{attacker.device}", about)
        said = json.loads(client.collect()[0].payload)
        assert said["status"] == "registered"
        assert http.get(own).json() == before
        assert f"new-{victim.device}" not in unknown(http)
    attacked.lives(victim)


@pytest.mark.attack("registering what exists, with a login that may register any name")
def test_what_exists(attacked: Attacked) -> None:
    """Nothing that a person said changes; no device gets other credentials; nobody is told more
    than the state of a name."""
    victim = attacked.victim(dialect="iotflow")
    client = newcomer(attacked, f"{RESPONSE}/+")
    client.subscribe(f"{RESPONSE}/+")
    with attacked.admin() as http:
        own = f"/api/v1/devices/{victim.reference}/attributes"
        assert http.patch(own, json={"type": "theirs"}).is_success
        shown = http.get(f"/api/v1/devices/{victim.reference}").json()
        fresh = f"fresh-{secrets.token_hex(3)}"
        for name in (victim.device, fresh):
            for _ in range(20):
                client.publish(f"{REGISTER}/{name}", '{"device_type":"stolen","tenant":"attacker"}')
        wait_until(lambda: fresh in unknown(http), "the new name to be listed")
        said = {(one.topic, json.loads(one.payload)["status"]) for one in client.collect(2)}
        assert said <= {
            (f"{RESPONSE}/{victim.device}", "registered"),
            (f"{RESPONSE}/{fresh}", "pending"),
        }
        assert http.get(own).json()["attributes"]["type"] == "theirs"
        after = http.get(f"/api/v1/devices/{victim.reference}").json()
        for key in ("device", "tenant", "username", "client_id", "enabled", "groups", "label"):
            assert after[key] == shown[key], key
        assert victim.device not in unknown(http)
        # No code was made, and none can be guessed from an answer.
        assert attacked.platform.rows("SELECT count(*) FROM claim_codes")[0][0] == 0
        assert http.get(f"/api/v1/devices/{fresh}").status_code == 404
    attacked.lives(victim)


@pytest.mark.attack("a flood of registrations")
def test_flood(attacked: Attacked) -> None:
    """It fills one list, displaces nothing of another tenant, and leaves commands room."""
    victim = attacked.victim(dialect="smarthome")
    honest = f"honest-{secrets.token_hex(3)}"
    other = newcomer(attacked, write=f"smarthome/{VICTIM}/{honest}/telemetry")
    other.publish(f"smarthome/{VICTIM}/{honest}/telemetry", '{"sensors":{"temperature":1}}')
    before = attacked.platform.counted("discovery_displaced")
    attacked.device("default", dialect="iotflow")  # the tenant exists
    client = newcomer(attacked)
    mark = secrets.token_hex(3)
    for number in range(FLOOD):
        client.publish(f"{REGISTER}/{mark}-{number}", "{}", qos=0)
    last = f"{mark}-last"
    client.publish(f"{REGISTER}/{last}", "{}")

    with attacked.admin() as http:

        def trimmed() -> bool:
            found = unknown(http)
            return len(found) <= 1000 and (
                attacked.platform.counted("discovery_displaced") > before
            )

        wait_until(trimmed, "the list to be short again")
        assert honest in unknown(http, VICTIM)
        answer = http.post(f"/api/v1/devices/{victim.reference}/commands", json={"name": "restart"})
        assert answer.status_code == 202, answer.text
        # A name that registers now is listed, whatever came before it.
        late = f"late-{secrets.token_hex(3)}"

        def registered() -> bool:
            client.publish(f"{REGISTER}/{late}", "{}")
            return late in unknown(http)

        wait_until(registered, "a later device to be listed")
    [[downlinks]] = attacked.platform.rows(
        "SELECT count(*) FROM downlinks WHERE origin = ?", "discovery"
    )
    assert downlinks < 1000
    attacked.lives(attacked.victim())


@pytest.mark.attack("registrations with hostile names and payloads")
def test_hostile_strings(attacked: Attacked) -> None:
    client = newcomer(attacked, f"{RESPONSE}/+")
    client.subscribe(f"{RESPONSE}/+")
    mark = secrets.token_hex(3)
    names = [
        f"{mark}{word}"
        for word in (
            "' OR 1=1 --",
            "<script>",
            "{tenant}",
            "%u",
            " ",
            "\N{RIGHT-TO-LEFT OVERRIDE}",
            "x" * 127,
            "x" * 400,
            "\N{HANGUL FILLER}",
        )
    ]
    payloads = [
        b"",
        b"\xff\xfe",
        b"[" * 2000,
        b"{" + b'"a":{' * 500,
        b'{"device_type":"' + b"x" * 5000 + b'"}',
        json.dumps({f"k{n}": "\x00\ud800" for n in range(50)}).encode(),
        b'{"device_id":"other","device_type":{"a":[1]},"tags":[1e999]}',
    ]
    for name in names:
        for payload in payloads:
            client.publish(f"{REGISTER}/{name}", payload)
    good = f"{mark}-good"
    client.publish(f"{REGISTER}/{good}", '{"device_type":"boiler"}')
    with attacked.admin() as http:
        wait_until(lambda: good in unknown(http), "the good one to be listed")
        found = {name: one for name, one in unknown(http).items() if name.startswith(mark)}
        assert found[good]["about"] == {"device_type": "boiler"}
        for name in found:
            answer = http.post(
                f"/api/v1/discovery/{httpx.URL('/').copy_with(path=name).path}/accept", json={}
            )
            assert answer.status_code in (201, 404, 405, 422), (name, answer.text)
    text = attacked.platform.cli("discovery", "list", "--limit", "500").stdout
    assert "\x1b" not in text
    attacked.lives(attacked.victim())


@pytest.mark.attack("a fleet code in the wrong hands")
def test_fleet_code(attacked: Attacked) -> None:
    victim = attacked.device("default", f"cam-{secrets.token_hex(3)}", dialect="iotflow")
    foreign = attacked.victim(f"cam-{secrets.token_hex(3)}", dialect="iotflow")
    with attacked.admin() as http:
        rule = {"dialect": "iotflow", "pattern": "cam-*", "action": "accept", "per_day": 2}
        code = http.post("/api/v1/discovery-rules", json=rule).json()["code"]
    with attacked.http() as nobody:

        def claim(hardware: str, with_code: str = code) -> httpx.Response:
            given = {"code": with_code, "hardware_id": hardware}
            return nobody.post("/api/v1/claims", json=given)

        wrong = claim("cam-1", "A" * 26)
        assert wrong.status_code == 404
        for name in (victim.device, foreign.device, "boiler-1", f"CAM-{victim.device}"):
            answer = claim(name)
            assert answer.status_code == 404, name
            assert answer.json()["detail"] == wrong.json()["detail"]
        taken = [claim(f"cam-new-{n}-{secrets.token_hex(2)}") for n in range(5)]
        assert sum(answer.is_success for answer in taken) == 2
        assert {a.json()["code"] for a in taken if not a.is_success} == {"discovery_quota_used"}
    attacked.lives(victim)
    attacked.lives(foreign)
