"""A bucket's messages give what one gets by looking at each value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects import Format, Kind, PayloadLimits, PayloadShape
from mooring.dialects.model import Channel, Direction
from mooring.rollups.aggregate import add_all, summarize, summary_of
from mooring.rollups.extract import Extractor, extractor
from mooring.rollups.model import TEXT_MAX, Summary

LIMITS = PayloadLimits(max_metrics=6)


def how(shape: PayloadShape, dropped: list[int] | None = None) -> Extractor:
    channel = Channel("t", "t/{d}", Direction.UP, Kind.TELEMETRY, payload=shape)
    found = extractor(channel, LIMITS, (dropped if dropped is not None else []).append)
    assert found is not None
    return found


WHOLE = how(PayloadShape(time=(("ts",),), device=("id",)))

quarters = st.integers(-4000, 4000).map(lambda n: n / 4)
scalars = st.one_of(quarters, st.integers(-(2**62), 2**62), st.booleans(), st.text(max_size=3))
values = st.one_of(scalars, scalars, scalars, st.none(), st.lists(quarters, max_size=2))
bodies = st.dictionaries(st.sampled_from(["a", "b", "c", "ts", "id"]), values, max_size=5)
alike = st.fixed_dictionaries({"a": quarters, "b": st.booleans(), "ts": st.just(1)})
entries = st.lists(
    st.tuples(st.integers(0, 5), bodies.filter(bool)), min_size=1, max_size=8
) | st.lists(st.tuples(st.integers(0, 5), alike), min_size=1, max_size=8)


def plainly(said: list[tuple[int, dict[str, Any]]], by: Extractor) -> dict[str, Summary]:
    found: dict[str, Summary] = {}
    for ts, body in said:
        add_all(found, {n: summary_of(v, ts) for n, v in by.slowly(body).items()})
    return found


@given(entries)
def test_columns_give_what_single_values_give(said: list[tuple[int, dict[str, Any]]]) -> None:
    fast = summarize(said, WHOLE.skip, WHOLE.slowly, limit=LIMITS.max_metrics)
    slow = plainly(said, WHOLE)
    assert fast.keys() == slow.keys()
    for name, one in fast.items():
        other = slow[name]
        if not one.numbers:
            one.minimum = one.maximum = one.total = 0
        assert one == other
        assert type(one.last) is type(other.last)


@given(entries, st.integers(0, 8))
def test_parts_add_up_to_the_whole(said: list[tuple[int, dict[str, Any]]], cut: int) -> None:
    first, second = said[:cut], said[cut:]
    parts: dict[str, Summary] = {}
    for part in (first, second):
        if part:
            add_all(parts, summarize(part, WHOLE.skip, WHOLE.slowly, limit=6))
    assert parts == summarize(said, WHOLE.skip, WHOLE.slowly, limit=6)


def test_an_average_beyond_a_double_is_none() -> None:
    assert Summary(2, 2, 1e308, 1e308, float("inf"), 1e308, 0).average is None
    assert Summary(1, 0, 0, 0, 0, "x", 0).average is None
    assert Summary(2, 2, 1, 2, 3, 2, 0).average == 1.5
    said = [(1, {"a": 1e308}), (2, {"a": 1e308})]
    assert summarize(said, WHOLE.skip, WHOLE.slowly, limit=6)["a"].total == float("inf")


def test_long_text_is_cut() -> None:
    said = [(1, {"a": "x" * 1000}), (2, {"a": "y" * 1000})]
    for some in (said, said[:1]):
        last = summarize(some, WHOLE.skip, WHOLE.slowly, limit=6)["a"].last
        assert isinstance(last, str)
        assert len(last) == TEXT_MAX


def test_more_readings_than_a_message_may_have_are_counted() -> None:
    dropped: list[int] = []
    by = how(PayloadShape(), dropped)
    found = summarize([(1, {f"m{n}": n for n in range(9)})], by.skip, by.slowly, limit=6)
    assert len(found) == 6
    assert dropped == [3]


# ---------------------------------------------------------------------- where readings are

DEEP = how(PayloadShape(values=("data", "sensors")))


@pytest.mark.parametrize(
    ("by", "text", "body"),
    [
        (WHOLE, '{"a": 1}', {"a": 1}),
        (WHOLE, "[1]", None),
        (WHOLE, '{"a": nan, "b": 2}', {"a": None, "b": 2}),
        (DEEP, '{"data": {"sensors": {"a": -NaN, "b": 2}}}', {"a": None, "b": 2}),
        (WHOLE, "7", None),
        (WHOLE, "not json", None),
        (DEEP, '{"data": {"sensors": {"a": 1}}}', {"a": 1}),
        (DEEP, '{"data": {"sensors": {"a": 1, "a": 2}}}', {"a": 2}),
        (DEEP, '{"data": {"sensors": [1.5, 2]}}', {"0": 1.5, "1": 2}),
        (DEEP, '{"data": {"sensors": null}}', None),
        (DEEP, '{"data": null}', None),
        (DEEP, '{"data": 3}', None),
        (DEEP, '{"other": {}}', None),
        (DEEP, "null", None),
    ],
)
def test_the_object_with_the_readings_is_found(
    by: Extractor, text: str, body: dict[str, Any] | None
) -> None:
    good = '{"data": {"sensors": {"z": 1}}}' if by is DEEP else '{"z": 1}'
    assert by.find([text]) == [body]
    assert by.find([good, text, good]) == [{"z": 1}, body, {"z": 1}]


def test_texts_that_could_be_read_as_other_ones_together_are_read_one_by_one() -> None:
    by = how(PayloadShape(format=Format.EITHER))
    assert by.find(['{"x": 1}, {"y": 2', '"z": 3}']) == [None, None]


def test_text_channels_have_no_readings() -> None:
    channel = Channel(
        "t", "t/{d}", Direction.UP, Kind.TELEMETRY, payload=PayloadShape(format=Format.TEXT)
    )
    assert extractor(channel, LIMITS, print) is None
