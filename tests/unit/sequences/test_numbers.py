from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mooring.sequences.numbers import (
    NUMBER_MAX,
    RANGES_MAX,
    Numbers,
    add,
    gaps,
    holds,
    merge,
    parse_ranges,
    receipt,
)

numbers = st.lists(st.integers(1, 60), max_size=60)


@given(st.lists(numbers, max_size=6))
def test_any_order_and_repetition_gives_what_a_set_would(batches: list[list[int]]) -> None:
    state, seen = Numbers(), set[int]()
    for batch in batches:
        state = merge(state, batch)
        seen |= set(batch)
    assert {n for n in range(1, 70) if state.holds(n)} == seen
    assert all(n in seen for n in range(1, state.upto + 1))
    missing = {n for first, last in gaps(state) for n in range(first, last + 1)}
    assert missing == set(range(1, max(seen, default=0) + 1)) - seen


@given(numbers, st.integers(1, 60), st.integers(0, 20))
def test_what_the_device_lost_is_no_gap_and_is_counted_once(
    batch: list[int], first: int, length: int
) -> None:
    state = merge(Numbers(), batch)
    lost = [(first, first + length)]
    expected = {n for n in range(first, first + length + 1) if not state.holds(n)}
    after = merge(state, [], lost)
    assert after.lost == len(expected)
    assert all(after.holds(n) for n in range(first, first + length + 1))
    assert merge(after, [], lost) == after


ranges = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 20)).map(lambda p: (p[0], p[0] + p[1])),
    max_size=30,
)


@given(numbers, numbers, ranges)
def test_ranges_that_overlap_count_once(
    before: list[int], batch: list[int], lost: list[tuple[int, int]]
) -> None:
    """As a set would: also where a batch brings what it says is lost."""
    first = merge(Numbers(), before)
    after = merge(first, batch, lost)
    gone = {n for a, b in lost for n in range(a, b + 1)}
    assert after.lost == len(gone - set(batch) - set(before))
    assert {n for n in range(1, 90) if after.holds(n)} == gone | set(batch) | set(before)
    assert merge(after, batch, lost) == after


def test_what_is_lost_fits_into_the_database() -> None:
    everything = (1, NUMBER_MAX)
    once = merge(Numbers(), [], [everything])
    assert once == Numbers(NUMBER_MAX, (), NUMBER_MAX)
    assert merge(Numbers(), [], [everything, everything]) == once
    # Ranges beyond those that are remembered are counted again, and still fit.
    many = Numbers(lost=NUMBER_MAX - 1)
    assert merge(many, [], [(5, 9)]).lost == NUMBER_MAX
    assert parse_ranges([[1, NUMBER_MAX], [1, NUMBER_MAX + 1], [0, 1]]) == [everything]


def test_many_ranges_are_merged_without_comparing_each_with_each() -> None:
    """100,000 given up above 1,000 committed: a hundred million comparisons one by one."""
    state = merge(Numbers(), range(2, 2 * RANGES_MAX + 2, 2))
    lost = [(n, n) for n in range(10 * RANGES_MAX, 210 * RANGES_MAX, 2)]
    assert merge(state, [], lost).lost == len(lost)


@given(ranges)
def test_added_ranges_hold_the_same_numbers(some: list[tuple[int, int]]) -> None:
    found: list[tuple[int, int]] = []
    for one in some:
        add(found, one)
    expected = {n for a, b in some for n in range(a, b + 1)}
    assert {n for a, b in found for n in range(a, b + 1)} == expected
    assert {n for n in range(100) if holds(found, n)} == expected
    assert all(a[1] + 1 < b[0] for a, b in pairwise(found))


def test_too_many_ranges_never_claim_what_is_not_committed() -> None:
    odd = list(range(1, 4 * RANGES_MAX, 2))
    state = merge(Numbers(), odd)
    assert len(state.above) == RANGES_MAX
    assert all(n % 2 for n in range(2, 4 * RANGES_MAX) if state.holds(n))


def test_a_receipt_names_the_first_ranges() -> None:
    assert receipt(merge(Numbers(), [1, 2, 3])) == {"upto": 3}
    assert receipt(merge(Numbers(), [1, 2, 5, 6, 9])) == {"upto": 2, "also": [[5, 6], [9, 9]]}
