"""Numbers and tables for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Spread
from bench.tables import NOTHING, number, reached, table, with_spread


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, NOTHING),
        (0, "0"),
        (0.0123, "0.012"),
        (0.00012, "1.2e-04"),
        (1, "1.00"),
        (1.006, "1.01"),
        (9.996, "10.0"),
        (12.34, "12.3"),
        (99.99, "100"),
        (123.4, "123"),
        (999.6, "1 000"),
        (41_234, "41 200"),
        (10_000_000, "10 000 000"),
        (-1_234, "-1 230"),
    ],
)
def test_three_digits_that_count(value: float | None, expected: str) -> None:
    assert number(value) == expected


@given(st.floats(min_value=0.1, max_value=1e9))
def test_a_number_is_off_by_half_a_percent_at_most(value: float) -> None:
    assert abs(float(number(value).replace(" ", "")) - value) <= value * 0.0051


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, NOTHING),
        (Spread(2.0, 2.0, 2.0, 1), "2.00"),
        (Spread(2.0, 2.0, 2.0, 3), "2.00"),
        (Spread(2.0, 1.0, 3.0, 3), "2.00 (1.00 to 3.00)"),
    ],
)
def test_spreads_are_shown_where_there_are_some(value: Spread | None, expected: str) -> None:
    assert with_spread(value) == expected


@pytest.mark.parametrize(
    ("value", "at_least", "expected"),
    [
        (None, True, "not measured"),
        (1.0, True, "yes"),
        (0.99, True, "no"),
        (1.0, False, "yes"),
        (1.01, False, "no"),
    ],
)
def test_whether_an_aim_is_reached(value: float | None, at_least: bool, expected: str) -> None:
    assert reached(value, 1.0, at_least=at_least) == expected


def test_a_table_in_markdown() -> None:
    assert table(["who", "rate"], [["a|b", "1"], ["c", "1 000"]]) == (
        "| who  |  rate |\n| ---- | ----: |\n| a\\|b |     1 |\n| c    | 1 000 |\n"
    )


def test_a_row_must_fit_its_heads() -> None:
    with pytest.raises(ValueError, match="1 cells under 2 heads"):
        table(["a", "b"], [["1"]])
