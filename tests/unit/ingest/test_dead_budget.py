"""One device cannot fill the dead letters, and everything is counted."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mooring.ingest.dead_budget import MINUTE_MS, DeadBudget, Keep


def test_past_the_bytes_without_payload_and_past_the_letters_counted_only() -> None:
    budget = DeadBudget(letters=4, bytes_=100)
    assert [budget.take("loud", 60, 0) for _ in range(6)] == [
        Keep.WHOLE,
        Keep.WITHOUT_PAYLOAD,
        Keep.WITHOUT_PAYLOAD,
        Keep.WITHOUT_PAYLOAD,
        Keep.COUNT_ONLY,
        Keep.COUNT_ONLY,
    ]
    assert budget.take("quiet", 60, 0) is Keep.WHOLE
    assert budget.take("loud", 60, MINUTE_MS) is Keep.WHOLE


@given(
    sizes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200)), max_size=60),
    letters=st.integers(1, 10),
    most=st.integers(0, 300),
)
def test_no_owner_is_above_its_budget(
    sizes: list[tuple[int, int]], letters: int, most: int
) -> None:
    budget = DeadBudget(letters, most)
    kept: Counter[int] = Counter()
    held: Counter[int] = Counter()
    for owner, size in sizes:
        keep = budget.take(owner, size, 0)
        if keep is not Keep.COUNT_ONLY:
            kept[owner] += 1
        if keep is Keep.WHOLE:
            held[owner] += size
    assert all(number <= letters for number in kept.values())
    assert all(number <= most for number in held.values())
    wanted = Counter(owner for owner, _ in sizes)
    assert all(kept[owner] == min(number, letters) for owner, number in wanted.items())
