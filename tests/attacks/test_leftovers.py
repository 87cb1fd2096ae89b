"""What one tenant's device left on the broker must not reach the next device of that name."""

from __future__ import annotations

import secrets

import pytest

from tests.attacks.stand import Attacked
from tests.support.platform import Login


def settings_topic(login: Login) -> str:
    return login.topics.get("config") or login.topics["command"]


@pytest.mark.attack("takes over a removed device's name, queue and settings")
@pytest.mark.parametrize("dialect", ["iotflow", "drivesafe", "smarthome"])
def test_a_name_that_is_used_again_finds_nothing(attacked: Attacked, dialect: str) -> None:
    name = f"left-{secrets.token_hex(3)}"
    old = attacked.victim(name, dialect=dialect)
    device = attacked.client(old, clean=False)
    device.subscribe(settings_topic(old))
    device.publish(old.topics["telemetry"], "{}", qos=1, retain=True)
    device.disconnect()
    platform = attacked.platform.connect()  # REST keeps no command at the broker
    for retain in (False, True):
        platform.publish(settings_topic(old), '{"wifi": "secret"}', qos=1, retain=retain)
    platform.disconnect()
    attacked.platform.cli("device", "remove", old.reference, "--yes")
    new = attacked.attacker(name, dialect=dialect)
    assert new.username == old.username
    client = attacked.client(new, clean=False)
    assert not client.session_present
    client.subscribe(settings_topic(new))
    client.publish(new.topics["telemetry"], '{"own": 1}', qos=1)
    assert client.waiting() == []
    attacked.lives(new)
