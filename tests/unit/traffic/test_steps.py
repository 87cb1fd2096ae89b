"""Messages over time: nothing is counted twice, and nothing that is known is lost."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.traffic.model import MINUTE_MS, Sample, Step, steps

amounts = st.lists(st.integers(0, 1000), min_size=2, max_size=30)


def samples(found: list[int], start: int = 0, each: int = MINUTE_MS) -> list[Sample]:
    totals = accumulate(found)
    return [Sample(start + at * each, total, 0, total) for at, total in enumerate(totals)]


def test_each_step_has_what_was_counted_in_it() -> None:
    found = steps(samples([5, 10, 0, 7]), 0, MINUTE_MS, 3)
    assert found == [
        Step(0, MINUTE_MS, 10, 0, 10),
        Step(MINUTE_MS, 2 * MINUTE_MS, 0, 0, 0),
        Step(2 * MINUTE_MS, 3 * MINUTE_MS, 7, 0, 7),
    ]


def test_what_is_not_known_is_a_gap() -> None:
    found = steps(samples([5, 10], start=MINUTE_MS), 0, MINUTE_MS, 4)
    assert [one.received for one in found] == [None, 10, None, None]
    assert steps([], 0, MINUTE_MS, 2) == [Step(0, MINUTE_MS), Step(MINUTE_MS, 2 * MINUTE_MS)]


def test_a_time_without_samples_is_spread() -> None:
    hours = [Sample(0, 0, 0, 0), Sample(60 * MINUTE_MS, 600, 60, 0)]
    found = steps(hours, 0, 15 * MINUTE_MS, 4)
    assert [(one.received, one.sent, one.rejected) for one in found] == [(150, 15, 0)] * 4


def test_counters_that_fell_are_a_gap_and_not_below_zero() -> None:
    restored = [
        Sample(0, 900, 9, 9),
        Sample(MINUTE_MS, 100, 1, 1),
        Sample(2 * MINUTE_MS, 150, 1, 1),
    ]
    found = steps(restored, 0, MINUTE_MS, 2)
    assert [one.received for one in found] == [None, 50]
    coarse = steps([Sample(0, 900, 9, 9), Sample(4 * MINUTE_MS, 100, 1, 1)], 0, MINUTE_MS, 4)
    assert [one.received for one in coarse] == [None] * 4


@settings(max_examples=50)
@given(amounts, st.integers(1, 5))
def test_steps_add_up(found: list[int], each: int) -> None:
    minutes = len(found) - 1
    number = minutes // each
    drawn = steps(samples(found), 0, each * MINUTE_MS, number)
    total = sum(one.received for one in drawn if one.received is not None)
    assert total == sum(found[1 : number * each + 1])
    assert all(one.received is not None and one.received >= 0 for one in drawn)


@settings(max_examples=50)
@given(amounts, st.integers(7_000, 200_000))
def test_uneven_steps_add_up_too(found: list[int], step: int) -> None:
    length = (len(found) - 1) * MINUTE_MS
    number = min(100, length // step)
    drawn = steps(samples(found), 0, step, number)
    total = sum(one.received or 0 for one in drawn)
    upto = sum(found[1:]) if number * step == length else None
    assert upto is None or total == upto
    assert 0 <= total <= sum(found[1:]) + 1
