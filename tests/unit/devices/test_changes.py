"""Many changed devices in few spans."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.devices.changes import spans


@given(st.sets(st.integers(1, 1000)), st.integers(1, 20))
def test_every_device_is_in_a_span(numbers: set[int], most: int) -> None:
    found = spans(sorted(numbers), most)
    assert len(found) <= most
    for first, last in found:
        assert {first, last} <= numbers
    covered = {n for first, last in found for n in range(first, last + 1)}
    assert numbers <= covered
    runs = sum(number - 1 not in numbers for number in numbers)
    if runs <= most:
        assert covered == numbers  # nobody else
