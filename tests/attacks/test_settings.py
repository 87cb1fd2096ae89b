"""Settings of another device: read, replaced, refused in its name, seen over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.attacks.stand import Attacked
from tests.support.platform import Login
from tests.support.waiting import wait_until

SECRET = "quagga-4711"


def settings(attacked: Attacked, login: Login) -> dict[str, Any]:
    with attacked.admin() as admin:
        found: dict[str, Any] = admin.get(f"/api/v1/devices/{login.reference}/settings").json()
    return found


@pytest.fixture
def victim(attacked: Attacked) -> Login:
    """A device whose settings the broker has."""
    login = attacked.victim()
    with attacked.admin() as admin:
        path = f"/api/v1/devices/{login.reference}/settings"
        answer = admin.patch(path, json={"interval_s": 30, "pin": SECRET})
        assert answer.status_code == 200, answer.text
    wait_until(lambda: settings(attacked, login)["state"] == "sent", "the broker to have it")
    return login


@pytest.mark.attack("replaces settings on the broker")
def test_no_device_publishes_settings(attacked: Attacked, victim: Login) -> None:
    attacker = attacked.attacker()
    forged = json.dumps({"version": 99, "config": {"interval_s": 1}})
    for login in (attacker, victim):  # not even its own
        client = attacked.client(login)
        client.publish(victim.topics["config"], forged, qos=1, retain=True)
        client.disconnect()
    received = attacked.client(victim)
    received.subscribe(victim.topics["config"])
    document = json.loads(received.collect()[0].payload)
    assert document["config"] == {"interval_s": 30, "pin": SECRET}


@pytest.mark.attack("refuses settings in another device's name")
def test_no_report_for_another_device(attacked: Attacked, victim: Login) -> None:
    attacker = attacked.attacker()
    refusal = {"version": 1, "ok": False, "error": "no", "device": victim.device}
    client = attacked.client(attacker)
    for topic in (victim.topics["config_reported"], attacker.topics["config_reported"]):
        for number in range(6):
            client.publish(topic, json.dumps({**refusal, "n": number}), qos=1)
    own = "one of its own, which shows that all were looked at"
    wait_until(lambda: attacked.platform.stored(attacker) >= 6, own)
    found = settings(attacked, victim)
    assert (found["state"], found["refusals"]) == ("sent", 0)


@pytest.mark.attack("reads another tenant's settings over HTTP")
def test_no_other_tenant_over_http(attacked: Attacked, victim: Login) -> None:
    with attacked.admin() as admin:
        new = {"name": f"spy-{victim.device}", "role": "admin", "tenant": "attacker"}
        key = admin.post("/api/v1/api-keys", json=new).json()["key"]
    attacked.attacker()  # the tenant exists
    with attacked.http(headers={"Authorization": f"Bearer {key}"}) as spy:
        for method, path, body in (
            ("GET", f"/api/v1/devices/{victim.reference}/settings", None),
            ("GET", f"/api/v1/devices/{victim.reference}/settings/history", None),
            ("PATCH", f"/api/v1/devices/{victim.reference}/settings", {"x": 1}),
            ("POST", f"/api/v1/devices/{victim.reference}/settings/adopt", None),
            ("GET", "/api/v1/settings/tenant/victim", None),
            ("PATCH", "/api/v1/settings/tenant/victim", {"x": 1}),
            ("PATCH", "/api/v1/settings/group/g?tenant=victim", {"x": 1}),
            ("PUT", "/api/v1/settings/tenant/victim/schema", {}),
            ("GET", "/api/v1/settings?tenant=victim", None),
        ):
            answer = spy.request(method, path, json=body)
            assert answer.status_code == 404, f"{method} {path}: {answer.text}"
            assert SECRET not in answer.text
    assert settings(attacked, victim)["version"] == 1
