"""Which part of a file a request gets (RFC 9110, 14)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.ota.links.ranges import Part, not_modified, part_of, whole

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("", whole(100)),
        ("bytes=0-", Part(0, 100, partial=True)),
        ("bytes=40-", Part(40, 100, partial=True)),
        ("bytes=40-49", Part(40, 50, partial=True)),
        ("Bytes = 40-1000", Part(40, 100, partial=True)),
        ("bytes=99-99", Part(99, 100, partial=True)),
        ("bytes=-10", Part(90, 100, partial=True, suffix=True)),
        ("bytes=-1000", Part(0, 100, partial=True, suffix=True)),
        ("bytes=100-", None),
        ("bytes=100-200", None),
        ("bytes=-0", None),
        # Ignored: the whole file.
        ("bytes=50-40", whole(100)),
        ("bytes=-", whole(100)),
        ("bytes=0-1,5-6", whole(100)),
        ("lines=0-1", whole(100)),
        ("bytes=a-b", whole(100)),
        ("bytes=0-" + "9" * 5000, whole(100)),
        ("bytes=" + ",".join("0-0" for _ in range(5000)), whole(100)),
    ],
)
def test_ranges(header: str, part: Part | None) -> None:
    assert part_of(header, "", ETAG, 100) == part


@pytest.mark.parametrize(
    ("if_range", "partial"),
    [(ETAG, True), ('"other"', False), (f"W/{ETAG}", False), ("Sun, 29 Nov 2026", False)],
)
def test_a_file_that_has_changed_is_sent_whole(if_range: str, partial: bool) -> None:
    part = part_of("bytes=40-", if_range, ETAG, 100)
    assert part is not None
    assert part.partial is partial


@pytest.mark.parametrize(
    ("header", "same"),
    [("", False), (ETAG, True), (f'"x", W/{ETAG}', True), ("*", True), ('"abcd"', False)],
)
def test_if_none_match(header: str, same: bool) -> None:
    assert not_modified(header, ETAG) is same


@given(st.text(max_size=40) | st.from_regex(r"bytes=\d{0,6}-\d{0,6}"), st.integers(1, 10_000))
def test_a_part_is_always_inside(header: str, size: int) -> None:
    part = part_of(header, "", ETAG, size)
    assert part is None or 0 <= part.first < part.end <= size
    assert part is None or part.partial or part.size == size
