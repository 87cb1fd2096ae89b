"""Devices that report attributes: they change their own alone, and never what a person said."""

from __future__ import annotations

import json

import pytest

from tests.attacks.stand import Attacked
from tests.support.waiting import wait_until


@pytest.mark.attack("attributes that a device makes up")
def test_made_up_attributes(attacked: Attacked) -> None:
    attacker, victim = attacked.attacker(), attacked.victim()
    with attacked.admin() as http:
        for login, said in ((attacker, {"type": "owned"}), (victim, {"type": "theirs"})):
            answer = http.patch(f"/api/v1/devices/{login.reference}/attributes", json=said)
            assert answer.is_success, answer.text
        device = attacked.platform.connect(attacker)
        topic = attacker.topics["status"]
        wrong = {"type": "stolen", "tags": [["x"]], "position": {"lat": 1e300, "lon": 0}}
        for number in range(50):
            about = {**wrong, f"free{number}": number, "board": f"b{number}"}
            device.publish(topic, json.dumps({"online": True, "meta": about}))
        # In the name of another device: what counts is the topic, which the broker has checked.
        spoof = {"device": victim.username, "online": True, "meta": {"type": "stolen"}}
        device.publish(topic, json.dumps(spoof))
        device.publish(topic, json.dumps({"online": True, "meta": {"board": "last"}}))
        own = f"/api/v1/devices/{attacker.reference}/attributes"

        def reported() -> bool:
            return bool(http.get(own).json()["attributes"].get("hardware") == "last")

        wait_until(reported, "the last report to be stored")
        assert http.get(own).json()["attributes"] == {"type": "owned", "hardware": "last"}
        theirs = http.get(f"/api/v1/devices/{victim.reference}/attributes").json()
        assert theirs["attributes"] == {"type": "theirs"}
        # A search is bounded, whatever it asks for.
        for query in (
            "where=" + "a%3Db&where=" * 20 + "a%3Db",
            "sort=%00",
            "where=%27%3Dx",
            "where=a%3D%25&sort=-b",
            "sort=a&cursor=WzEsInQiLDld",
        ):
            assert http.get(f"/api/v1/devices?{query}").status_code in (200, 422), query
    attacked.lives(victim)
