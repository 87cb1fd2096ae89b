"""The queue's policy: drop oldest, no more than needed, and no reading for a wrong clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_device.limits import CLOCK_FLOOR_MS, Drop, Limits, Load, Row, choose_drops

NOW = CLOCK_FLOOR_MS + 10**9
rows = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 10**6)), max_size=40)


def queue(given_rows: list[tuple[int, int]]) -> list[Row]:
    # Stored in order, as far as the clock stood still or went on.
    ages = sorted((age for _, age in given_rows), reverse=True)
    return [Row(i + 1, size, NOW - age) for i, ((size, _), age) in enumerate(zip(given_rows, ages))]


@given(rows, st.integers(1, 30), st.integers(1, 600), st.integers(0, 10**6))
def test_the_shortest_run_of_the_oldest_goes(
    given_rows: list[tuple[int, int]], most: int, most_bytes: int, age_ms: int
) -> None:
    held = queue(given_rows)
    limits = Limits(readings=most, bytes=most_bytes, age_ms=age_ms)
    drop = choose_drops(held, Load(len(held), sum(x.size for x in held)), limits, NOW)

    def fits(rest: list[Row]) -> bool:
        young = age_ms == 0 or not rest or NOW - rest[0].stored_ms <= age_ms
        return len(rest) <= most and sum(x.size for x in rest) <= most_bytes and young

    assert fits(held[drop.rows :])
    assert drop.rows == 0 or not fits(held[drop.rows - 1 :])
    assert drop.bytes == sum(x.size for x in held[: drop.rows])
    assert drop.upto == (held[drop.rows - 1].seq if drop.rows else 0)


@pytest.mark.parametrize(
    ("stored_ms", "now_ms", "goes"),
    [
        (NOW - 5_000, NOW, True),
        (NOW - 500, NOW, False),
        (5_000, NOW, False),  # stored when the clock stood in 1970
        (NOW - 5_000, 5_000, False),  # the clock stands in 1970 now
        (NOW + 9_000, NOW, False),  # the clock was set back
    ],
)
def test_age_is_told_by_clocks_that_can_be_right(stored_ms: int, now_ms: int, goes: bool) -> None:
    limits = Limits(age_ms=1_000)
    drop = choose_drops([Row(1, 10, stored_ms)], Load(1, 10), limits, now_ms)
    assert drop == (Drop(1, 0, 1, 10) if goes else Drop())


@pytest.mark.parametrize("name", ["readings", "bytes", "reading_bytes", "pending"])
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="positive"):
        Limits(**{name: 0})
