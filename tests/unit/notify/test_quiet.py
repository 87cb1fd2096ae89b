"""Quiet times against the clock on the wall, looked at minute by minute."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.notify.quiet import Quiet, quiet_until

MINUTE = 60_000
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")


def at(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def naive(windows: list[Quiet], moment: int) -> bool:
    """By the wall clock: inside the window of today, or in what is left of yesterday's."""
    for one in windows:
        local = datetime.fromtimestamp(moment / 1000, ZoneInfo(one.zone))
        now = local.time().replace(second=0, microsecond=0)
        today, yesterday = local.weekday(), (local.weekday() - 1) % 7
        if one.end > one.start:
            if today in one.days and one.start <= now < one.end:
                return True
        elif (today in one.days and now >= one.start) or (yesterday in one.days and now < one.end):
            return True
    return False


times = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
windows = st.builds(
    Quiet,
    st.frozensets(st.integers(0, 6), min_size=1),
    times,
    times,
    st.sampled_from(["UTC", "Asia/Kolkata"]),
)
START = at("2026-03-02T00:00")


@given(st.lists(windows, min_size=1, max_size=3), st.integers(0, 7 * 24 * 60))
def test_the_end_of_a_quiet_time_is_the_first_minute_that_is_not_quiet(
    some: list[Quiet], minutes: int
) -> None:
    now = START + minutes * MINUTE
    found = quiet_until(some, now)
    if not naive(some, now):
        assert found is None
        return
    assert found is not None
    quarter = 15 * MINUTE
    first = now - now % quarter
    for step in range(8 * 24 * 4):
        moment = max(now, first + step * quarter)
        if not naive(some, moment):
            assert found == moment
            return
    assert found > now + 8 * 24 * 60 * MINUTE  # always quiet


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-28", 7), ("2026-10-24", 9), ("2026-06-10", 8)],  # clocks go forward, back, neither
)
def test_a_night_in_berlin_has_seven_to_nine_hours(day: str, hours: int) -> None:
    window = Quiet(frozenset(range(7)), time(22), time(6), "Europe/Berlin")
    begin = at(f"{day}T22:00", "Europe/Berlin")
    assert quiet_until([window], begin - 1) is None
    assert quiet_until([window], begin) == begin + hours * 60 * MINUTE


@pytest.mark.parametrize("zone", ZONES)
def test_every_moment_of_a_year_has_an_answer(zone: str) -> None:
    window = Quiet(frozenset({5, 6}), time(2, 30), time(2, 15), zone)
    day = datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC"))
    for number in range(365):
        for hour in (0, 2, 3, 14, 23):
            moment = round((day + timedelta(days=number, hours=hour)).timestamp() * 1000)
            found = quiet_until([window], moment)
            assert found is None or moment < found <= moment + 49 * 60 * MINUTE
