"""Device names that mean something to the broker."""

from __future__ import annotations

import json

import pytest

from tests.attacks.stand import Attacked
from tests.support.mqtt import Refused

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
