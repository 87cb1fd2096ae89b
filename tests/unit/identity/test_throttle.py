"""How often somebody may be wrong: each account, each address, all together; bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.identity import throttle as module
from mooring.identity.throttle import WINDOW_SECONDS, Limits, Throttle, Throttles
from mooring.settings import Settings


class Wait(Exception):
    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Stand:
    """A throttle whose time the test sets."""

    def __init__(self, limits: Limits) -> None:
        self.now = 0.0
        self.throttle = Throttle(limits, lambda: self.now)

    def attempt(self, address: str, account: str = "", *, right: bool = False) -> int:
        """Seconds to wait; 0: the attempt was made."""
        try:
            with self.throttle.attempt(address, account, refuse=Wait) as one:
                (one.succeeded if right else one.failed)()
        except Wait as exc:
            return exc.seconds
        return 0


def test_an_address_waits_after_its_failures_and_others_do_not() -> None:
    stand = Stand(Limits(3, 3))
    assert [stand.attempt("10.0.0.1") for _ in range(3)] == [0, 0, 0]
    assert stand.attempt("10.0.0.1", right=True) == WINDOW_SECONDS
    assert stand.attempt("10.0.0.2") == 0
    stand.now = WINDOW_SECONDS
    assert stand.attempt("10.0.0.1") == 0


def test_a_refused_attempt_does_not_prolong_the_wait() -> None:
    stand = Stand(Limits(1, 1))
    stand.attempt("a")
    for second in range(1, 60):
        stand.now = second
        assert stand.attempt("a") == WINDOW_SECONDS - second
    stand.now = WINDOW_SECONDS
    assert stand.attempt("a") == 0


def test_ones_own_success_removes_no_failure_of_another_account() -> None:
    """108 guesses at the administrator in 68 s, between logins of the attacker's own account."""
    stand = Stand(Limits(10, 10))
    guessed = 0
    for second in range(60):
        stand.now = float(second)
        stand.attempt("10.0.0.1", "eve", right=True)
        guessed += stand.attempt("10.0.0.1", "admin") == 0
        stand.attempt("10.0.0.1", "eve", right=True)
        guessed += stand.attempt("10.0.0.1", "admin") == 0
    assert guessed == 10


def test_an_account_that_was_right_from_an_address_is_counted_there_by_itself() -> None:
    """An attacker behind the same address does not keep its people out, and gains no guesses."""
    stand = Stand(Limits(3, 3))
    assert stand.attempt("10.0.0.1", "ada", right=True) == 0
    for name in ("x", "y", "z"):
        assert stand.attempt("10.0.0.1", name) == 0
    assert stand.attempt("10.0.0.1", "w") > 0
    assert stand.attempt("10.0.0.1", "ada", right=True) == 0
    assert [stand.attempt("10.0.0.1", "ada") for _ in range(4)] == [0, 0, 0, 60]


def test_one_account_from_many_addresses() -> None:
    """Shared limits never reach an address that was not wrong itself."""
    stand = Stand(Limits(2, 2, account=4, all=1000))
    for number in range(4):
        assert stand.attempt(f"10.0.0.{number}", "admin") == 0
    assert stand.attempt("10.0.0.1", "admin") > 0
    assert stand.attempt("10.0.0.1", "other") == 0
    assert stand.attempt("10.0.9.9", "admin", right=True) == 0


def test_nobody_can_use_up_what_all_together_have() -> None:
    stand = Stand(Limits(10, 10, all=20))
    made = [stand.attempt(f"10.0.0.{number}") for _ in range(10) for number in range(60)].count(0)
    assert made == 60  # one each; not 600
    assert stand.attempt("10.0.1.1", right=True) == 0


def test_a_site_with_many_ipv6_networks_is_one_for_the_limit_of_all() -> None:
    stand = Stand(Limits(10, 10, all=2))
    assert [stand.attempt(f"2001:db8:0:{n:x}::1") for n in range(5)] == [0, 0, 60, 60, 60]
    assert stand.attempt("2001:db8:1::1", right=True) == 0


def test_many_attempts_at_once_cannot_slip_through() -> None:
    """All begin before any has been answered."""
    throttle = Throttle(Limits(5, 5))
    open_ = []
    with pytest.raises(Wait):
        for _ in range(20):
            attempt = throttle.attempt("a", refuse=Wait)
            attempt.__enter__()
            open_.append(attempt)
    assert len(open_) == 5
    for attempt in open_:
        attempt.__exit__(None, None, None)
    with throttle.attempt("a", refuse=Wait):
        pass


def test_devices_of_one_address_may_be_at_it_together() -> None:
    throttle = Throttle(Limits(1, 1, at_once=3))
    open_ = [throttle.attempt("a", refuse=Wait) for _ in range(4)]
    for attempt in open_:
        attempt.__enter__()
    with pytest.raises(Wait), throttle.attempt("a", refuse=Wait):
        pass
    for attempt in open_:
        attempt.__exit__(None, None, None)
    assert throttle._running == {}


def test_an_attempt_that_breaks_counts_as_neither() -> None:
    stand = Stand(Limits(1, 1))
    for _ in range(5):
        with pytest.raises(OSError), stand.throttle.attempt("a", refuse=Wait):
            raise OSError
    assert stand.attempt("a") == 0


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
    stand = Stand(Limits(1, 1))
    stand.attempt(one)
    assert (stand.attempt(other) > 0) is same


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENTRIES_MAX", 100)
    stand = Stand(Limits(1, 1, 5, 1000))
    for number in range(1000):
        stand.now = number * WINDOW_SECONDS
        address, account = f"10.0.{number // 250}.{number % 250}", f"u{number}"
        stand.attempt(address, account, right=bool(number % 2))
    throttle = stand.throttle
    assert max(map(len, (throttle._failures, throttle._known, throttle._last))) <= 100
    assert throttle._running == {}


Steps = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 3), st.booleans(), st.floats(0, 30, allow_nan=False)
    ),
    max_size=120,
)


@given(Steps)
def test_no_pair_ever_fails_more_often_than_allowed(
    steps: list[tuple[int, int, bool, float]],
) -> None:
    """In no minute, whatever succeeds between; and a fresh address always has an attempt."""
    stand = Stand(Limits(3, 4, 6, 8))
    failed: dict[tuple[int, int], list[float]] = {}
    for address, account, right, pause in steps:
        stand.now += pause
        made = stand.attempt(f"10.0.0.{address}", f"u{account}", right=right) == 0
        if made and not right:
            times = failed.setdefault((address, account), [])
            times.append(stand.now)
            assert sum(one > stand.now - WINDOW_SECONDS for one in times) <= 3
    assert stand.attempt("192.0.2.1", "u0", right=True) == 0


def test_every_setting_reaches_its_throttle() -> None:
    throttles = Throttles(
        Settings(
            login_attempts_per_minute=2,
            claim_attempts_per_minute=3,
            claim_attempts_all_per_minute=4,
            device_login_attempts_per_minute=5,
        )
    )
    assert (throttles.people.limits.each, throttles.people.limits.address) == (2, 2)
    assert (throttles.claims.limits.address, throttles.claims.limits.all) == (3, 4)
    assert throttles.recoveries.limits == throttles.claims.limits
    assert (throttles.devices.limits.each, throttles.devices.limits.address) == (5, 100)
