"""Conditions of rollouts over attributes and reported values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.devices.attributes.query import terms
from mooring.devices.attributes.terms import Condition, Term
from mooring.ota.rollouts.conditions import (
    Leaf,
    Scalar,
    evaluate,
    in_words,
    meets,
    names,
    newest,
)


def leaf(text: str) -> Leaf:
    (found,) = terms([text])
    assert not isinstance(found, str)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("battery > 50", 51, True),
        ("battery > 50", 50, False),
        ("battery >= 50", 50.0, True),
        ("battery < 50", 9, True),
        ("battery <= 50", 50, True),
        ("battery > 50", "51", True),  # some firmware writes numbers as texts
        ("battery > 50", "full", False),
        ("battery > 50", True, False),
        ("signal > -75", -60, True),
        ("signal > -75", -80.5, False),
        ("mode = auto", "AUTO", True),
        ("mode = auto", "off", False),
        ("mode ~ au*", "auto", True),
        ("charging = true", True, True),
        ("charging = true", 1, False),
        ("battery = *", 0, True),
    ],
)
def test_a_value_is_compared_as_an_attribute_is(text: str, value: Scalar, expected: bool) -> None:
    assert meets(leaf(text), value) is expected


@given(value=st.integers(-1000, 1000), limit=st.integers(-1000, 1000))
def test_numbers_compare_by_value(value: int, limit: int) -> None:
    assert meets(leaf(f"x > {limit}"), value) is (value > limit)
    assert meets(leaf(f"x <= {limit}"), float(value)) is (value <= limit)


def test_names_of_a_query_each_once() -> None:
    assert names(terms(["(battery > 50 or charging = true) and not battery < 10"])) == [
        "battery",
        "charging",
    ]
    assert names(terms(["group = attic"])) == []


def test_parts_are_put_together_as_sets() -> None:
    known = {"a": {1, 2}, "b": {2, 3}}

    def of(one: Condition) -> set[int]:
        assert isinstance(one, Term)
        return known[one.name]

    everyone = {1, 2, 3, 4}
    assert evaluate(terms(["a = 1 and b = 1"]), everyone, of) == {2}
    assert evaluate(terms(["a = 1 or b = 1"]), everyone, of) == {1, 2, 3}
    assert evaluate(terms(["not a = 1"]), everyone, of) == {3, 4}
    assert evaluate(terms(["a != 1"]), everyone, of) == {3, 4}
    assert evaluate(terms(["not (a = 1 or b = 1)"]), everyone, of) == {4}


def test_the_newest_value_counts_and_a_whole_name_before_a_part() -> None:
    reported: list[tuple[int, dict[str, Scalar]]] = [
        (30, {"status.battery": 90}),
        (20, {"Battery": 41}),
        (10, {"battery": 40, "signal": -61}),
        (25, {"radio.signal": -70}),
    ]
    assert newest(["battery", "signal"], reported) == {"battery": 41, "signal": -61}
    assert newest(["battery"], reported[:1]) == {"battery": 90}
    assert newest(["humidity"], reported) == {}


def test_words_have_the_values_that_were_seen() -> None:
    words = in_words("battery > 50 and signal > -75", {"battery": 41, "signal": None})
    said = "It does not meet battery > 50 and signal > -75"
    assert words == f"{said}: battery is 41, signal is not known."
    assert in_words("group = attic", {}) == "It does not meet group = attic."
    assert len(in_words("x = 1", {"x": "y" * 500})) < 120
