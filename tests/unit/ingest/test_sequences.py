from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.ingest.sequences import RANGES_MAX, Numbers, gaps, merge, receipt

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


def test_too_many_ranges_never_claim_what_is_not_committed() -> None:
    odd = list(range(1, 4 * RANGES_MAX, 2))
    state = merge(Numbers(), odd)
    assert len(state.above) == RANGES_MAX
    assert all(n % 2 for n in range(2, 4 * RANGES_MAX) if state.holds(n))


def test_a_receipt_names_the_first_ranges() -> None:
    assert receipt(merge(Numbers(), [1, 2, 3])) == {"upto": 3}
    assert receipt(merge(Numbers(), [1, 2, 5, 6, 9])) == {"upto": 2, "also": [[5, 6], [9, 9]]}
