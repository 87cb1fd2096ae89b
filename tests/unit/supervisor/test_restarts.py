from __future__ import annotations

from itertools import pairwise

from mooring.devices.reconcile import backoff_ms
from mooring.supervisor.restarts import PAUSE_MOST, restart_pause


def test_who_dies_young_again_and_again_waits_longer_up_to_a_bound() -> None:
    pauses = [restart_pause(n) for n in range(40)]
    assert all(a <= b for a, b in pairwise(pauses))
    assert pauses[0] < 1
    assert pauses[-1] == PAUSE_MOST


def test_the_broker_is_told_again_ever_more_patiently() -> None:
    waits = [backoff_ms(n) for n in range(40)]
    assert waits[0] == 200
    assert all(a <= b for a, b in pairwise(waits))
    assert waits[-1] == 30_000
