from __future__ import annotations

from mooring.presence.attention import Attention


def test_a_quiet_fleet_is_listened_to_and_a_burst_ends_it_at_once() -> None:
    attention = Attention()
    assert attention.decide(10, 0)
    assert attention.decide(250, 1)
    assert not attention.decide(301, 2)


def test_it_comes_back_after_a_while_of_calm() -> None:
    attention = Attention(calm_seconds=30)
    attention.decide(1000, 0)
    assert not attention.decide(50, 10)
    assert not attention.decide(50, 39)
    assert attention.decide(50, 40)


def test_a_rate_in_between_neither_ends_nor_begins_it() -> None:
    attention = Attention(calm_seconds=30)
    attention.decide(1000, 0)
    assert not attention.decide(50, 10)
    assert not attention.decide(200, 20)
    assert not attention.decide(50, 41)
    assert attention.decide(50, 71)
