"""What is packed comes back, and takes little room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.rollups.aggregate import add_all, summary_of
from mooring.rollups.model import Level, Summary, bucket_of
from mooring.rollups.packing import pack, unpack

START = 1_767_225_600_000
scalars = st.one_of(
    st.floats(allow_nan=False),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.text(max_size=4),
)
said = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 59_999), scalars), max_size=12)


def summaries(values: list[tuple[int, int, int | float | bool | str]]) -> dict[int, Summary]:
    found: dict[str, Summary] = {}
    for metric, offset, value in values:
        add_all(found, {str(metric): summary_of(value, START + offset)})
    return {int(name): summary for name, summary in found.items()}


@given(said)
def test_what_is_packed_comes_back(
    values: list[tuple[int, int, int | float | bool | str]],
) -> None:
    before = summaries(values)
    after = unpack(pack(before, START), START)
    assert after.keys() == before.keys()
    for metric, one in before.items():
        other = after[metric]
        assert (one.count, one.numbers, one.last_ts) == (other.count, other.numbers, other.last_ts)
        assert one.last == other.last
        assert type(one.last) is type(other.last)
        if one.numbers:
            assert (one.minimum, one.maximum) == (other.minimum, other.maximum)
            # A sum of whole numbers beyond 64 bits becomes a double.
            assert other.total == pytest.approx(one.total, rel=1e-15, nan_ok=True)


@given(said, st.integers(1, 4))
def test_one_metric_can_be_had_alone(
    values: list[tuple[int, int, int | float | bool | str]], metric: int
) -> None:
    data = pack(summaries(values), START)
    whole = unpack(data, START)
    assert unpack(data, START, {metric}) == {n: s for n, s in whole.items() if n == metric}


def test_a_single_value_is_written_once() -> None:
    one = pack({1: summary_of(21.5, START + 5), 2: summary_of(False, START + 5)}, START)
    assert len(one) == 16


@pytest.mark.parametrize(
    ("level", "minute", "bucket"),
    [(Level.MINUTE, 61, 61), (Level.HOUR, 61, 60), (Level.DAY, 1441, 1440), (Level.DAY, 3, 0)],
)
def test_buckets(level: Level, minute: int, bucket: int) -> None:
    assert bucket_of(level, minute) == bucket
    assert level.span_ms == level.minutes * 60_000
