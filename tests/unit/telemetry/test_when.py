"""Times as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects import iso
from mooring.errors import Invalid
from mooring.telemetry.when import LATEST_MS, parse_when

NOW = 1_771_000_245_678  # 2026-02-13T16:30:45.678Z
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
MIDNIGHT = 1_770_940_800_000  # 2026-02-13T00:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        (" NOW ", NOW),
        ("today", MIDNIGHT),
        ("yesterday", MIDNIGHT - DAY),
        ("-1h", NOW - HOUR),
        ("1h", NOW - HOUR),
        ("+1h", NOW + HOUR),
        ("15m ago", NOW - 15 * MINUTE),
        ("15 minutes ago", NOW - 15 * MINUTE),
        ("1 hour ago", NOW - HOUR),
        ("2hours", NOW - 2 * HOUR),
        ("90s", NOW - 90_000),
        ("0.5d", NOW - DAY // 2),
        ("2w", NOW - 14 * DAY),
        ("-3 days", NOW - 3 * DAY),
        ("2026-02-13", MIDNIGHT),
        ("20260213", MIDNIGHT),
        ("2026-02-13T00:00:00Z", MIDNIGHT),
        ("2026-02-13T01:00:00+01:00", MIDNIGHT),
        ("2026-02-13 00:00:30", MIDNIGHT + 30_000),
        ("1770940800", MIDNIGHT),
        ("1770940800.5", MIDNIGHT + 500),
        ("1770940800123", MIDNIGHT + 123),
        ("0", 0),
    ],
)
def test_what_is_understood(text: str, expected: int) -> None:
    assert parse_when(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "1",
        "2026",  # a year or a slip, not the second 2026 of 1970
        "1h30m",
        "5 parsecs ago",
        "+1h ago",
        "--1h",
        "2026-13-01",
        "20261301",
        "1e300",
        "9" * 30,
        "-999999999w",  # before 1970
        "+999999999w",  # after 9999
        "0001-01-01",
        "١٥m",
        "\0",
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_when(text, NOW)
    assert caught.value.slug == "invalid_time"
    assert "\0" not in caught.value.message


@given(st.text(max_size=80))
def test_any_text_gives_a_time_or_one_error(text: str) -> None:
    try:
        found = parse_when(text, NOW)
    except Invalid:
        return
    assert 0 <= found <= LATEST_MS


@given(st.integers(min_value=0, max_value=LATEST_MS))
def test_what_mooring_writes_it_reads(ms: int) -> None:
    assert parse_when(iso(ms), NOW) == ms
