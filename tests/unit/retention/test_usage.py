"""What a batch counts for its tenants."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.store.usage import DAY_MS, ROW_BYTES, by_tenant, of_rows

ROWS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 3 * DAY_MS), st.text(max_size=5)), max_size=30
)
TENANTS = {1: "a", 2: "b", 3: "a"}  # 4 belongs to nobody


@given(ROWS)
def test_each_message_counts_its_bytes_and_its_row_once(rows: list[tuple[int, int, str]]) -> None:
    stored = [(device, 0, ts, 0, None, 0, 0, text) for device, ts, text in rows]
    expected: dict[tuple[str, int], list[int]] = {}
    for device, ts, text in rows:
        if device in TENANTS:
            one = expected.setdefault((TENANTS[device], ts // DAY_MS), [0, 0])
            one[0] += 1
            one[1] += len(text.encode()) + ROW_BYTES
    found = of_rows(stored, TENANTS)
    assert found == expected
    sums = by_tenant(found)
    assert list(sums) == sorted(sums)
    assert sum(one[0] for one in sums.values()) == sum(device in TENANTS for device, _, _ in rows)
