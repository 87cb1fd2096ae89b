"""A device or a user who wants to see, stop or falsify a job of another tenant."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import httpx
import pytest

from tests.attacks.stand import ATTACKER, VICTIM, Attacked
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def attack_settings() -> dict[str, str]:
    """A platform for those who flood: for half a minute after it, without the plugin, nobody
    watches denials, which other attacks wait for."""
    return {"MOORING_WATCH_DENIALS": "off"}


def start(client: httpx.Client, tenant: str, devices: list[str], **more: Any) -> httpx.Response:
    return client.post(
        "/api/v1/jobs",
        json={
            "kind": "command",
            "what": {"name": "open", "reply_timeout_seconds": 600},
            "tenant": tenant,
            "selection": {"devices": devices},
            "pace_per_second": 0,
            **more,
        },
    )


def job(admin: httpx.Client, number: int) -> dict[str, Any]:
    found: dict[str, Any] = admin.get(f"/api/v1/jobs/{number}").json()
    return found


@pytest.mark.attack("answers for a device of another tenant's job, again and again")
def test_a_flood_of_replies_changes_no_job_of_another(attacked: Attacked) -> None:
    victim, attacker = attacked.victim(), attacked.attacker()
    there = attacked.client(victim)
    there.subscribe(f"mooring/victim/{victim.device}/command/+", qos=1)
    with attacked.admin() as admin:
        made = start(admin, VICTIM, [victim.device], stop_after=1).json()["number"]
        (message,) = there.collect()
        uid = json.loads(message.payload)["id"]
        liar = attacked.client(attacker)
        before = attacked.platform.stored(attacker)
        for topic in (attacker.topics["reply"], victim.topics["reply"]):
            for _ in range(200):
                with contextlib.suppress(OSError):
                    liar.publish(topic, json.dumps({"id": uid, "ok": False, "error": "no"}))
        wait_until(lambda: attacked.platform.stored(attacker) > before, "the lies to be stored")
        assert (job(admin, made)["state"], job(admin, made)["counts"]["failed"]) == ("running", 0)
        there.publish(victim.topics["reply"], json.dumps({"id": uid, "ok": True}))
        wait_until(lambda: job(admin, made)["state"] == "done", "the job to be done")
        assert job(admin, made)["counts"]["succeeded"] == 1


@pytest.mark.attack("sees, stops or starts jobs of another tenant")
def test_a_user_of_another_tenant_sees_and_stops_nothing(attacked: Attacked) -> None:
    victim, own = attacked.victim(), attacked.attacker()
    with attacked.admin() as admin:
        made = start(admin, VICTIM, [victim.device]).json()["number"]
        key = admin.post(
            "/api/v1/api-keys", json={"name": f"spy-{made}", "tenant": ATTACKER, "role": "admin"}
        ).json()["key"]
        with attacked.http(headers={"Authorization": f"Bearer {key}"}) as spy:
            assert victim.device not in spy.get("/api/v1/jobs?limit=500").text
            path = f"/api/v1/jobs/{made}"
            assert spy.get(path).status_code == spy.get(f"{path}/targets").status_code == 404
            for verb in ("pause", "resume", "cancel", "retry"):
                assert spy.post(f"{path}/{verb}").status_code == 404, verb
            assert spy.patch(path, json={"pace_per_second": 1}).status_code == 404
            assert start(spy, VICTIM, [victim.device]).status_code == 404
            # A device of another tenant cannot be selected, and looks as if it did not exist.
            missing = start(spy, ATTACKER, ["nobody"])
            theirs = start(spy, ATTACKER, [own.device, victim.device])
            assert theirs.status_code == missing.status_code == 404
            assert theirs.json()["code"] == missing.json()["code"]
            query = spy.post(
                "/api/v1/jobs",
                json={
                    "kind": "command",
                    "what": {"name": "open"},
                    "selection": {"where": f"name = {victim.device} or online or not online"},
                },
            )
            assert query.status_code in {202, 422}, query.text
            if query.status_code == 202:
                number = query.json()["number"]
                wait_until(
                    lambda: job(admin, number)["state"] != "preparing", "the devices to be listed"
                )
                assert victim.device not in spy.get(f"/api/v1/jobs/{number}/targets").text
        assert job(admin, made)["state"] in ("preparing", "running", "done")


@pytest.mark.attack("a large job keeps another tenant waiting")
def test_another_tenant_has_its_turn(attacked: Attacked) -> None:
    """Unpaced and with many devices that never answer; the neighbour's command goes out."""
    victim = attacked.victim()
    there = attacked.client(victim)
    there.subscribe(f"mooring/victim/{victim.device}/command/+", qos=1)
    with attacked.admin() as admin:
        names = [attacked.attacker().device for _ in range(6)]
        greedy = [start(admin, ATTACKER, names) for _ in range(3)]
        assert all(one.status_code in {202, 409} for one in greedy)
        answer = admin.post(f"/api/v1/devices/{victim.reference}/commands", json={"name": "open"})
        assert answer.status_code == 202
        assert len(there.collect()) == 1
        made = start(admin, VICTIM, [victim.device]).json()["number"]
        assert len(there.collect()) == 1
        assert job(admin, made)["counts"]["handed_over"] == 1
