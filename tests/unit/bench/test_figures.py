"""Medians, spreads, ratios and percentiles."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Spread, percentile, ratios, spread, spreads
from bench.latency import delays
from bench.memory import summary

NUMBERS = st.floats(min_value=-1e9, max_value=1e9)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([None, None], None),
        ([3.0], Spread(3.0, 3.0, 3.0, 1)),
        ([3.0, None, 1.0], Spread(2.0, 1.0, 3.0, 2)),
        ([5.0, 1.0, 2.0], Spread(2.0, 1.0, 5.0, 3)),
    ],
)
def test_the_spread_of_some_rounds(values: list[float | None], expected: Spread | None) -> None:
    assert spread(values) == expected


def test_spreads_of_every_figure_that_some_round_has() -> None:
    found = spreads([{"rate": 1.0, "cpu": None}, {"rate": 3.0, "size": 7.0, "cpu": None}])
    assert found == {"rate": Spread(2.0, 1.0, 3.0, 2), "size": Spread(7.0, 7.0, 7.0, 1)}


def test_ratios_are_taken_within_a_round() -> None:
    # Both were twice as fast in the second round: side by side they are alike.
    assert ratios([10.0, 20.0], [5.0, 10.0]) == Spread(2.0, 2.0, 2.0, 2)


@pytest.mark.parametrize(
    ("ours", "theirs", "rounds"),
    [
        ([1.0, 2.0], [1.0, None], 1),
        ([None, 2.0], [1.0, 1.0], 1),
        ([1.0, 2.0], [0.0, 1.0], 1),
        ([1.0, 2.0, 3.0], [1.0, 1.0], 2),
    ],
)
def test_rounds_in_which_one_is_missing_do_not_count(
    ours: list[float | None], theirs: list[float | None], rounds: int
) -> None:
    found = ratios(ours, theirs)
    assert found is not None
    assert found.rounds == rounds


def test_no_ratio_without_a_common_round() -> None:
    assert ratios([1.0], [None]) is None
    assert ratios([], []) is None


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 50.0), (0.9, 90.0), (0.99, 99.0), (1.0, 100.0)]
)
def test_percentiles_of_a_hundred_values(share: float, expected: float) -> None:
    assert percentile([float(n) for n in range(1, 101)], share) == expected


@given(st.lists(NUMBERS, min_size=1), st.floats(min_value=0, max_value=1))
def test_a_percentile_is_one_of_the_values_and_has_its_share_below(
    values: list[float], share: float
) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found in values
    # one more for the rounding of a rank that lies between two
    assert sum(value < found for value in values) <= share * len(values) + 1
    assert sum(value <= found for value in values) >= share * len(values) - 1


def test_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_delays_leave_out_the_beginning() -> None:
    taken = [0, 900_000, 1_000_000, 1_500_000, 2_000_000]
    waited = [90_000, 80_000, 1_000, 2_000, 3_000]
    assert delays(taken, waited, skip_us=1_000_000) == {
        "p50": 2.0,
        "p90": 3.0,
        "p99": 3.0,
        "most": 3.0,
    }


@given(st.lists(st.floats(min_value=1, max_value=1e6), min_size=1))
def test_the_summary_of_memory(samples: list[float]) -> None:
    found = summary(samples)
    assert found["first_mb"] == round(samples[0], 1)
    assert found["last_mb"] == round(samples[-1], 1)
    assert found["most_mb"] == round(max(samples), 1)
    assert found["median_mb"] == round(statistics.median(samples), 1)


def test_no_memory_where_it_cannot_be_seen() -> None:
    assert set(summary([]).values()) == {None}
