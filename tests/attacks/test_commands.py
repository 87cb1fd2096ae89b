"""A device that wants to pass for another in what it answers, or to be sent what is not its own."""

from __future__ import annotations

import contextlib
import json

import httpx
import pytest

from tests.attacks.stand import Attacked
from tests.support.mqtt import MqttClient, Refused
from tests.support.waiting import wait_until


def sent_command(admin: httpx.Client, device: str, name: str = "open") -> int:
    answer = admin.post(
        f"/api/v1/devices/{device}/commands", json={"name": name, "reply_timeout_seconds": 600}
    )
    assert answer.status_code == 202, answer.text
    return int(answer.json()["number"])


def state(admin: httpx.Client, number: int) -> str:
    return str(admin.get(f"/api/v1/commands/{number}").json()["state"])


def listening(attacked: Attacked, login: object, topic: str) -> MqttClient:
    client = attacked.client(login)  # type: ignore[arg-type]
    client.subscribe(topic, qos=1)
    return client


@pytest.mark.attack("answers another device's command")
def test_the_answer_of_another_device_counts_for_nothing(attacked: Attacked) -> None:
    victim, attacker = attacked.victim(), attacked.attacker()
    there = listening(attacked, victim, f"mooring/victim/{victim.device}/command/+")
    with attacked.admin() as admin:
        number = sent_command(admin, victim.reference)
        (message,) = there.collect()
        uid = json.loads(message.payload)["id"]
        wait_until(lambda: state(admin, number) == "sent", "the command to be sent")
        liar = attacked.client(attacker)
        before = attacked.platform.stored(attacker)
        liar.publish(attacker.topics["reply"], json.dumps({"id": uid, "ok": True}))
        liar.publish(victim.topics["reply"], json.dumps({"id": uid, "ok": True}))
        wait_until(lambda: attacked.platform.stored(attacker) > before, "the lie to be stored")
        assert state(admin, number) == "sent"
        there.publish(victim.topics["reply"], json.dumps({"id": uid, "ok": True}))
        wait_until(lambda: state(admin, number) == "done", "the answer to count")


@pytest.mark.attack("reads another device's command")
def test_a_command_reaches_its_device_alone(attacked: Attacked) -> None:
    victim, attacker = attacked.victim(), attacked.attacker()
    spy = attacked.client(attacker)
    for topic in ("#", f"mooring/victim/{victim.device}/command/+"):
        with contextlib.suppress(Refused):
            spy.subscribe(topic, qos=1)
    there = listening(attacked, victim, f"mooring/victim/{victim.device}/command/+")
    with attacked.admin() as admin:
        number = sent_command(admin, victim.reference)
        assert there.collect()
        wait_until(lambda: state(admin, number) == "sent", "the command to be sent")
    assert spy.waiting() == []
