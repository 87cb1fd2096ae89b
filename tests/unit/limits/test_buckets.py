"""Token buckets against a rule in one sentence: in any time, a burst and the rate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.identity.account import Quota
from mooring.limits.buckets import BURST_SECONDS, Buckets

STEPS = st.lists(
    st.tuples(st.integers(-2_000, 20_000), st.integers(1, 30), st.integers(0, 3_000)), max_size=60
)


@given(STEPS, st.integers(1, 5), st.integers(50, 500))
def test_no_more_goes_than_a_burst_and_the_rate(
    steps: list[tuple[int, int, int]], rate: int, size_rate: int
) -> None:
    buckets, quota = Buckets(), Quota(None, rate, size_rate)
    now = top = start = 1_000_000
    messages = size = went_back = 0
    largest = 0
    for passed, number, bytes_ in steps:
        now += passed
        went_back += max(0, -passed)
        top = max(top, now)
        if buckets.take("d", quota, number, bytes_, now) is None:
            messages += number
            size += bytes_
            largest = max(largest, number, bytes_)
    seconds = (top - start + went_back) / 1000 + BURST_SECONDS
    # One request that is larger than a burst may go when the bucket is full.
    assert messages <= rate * seconds + largest + 0.01
    assert size <= size_rate * seconds + largest + 0.01


@given(st.integers(1, 100), st.integers(1, 5))
def test_who_waits_as_long_as_it_says_may_send(number: int, rate: int) -> None:
    buckets, quota = Buckets(), Quota(None, rate, None)
    now = 0
    while (denied := buckets.take("d", quota, number, 0, now)) is None:
        now += 1
    limit, seconds = denied
    assert limit == "limit_messages"
    assert buckets.take("d", quota, number, 0, now + int(seconds * 1000) - 2) is not None
    assert buckets.take("d", quota, number, 0, now + int(seconds * 1000) + 2) is None


def test_owners_have_buckets_of_their_own_and_the_quietest_is_forgotten() -> None:
    buckets, quota = Buckets(owners_max=2), Quota(None, 1, None)
    for owner in ("a", "b"):
        assert buckets.take(owner, quota, 10, 0, 0) is None
        assert buckets.take(owner, quota, 1, 0, 0) is not None
    assert buckets.take("c", quota, 1, 0, 0) is None
    assert buckets.take("a", quota, 1, 0, 0) is None  # forgotten
    assert buckets.take("d", Quota(), 1_000_000, 1, 0) is None


def test_what_is_given_back_may_go_again() -> None:
    buckets, quota = Buckets(), Quota(None, 1, 100)
    assert buckets.take("a", quota, 10, 1, 0) is None
    buckets.give_back("a", 10, 1)
    assert buckets.take("a", quota, 10, 1, 0) is None
