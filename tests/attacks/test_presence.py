"""Devices that lie about presence: they change no other one's, and fill no history."""

from __future__ import annotations

import pytest

from tests.attacks.stand import Attacked
from tests.support.waiting import wait_until


@pytest.mark.attack("presence of another device, and a history without end")
def test_presence_is_ones_own(attacked: Attacked) -> None:
    attacker, victim = attacked.attacker(), attacked.victim()
    there = attacked.platform.connect(victim)
    there.publish(victim.topics["status"], '{"online":true}')
    with attacked.admin() as http:

        def state(reference: str) -> str:
            return str(http.get(f"/api/v1/devices/{reference}/presence").json()["state"])

        wait_until(lambda: state(victim.reference) == "online", "the victim to be online")
        will = (attacker.topics["status"], b'{"online":false}', 1, False)
        for number in range(40):
            client = attacked.platform.connect(attacker, will=will)
            for word in ("false", "true", '"updating"', "1e999", "[]"):
                client.publish(attacker.topics["status"], f'{{"online":{word},"n":{number}}}')
            # In the victim's name: the broker rejects it, or it is the attacker's own.
            client.publish(victim.topics["status"], '{"online":false}')
            spoof = f'{{"online":false,"device":"{victim.device}"}}'
            client.publish(attacker.topics["status"], spoof)
            client.disconnect()
        wait_until(
            lambda: state(attacker.reference) in ("offline", "flapping"), "the attacker to be gone"
        )
        said = http.get(f"/api/v1/devices/{attacker.reference}/presence").json()
        assert len(said["history"]) < 20
        assert state(victim.reference) == "online"
        theirs = http.get(f"/api/v1/devices/{victim.reference}/presence").json()
        assert [one["state"] for one in theirs["history"]] == ["online"]
    attacked.lives(victim)
