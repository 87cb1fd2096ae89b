"""Token buckets against a rule in one sentence: in any time, a burst and the rate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.identity.account import Quota
from mooring.limits.buckets import BURST_SECONDS, OFFLINE_SECONDS, Buckets

STEPS = st.lists(
    st.tuples(
        st.integers(-2_000, 20_000), st.integers(1, 30), st.integers(0, 3_000), st.booleans()
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 5), st.integers(50, 500))
def test_no_more_goes_than_a_burst_and_the_rate(
    steps: list[tuple[int, int, int, bool]], rate: int, size_rate: int
) -> None:
    buckets, quota = Buckets(), Quota(None, rate, size_rate)
    now = top = start = 1_000_000
    messages = size = went_back = saved = saved_size = 0
    largest = 0
    for passed, number, bytes_, kept in steps:
        now += passed
        went_back += max(0, -passed)
        top = max(top, now)
        if buckets.take("d", quota, number, bytes_, now, kept=kept) is None:
            saved += number if kept else 0
            saved_size += bytes_ if kept else 0
            messages += number
            size += bytes_
            largest = max(largest, number, bytes_)
    seconds = (top - start + went_back) / 1000 + BURST_SECONDS
    # One request that is larger than a burst may go when the bucket is full.
    assert messages - saved <= rate * seconds + largest + 0.01
    assert size - saved_size <= size_rate * seconds + largest + 0.01
    # Whatever a device says when its readings were made: with what was saved, the same rate.
    assert messages <= rate * (seconds + OFFLINE_SECONDS) + 2 * largest + 0.01
    assert size <= size_rate * (seconds + OFFLINE_SECONDS) + 2 * largest + 0.01


def test_what_is_not_used_is_saved_for_later_and_no_more() -> None:
    buckets, quota = Buckets(), Quota(None, 1, None)

    def take(number: int, now: int, *, kept: bool) -> bool:
        return buckets.take("d", quota, number, 0, now, kept=kept) is None

    assert take(OFFLINE_SECONDS, 0, kept=True)
    assert take(BURST_SECONDS, 0, kept=False)
    assert not take(1, 9_000, kept=True)  # the burst is filled first
    assert take(1, 11_000, kept=True)
    assert not take(1, 11_000, kept=True)
    assert take(10, 11_000, kept=False)
    assert take(90, 111_000, kept=True)  # 100 seconds, 10 of them for the burst
    assert not take(1, 111_000, kept=True)


@given(st.integers(1, 100), st.integers(1, 5), st.booleans())
def test_who_waits_as_long_as_it_says_may_send(number: int, rate: int, kept: bool) -> None:
    buckets, quota = Buckets(), Quota(None, rate, None)
    now = 0
    if kept:
        buckets.take("d", quota, rate * OFFLINE_SECONDS, 0, now, kept=True)
        buckets.take("d", quota, rate * BURST_SECONDS, 0, now)
    while (denied := buckets.take("d", quota, number, 0, now, kept=kept)) is None:
        now += 1
    limit, seconds = denied
    assert limit == "limit_messages"
    late = now + int(seconds * 1000)
    assert buckets.take("d", quota, number, 0, late - 2, kept=kept) is not None
    assert buckets.take("d", quota, number, 0, late + 2, kept=kept) is None


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
