"""Attacks on the retained topics that devices of all tenants read for firmware."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.attacks.stand import ATTACKER, VICTIM, Attacked
from tests.support.platform import Login
from tests.support.waiting import wait_until

TOPIC = "global/firmware/latest"
UNSIGNED = {"MOORING_FIRMWARE_SIGNATURES": "optional"}
FORGED = json.dumps({"version": "9.9.9", "url": "https://evil.example/x", "size": 1}).encode()


@pytest.fixture(scope="module")
def attack_settings() -> dict[str, str]:
    return UNSIGNED


@dataclass
class Announced:
    """A rollout that has proved its release, and the trap it was proved on."""

    rollout: int
    release: int
    image: bytes


def trap(attacked: Attacked, tenant: str) -> Login:
    name = f"t{secrets.token_hex(2)}"  # the offer has to fit into 256 bytes
    return attacked.device(tenant, name, dialect="mousetrap", mac=secrets.token_hex(6))


def proved(attacked: Attacked, admin: httpx.Client) -> Announced:
    """A release of the victim that one of its traps has installed in a rollout of one wave."""
    login, image = trap(attacked, VICTIM), secrets.token_bytes(500)
    said = {"product": f"p-{secrets.token_hex(3)}", "version": "1.5.0", "tenant": VICTIM}
    release = admin.post("/api/v1/firmware", json=said).json()["id"]
    place = f"/api/v1/firmware/{release}"
    assert admin.put(f"{place}/files/app.bin", content=image).status_code == 200
    assert admin.post(f"{place}/publish", json={"unsigned": True}).status_code == 200
    topic = login.topics["firmware"]
    with attacked.client(login) as device:
        device.subscribe(topic)
        given = {
            "release": str(release),
            "tenant": VICTIM,
            "selection": {"devices": [login.reference.partition(":")[2]]},
            "waves": [100],
            "gate_on": "installed",
            "soak_seconds": 0,
        }
        answer = admin.post("/api/v1/rollouts", json=given)
        assert answer.status_code == 202, answer.text
        number = answer.json()["number"]
        (message,) = device.collect(1, timeout=60)
        offer = json.loads(message.payload)
        report = {"id": offer["id"], "version": "1.5.0", "state": "success"}
        device.publish(login.topics["firmware_progress"], json.dumps(report).encode(), qos=1)
        wait_until(
            lambda: admin.get(f"/api/v1/rollouts/{number}").json()["state"] == "done",
            "the rollout to end",
            timeout=60,
        )
    return Announced(number, release, image)


def on_topic(attacked: Attacked, login: Login, number: int) -> list[dict[str, Any]]:
    """What a device that connects now finds on the topic."""
    with attacked.client(login) as device:
        device.subscribe(TOPIC)
        return [json.loads(one.payload) for one in device.collect(number, timeout=60)]


@pytest.mark.attack("a tenant's administrator announces firmware to every tenant")
def test_a_tenants_administrator(attacked: Attacked) -> None:
    with attacked.admin() as admin:
        found = proved(attacked, admin)
    made = attacked.platform.cli(
        *("key", "new", secrets.token_hex(4), "--role", "admin", "--tenant", VICTIM, "--json")
    )
    with attacked.http(headers={"X-API-Key": str(made.json()["secret"])}) as eve:
        place = f"/api/v1/rollouts/{found.rollout}"
        assert eve.get(place).status_code == 200
        for word in ("announce", "retract"):
            assert eve.post(f"{place}/{word}", json={}).status_code == 403
        assert eve.get("/api/v1/firmware-latest").status_code == 403
        rows = "SELECT 1 FROM firmware_latest WHERE job_id = ?"
        assert attacked.platform.rows(rows, found.rollout) == []


@pytest.mark.attack("a device publishes firmware to a topic that all devices read")
def test_a_device_publishes_to_everybody(attacked: Attacked) -> None:
    """Before anything is announced, while something is, and after it was withdrawn."""
    evil, good = trap(attacked, ATTACKER), trap(attacked, VICTIM)
    plain = attacked.attacker()

    def forge() -> None:
        for login in (evil, plain):
            with attacked.client(login) as device:
                device.publish(TOPIC, FORGED, qos=1, retain=True)

    forge()
    with attacked.admin() as admin:
        found = proved(attacked, admin)
        answer = admin.post(f"/api/v1/rollouts/{found.rollout}/announce", json={})
        assert answer.status_code == 200, answer.text
        (offer,) = on_topic(attacked, good, 1)  # the first and only one: nothing was forged
        assert offer["version"] == "1.5.0"
        forge()
        assert on_topic(attacked, good, 1) == [offer]
        # Every device reads the link, and it ends with the announcement.
        with attacked.http() as http:
            path = "/f/" + offer["url"].partition("/f/")[2]
            assert http.get(path).content == found.image
            place = f"/api/v1/firmware/{found.release}/withdraw"
            assert admin.post(place, json={"reason": "it hangs"}).status_code == 200
            gone = http.get(path)
            assert (gone.status_code, gone.json()["code"]) == (410, "update_over")
        rows = "SELECT 1 FROM desired WHERE topic = ?"
        wait_until(lambda: not attacked.platform.rows(rows, TOPIC), "the topic to be cleared")
    forge()
    assert cleared(attacked, good)


def cleared(attacked: Attacked, login: Login) -> bool:
    """Whether nothing is retained: what is would come before a message that is published later."""
    later = login.topics["command"].replace("+", "status")
    with attacked.client(login) as device, attacked.admin() as admin:
        device.subscribe(TOPIC, later)
        given = {"topic": later, "payload": json.dumps({"command": "status", "id": "x"})}
        answer = admin.post("/api/v1/mqtt/publish", json=given)
        assert answer.status_code < 300, answer.text
        (first,) = device.collect(1, timeout=60)
        return first.topic == later
