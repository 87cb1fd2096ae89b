"""Times of the week in a device's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.ota.rollouts.windows import DAYS, Window, opens_at, packed, span_of, unpacked

NIGHT = Window(frozenset(range(5)), time(22), time(4))
WEEKEND = Window(frozenset({5, 6}), time(0), time(0))


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def test_without_windows_it_is_always_open() -> None:
    assert opens_at((), "UTC", at("2026-02-11T12:00")) is None


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-02-11T21:59", "2026-02-11T22:00"),  # a Wednesday
        ("2026-02-11T22:00", None),
        ("2026-02-12T03:59", None),
        ("2026-02-12T04:00", "2026-02-12T22:00"),
        ("2026-02-14T03:00", None),  # Saturday: the night of Friday
        ("2026-02-14T12:00", "2026-02-16T22:00"),
    ],
)
def test_a_window_past_midnight_belongs_to_the_day_it_begins(now: str, opens: str | None) -> None:
    assert opens_at((NIGHT,), "UTC", at(now)) == (None if opens is None else at(opens))


def test_a_window_that_ends_when_it_begins_is_a_whole_day() -> None:
    assert opens_at((WEEKEND,), "UTC", at("2026-02-15T23:59")) is None
    assert opens_at((WEEKEND,), "UTC", at("2026-02-16T00:00")) == at("2026-02-21T00:00")


def test_the_zone_is_that_of_the_device() -> None:
    now = at("2026-02-11T12:00")  # 21:00 in Tokyo, 07:00 in New York
    assert opens_at((NIGHT,), "Asia/Tokyo", now) == at("2026-02-11T22:00", "Asia/Tokyo")
    assert opens_at((NIGHT,), "America/New_York", now) == at("2026-02-11T22:00", "America/New_York")


def test_a_begin_that_the_clock_skips_is_the_moment_after_it() -> None:
    early = Window(frozenset({6}), time(2, 30), time(5))
    now = at("2026-03-29T01:00", "Europe/Berlin")  # 02:30 does not exist on that day
    assert opens_at((early,), "Europe/Berlin", now) == at("2026-03-29T01:30:00", "UTC")


windows = st.lists(
    st.builds(
        Window,
        st.frozensets(st.integers(0, 6), min_size=1),
        st.times().map(lambda t: t.replace(second=0, microsecond=0)),
        st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    ),
    min_size=1,
    max_size=3,
)


@given(
    windows,
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)),
)
def test_it_is_open_when_it_opens_and_not_before(
    some: list[Window], zone: str, when: datetime
) -> None:
    now = round(when.replace(tzinfo=UTC).timestamp() * 1000)
    opens = opens_at(some, zone, now)
    if opens is None:
        return
    assert now < opens <= now + 8 * 86_400_000
    assert opens_at(some, zone, opens) is None
    assert opens_at(some, zone, opens - 1) == opens


def test_days_are_those_of_the_calendar() -> None:
    assert DAYS[datetime(2026, 2, 11).weekday()] == "wed"


@given(
    windows,
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1)),
)
def test_the_span_is_that_which_is_open_or_opens_next(
    some: list[Window], zone: str, when: datetime
) -> None:
    now = round(when.replace(tzinfo=UTC).timestamp() * 1000)
    span = span_of(some, zone, now)
    assert span is not None
    begin, end = span
    assert end > now
    opens = opens_at(some, zone, now)
    assert begin <= now if opens is None else begin == opens
    assert unpacked(packed(some, zone)) == (some, zone)


def test_without_windows_there_is_no_span() -> None:
    assert span_of((), "UTC", at("2026-02-11T12:00")) is None
