"""Where clients have the ids they send: what cannot be prevented there is noticed."""

from __future__ import annotations

import pytest

from tests.attacks.stand import Attacked, Combination
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def attack_settings(combination: Combination) -> dict[str, str]:
    if combination.authority != "dynamic_security":
        pytest.skip("the broker rejects or replaces such a client id")
    return {"MOORING_CLIENT_IDS": "own"}


@pytest.mark.attack("uses a client id of the platform unnoticed")
def test_a_client_id_of_the_platform_is_noticed(attacked: Attacked) -> None:
    attacker = attacked.attacker(dialect="drivesafe")
    assert attacked.login(attacker, "mooring-ingest").code == 0
    counter = "platform_ids_used_by_others"
    wait_until(lambda: attacked.platform.counted(counter) > 0, "it to be counted")
    attacked.lives(attacked.victim())
