"""Versions compare as versions: their keys sort, by code points, as they do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.store.version_key import KEY_MAX, version_key

ORDER = [
    ["build-2"],
    ["build-10"],
    ["release"],
    ["0", "0.0", "v0"],
    ["0.0.1"],
    ["0.1.0-dev"],
    ["0.1"],
    ["0.9.10"],
    ["1.4.0-alpha"],
    ["1.4.0-alpha.1"],
    ["1.4.0-beta.2", "1.4-beta2"],
    ["1.4.0-beta.11"],
    ["1.4.0-rc1", "1.4rc1", "v1.4.0-rc.1", "1.4.0_rc1"],
    ["1.4.0", "1.4", "v1.4", "V 1.4.0", " 1.4.0 ", "1.4.0+build77", "01.04"],
    ["1.4.0b"],
    ["1.4.1"],
    ["1.10"],
    ["2"],
    ["2024.05.1"],
    ["2024.5.12"],
    ["18446744073709551616"],
]


def test_in_their_order() -> None:
    keys = [[version_key(text) for text in same] for same in ORDER]
    for same, texts in zip(keys, ORDER, strict=True):
        assert len(set(same)) == 1, texts
    flat = [same[0] for same in keys]
    assert flat == sorted(flat)
    assert len(set(flat)) == len(flat)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=6), st.data())
def test_numbers_compare_one_by_one(mine: list[int], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.integers(0, 10**12), min_size=1, max_size=6))
    keys = [version_key(".".join(map(str, numbers))) for numbers in (mine, other)]
    width = max(len(mine), len(other))
    padded = [tuple(n + [0] * (width - len(n))) for n in (mine, other)]
    assert (keys[0] < keys[1], keys[0] == keys[1]) == (
        padded[0] < padded[1],
        padded[0] == padded[1],
    )


@given(st.text(max_size=128))
def test_any_text_has_a_key_that_can_be_stored(text: str) -> None:
    key = version_key(text)
    assert len(key) <= KEY_MAX
    assert "\0" not in key
    assert key[0] in "01"


@pytest.mark.parametrize("text", ["", "v", "-", "1" * 128, "a1" * 64])
def test_odd_ones(text: str) -> None:
    assert version_key(text)
