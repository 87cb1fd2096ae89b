"""Curves for drawing: every extreme is in them, and gaps stay gaps."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mooring.rollups.aggregate import add_all, summary_of
from mooring.rollups.model import Summary
from mooring.telemetry.bands import band, gap_after

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000


def steps(readings: list[tuple[int, Any]], step: int) -> dict[int, dict[str, Summary]]:
    found: dict[int, dict[str, Summary]] = {}
    for ts, value in sorted(readings, key=lambda one: one[0]):
        add_all(found.setdefault(ts - ts % step, {}), {"t": summary_of(value, ts)})
    return found


def gaps(readings: list[tuple[int, Any]], step: int | None) -> list[int]:
    found = band("t", steps(readings, step or 1), step)
    return [ts for ts, count in zip(found.ts, found.count, strict=True) if count is None]


def test_one_spike_in_an_hour_of_a_month_is_in_the_band() -> None:
    readings: list[tuple[int, Any]] = [(n * 10 * SECOND, 26.0) for n in range(6 * 60 * 48)]
    readings[5000] = (readings[5000][0], 85.0)
    found = band("t", steps(readings, HOUR), HOUR)
    at = found.ts.index(readings[5000][0] // HOUR * HOUR)
    assert (found.least[at], found.greatest[at], found.count[at]) == (26.0, 85.0, 360)
    assert found.mean[at] is not None
    assert found.mean[at] < 27
    assert max(value for value in found.greatest if value is not None) == 85.0


def test_a_step_without_values_is_a_gap_where_the_device_sends_more_often() -> None:
    dense = [(n * 10 * SECOND, n) for n in range(6 * 60 * 5) if n // 360 != 2]
    assert gaps(dense, HOUR) == [2 * HOUR]


def test_a_step_without_values_is_no_gap_where_the_device_sends_less_often() -> None:
    assert gaps([(n * 70 * SECOND, n) for n in range(100)], MINUTE) == []
    assert gaps([(n * 10 * MINUTE, n) for n in range(100)], MINUTE) == []


def test_a_longer_silence_of_a_slow_device_is_a_gap() -> None:
    slow = [(n * 10 * MINUTE, n) for n in range(100) if not 40 <= n < 46]
    assert gaps(slow, MINUTE) == [39 * 10 * MINUTE + MINUTE]
    assert gaps(slow, None) == [39 * 10 * MINUTE + 1]


def test_texts_are_not_drawn_and_truth_values_are() -> None:
    found = band("t", steps([(0, "off"), (1, True), (2, False), (3, 7)], 1), None)
    assert (found.ts, found.least) == ([1, 2, 3], [1, 0, 7])
    assert found.mean == [1.0, 0.0, 7.0]
    assert band("u", steps([(0, 1)], 1), None).ts == []


def test_a_number_that_no_double_holds_is_left_out_alone() -> None:
    found = band("t", steps([(0, 10**400), (5, 2)], 1), None)
    assert (found.greatest, found.mean) == ([None, 2], [None, 2.0])


def test_two_points_say_nothing_of_an_interval() -> None:
    assert gap_after([0, 10 * HOUR], [1, 1], 0) is None


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40 * HOUR),
            st.one_of(st.integers(-1000, 1000), st.booleans(), st.sampled_from(["on", "off"])),
        ),
        max_size=60,
    ),
    st.sampled_from([MINUTE, HOUR]),
)
def test_columns_hold_exactly_the_numbers_of_each_step(
    readings: list[tuple[int, Any]], step: int
) -> None:
    found = band("t", steps(readings, step), step)
    lengths = {len(one) for one in (found.ts, found.least, found.mean, found.greatest, found.count)}
    assert lengths == {len(found.ts)}
    assert found.ts == sorted(set(found.ts))
    expected: dict[int, list[int]] = {}
    for ts, value in readings:
        if not isinstance(value, str):
            expected.setdefault(ts - ts % step, []).append(int(value))
    rows = list(zip(found.ts, found.least, found.greatest, found.count, strict=True))
    drawn = {ts: (least, most, count) for ts, least, most, count in rows if count is not None}
    assert drawn == {ts: (min(v), max(v), len(v)) for ts, v in expected.items()}
    for ts, least, most, count in rows:
        if count is None:
            assert (least, most) == (None, None)
            assert ts not in expected
