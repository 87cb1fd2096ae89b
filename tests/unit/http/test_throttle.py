"""How often a login may fail."""

from __future__ import annotations

import pytest

from mooring.people import throttle
from mooring.people.throttle import ALL_FACTOR, WINDOW_MS, Throttle


def test_an_address_waits_after_its_failures_and_others_do_not() -> None:
    limit = Throttle(3)
    assert [limit.begin("10.0.0.1", at) for at in (0, 10, 20)] == [0, 0, 0]
    assert limit.begin("10.0.0.1", 30) == WINDOW_MS - 30
    assert limit.begin("10.0.0.2", 30) == 0


def test_the_wait_ends_when_the_oldest_failure_is_a_minute_old() -> None:
    limit = Throttle(2)
    limit.begin("a", 0)
    limit.begin("a", 1000)
    assert limit.begin("a", WINDOW_MS - 1) == 1
    assert limit.begin("a", WINDOW_MS) == 0
    assert limit.begin("a", WINDOW_MS + 1) == 999


def test_a_refused_attempt_does_not_prolong_the_wait() -> None:
    limit = Throttle(1)
    limit.begin("a", 0)
    for at in range(1, 50):
        assert limit.begin("a", at) == WINDOW_MS - at
    assert limit.begin("a", WINDOW_MS) == 0


def test_success_takes_back_what_was_counted() -> None:
    limit = Throttle(2)
    for at in range(100):
        assert limit.begin("a", at) == 0
        limit.succeeded("a", at)


def test_many_attempts_at_once_cannot_slip_through() -> None:
    """All begin before any has been answered."""
    limit = Throttle(5)
    assert [limit.begin("a", 0) for _ in range(20)].count(0) == 5


def test_all_together_are_limited_but_who_has_logged_in_before_is_let_in() -> None:
    limit = Throttle(2)
    limit.begin("10.9.9.9", 0)
    limit.succeeded("10.9.9.9", 0)
    for number in range(2 * ALL_FACTOR):
        assert limit.begin(f"10.0.0.{number}", 1) == 0
    assert limit.begin("10.0.1.1", 2) > 0
    assert limit.begin("10.9.9.9", 2) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("unix", "unix", True),
    ],
)
def test_an_ipv6_network_counts_as_one(one: str, other: str, same: bool) -> None:
    limit = Throttle(1)
    limit.begin(one, 0)
    assert (limit.begin(other, 1) > 0) is same


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "ADDRESSES_MAX", 100)
    limit = Throttle(1)
    for number in range(1000):
        at = number * WINDOW_MS
        address = f"10.0.{number // 250}.{number % 250}"
        limit.begin(address, at)
        if number % 2:
            limit.succeeded(address, at)
    assert len(limit._failed) <= 100
    assert len(limit._known) <= 100
    assert len(limit._everyone) <= limit.all
