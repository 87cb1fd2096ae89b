"""A device that floods its owner with alerts, and a tenant that reaches for another's rules."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.attacks.stand import Attacked
from tests.support.waiting import wait_until

OPEN_MOST = 50  # alerts_open_max_per_device


@pytest.fixture(scope="module")
def attack_settings() -> dict[str, str]:
    """A platform for those who flood: for half a minute after it, without the plugin, nobody
    watches denials, which other attacks wait for."""
    return {"MOORING_WATCH_DENIALS": "off"}


def alerts_of(admin: httpx.Client, device: str) -> list[dict[str, object]]:
    found = admin.get(f"/api/v1/devices/{device}/alerts", params={"limit": 500})
    assert found.status_code == 200, found.text
    return list(found.json()["items"])


@pytest.mark.attack("raises thousands of alerts")
def test_a_flood_of_alerts_costs_its_own_device_alone(attacked: Attacked) -> None:
    victim, attacker = attacked.victim(), attacked.attacker()
    flooder, honest = attacked.client(attacker), attacked.client(victim)
    before = attacked.platform.stored(attacker)
    for number in range(1_000):
        name = {0: "\0", 1: "x" * 3000, 2: "<script>alert(1)</script>"}.get(number, f"n{number}")
        body = {"alert": name, "severity": "critical", "message": name}
        flooder.publish(attacker.topics["alert"], json.dumps(body))
    honest.publish(victim.topics["alert"], json.dumps({"alert": "leak"}))
    with attacked.admin() as admin:
        wait_until(lambda: alerts_of(admin, victim.reference), "the honest alert", timeout=60)
        wait_until(
            lambda: attacked.platform.stored(attacker) - before > OPEN_MOST,
            "the flood to be stored",
            timeout=60,
        )
        assert len(alerts_of(admin, attacker.reference)) <= OPEN_MOST
        assert [one["name"] for one in alerts_of(admin, victim.reference)] == ["leak"]
        number = alerts_of(admin, victim.reference)[0]["number"]
        honest.publish(victim.topics["alert_cleared"], json.dumps({"alert": "leak"}))
        wait_until(
            lambda: admin.get(f"/api/v1/alerts/{number}").json()["state"] == "cleared",
            "the honest alert to be cleared",
            timeout=60,
        )


@pytest.mark.attack("clears another device's alert")
def test_a_device_clears_no_alert_of_another_one(attacked: Attacked) -> None:
    victim, attacker = attacked.victim(), attacked.attacker()
    liar, honest = attacked.client(attacker), attacked.client(victim)
    honest.publish(victim.topics["alert"], json.dumps({"alert": "smoke"}))
    with attacked.admin() as admin:
        wait_until(lambda: alerts_of(admin, victim.reference), "the alert", timeout=60)
        before = attacked.platform.stored(attacker)
        liar.publish(victim.topics["alert_cleared"], json.dumps({"alert": "smoke"}))
        liar.publish(attacker.topics["alert_cleared"], json.dumps({"alert": "smoke"}))
        wait_until(lambda: attacked.platform.stored(attacker) > before, "the lie", timeout=60)
        (alert,) = alerts_of(admin, victim.reference)
        assert alert["state"] == "raised"
