"""What others do to the verdict of ``device why``, and what each authority can say of a device."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.attacks.stand import Attacked
from tests.support.mqtt import Refused
from tests.support.whys import SITUATIONS, Whys, table

# The rest is told apart by the plugin alone, or is the database's own word; the plugin's are in
# tests/acceptance/test_device_why.py.
TOLD = (
    "never_reached",
    "disconnected",
    "broker_down",
    "change_pending",
    "takeover_loop",
    "denied_topic",
    "oversize",
    "limited",
    "no_password",
    "wrong_password",
    "wrong_password_old",
)


@pytest.fixture(scope="module")
def whys(attacked_platform: Attacked, tmp_path_factory: pytest.TempPathFactory) -> Whys:
    return Whys(attacked_platform.platform, tmp_path_factory.mktemp("why"))


@pytest.mark.attack("a verdict that the authority cannot know is not made up")
@pytest.mark.parametrize("situation", TOLD)
def test_a_verdict_of_each_authority(whys: Whys, attacked: Attacked, situation: str) -> None:
    SITUATIONS[situation](whys, table()[situation][attacked.combination.authority])
    whys.end()


@pytest.mark.attack("others forge the verdict on a device")
def test_others_forge_no_verdict(whys: Whys, attacked: Attacked) -> None:
    """Logins under its name and client id, messages to its topics: while it is connected, and after
    its last session, during which they were made."""
    attacker, victim = attacked.attacker(), attacked.victim()
    client = attacked.client(victim)
    client.publish(victim.topics["telemetry"], b'{"values": {"t": 1}}')
    whys.becomes(victim, "well")
    for options in (
        {
            "username": victim.username,
            "password": "guess",
            "client_id": "x",
        },
        {"username": victim.username, "password": None},
        {
            "username": victim.username,
            "password": "guess",
            "client_id": victim.client_id,
        },
        {"client_id": victim.username},
    ):
        with suppress(Refused):
            attacked.client(attacker, **options)
        assert whys.why(victim)["code"] == "well"
    hostile = attacked.client(attacker)
    for topic in (victim.topics["telemetry"], victim.topics["status"]):
        hostile.publish(topic, b"{not json")
    hostile.publish(attacker.topics["telemetry"], b"x" * 1_060_000, qos=0)
    attacked.log_is_read()
    assert whys.why(victim)["code"] == "well"
    client.disconnect()
    whys.becomes(victim, "disconnected")
