"""Roll-ups equal what one works out anew from every message, whatever happened on the way."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.rollups import metrics, queue, service
from mooring.rollups.model import Level
from mooring.store.schema import (
    counters,
    device_metrics,
    rollup_open,
    rollup_queue,
    rollups,
)
from tests.integration.rollups.naive import Message, naive, plain
from tests.integration.rollups.stand import DAY, HOUR, START, Breaking, Broken, Stand

NAMES = ["t", "door", "word", "deep.x", "mixed"]
DEVICES = (1, 2)

# Quarters: a double adds them without rounding, so sums are equal whatever the order.
numbers = st.integers(-4000, 4000).map(lambda n: n / 4)
readings = st.fixed_dictionaries(
    {},
    optional={
        "t": numbers | st.integers(-(2**40), 2**40),
        "door": st.booleans(),
        "word": st.sampled_from(["", "open", "ö"]),
        "deep": st.fixed_dictionaries({"x": numbers}),
        "mixed": numbers | st.booleans() | st.text(max_size=3) | st.none(),
    },
)
times = st.one_of(
    st.integers(0, 3 * 60_000),  # minutes that meet
    st.integers(0, 3 * HOUR),
    st.integers(-3 * DAY, DAY),  # late, early
).map(lambda offset: START + offset)
batches = st.lists(
    st.tuples(st.sampled_from(DEVICES), st.sampled_from([1, 1, 1, 2]), times, readings),
    max_size=8,
)
fates = st.sampled_from([None, None, None, "before", "after"])
deeds = st.one_of(
    batches.map(lambda batch: ("say", batch)),
    st.tuples(st.just("step"), st.integers(1, 6)),
    st.tuples(st.just("wait"), st.sampled_from([60_000, HOUR, DAY])),
    st.just(("restart", None)),
    st.tuples(st.just("second"), st.integers(1, 5)),
)


def flat(message: Message) -> Message:
    """As the dialect names readings: nested ones with dots, none without a value."""
    device, channel, ts, said = message
    values: dict[str, Any] = {}
    for name, value in said.items():
        if isinstance(value, dict):
            values |= {f"{name}.{key}": deeper for key, deeper in value.items()}
        elif value is not None:
            values[name] = value
    return device, channel, ts, values


def found(stand: Stand, level: Level) -> dict[Any, Any]:
    """What readers see, in the form of ``naive``."""
    return {
        (device, 1, bucket): plain(summaries)
        for device in DEVICES
        for bucket, summaries in stand.read(device, level, NAMES).items()
    }


def expect_exact(stand: Stand) -> None:
    said = [flat(message) for message in stand.said]
    for level in Level:
        assert found(stand, level) == naive(said, level.minutes), level.name


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(done=st.lists(deeds, max_size=14), fate=st.lists(fates, max_size=30))
def test_any_order_and_any_fault(
    stand: Stand, done: list[tuple[str, Any]], fate: list[str | None]
) -> None:
    """Late, early and repeated times, faults before and behind every commit, restarts and a
    second roller; exact for readers after every deed, and once all is in."""
    stand.clear()
    now = START
    breaking = Breaking(stand.database, iter(fate))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("WRITE_FIRST", 2), ("WRITE_LEAST", 1), ("WRITE_MOST", 3)):
            patch.setattr(service, name, value)
        roller = stand.roller(breaking, round_rows=5)
        for deed, what in done:
            match deed:
                case "say":
                    stand.batch(what)
                case "wait":
                    now += what
                case "restart":
                    roller = stand.roller(breaking, round_rows=5)
                case "second":
                    other = stand.roller(round_rows=3)
                    for _ in range(what):
                        other.step(now)
                case "step":
                    for _ in range(what):
                        with contextlib.suppress(Broken):
                            roller.step(now)
            expect_exact(stand)
        stand.roller(round_rows=5).catch_up(now + 10 * DAY)
    expect_exact(stand)
    with stand.database.read() as connection:
        for table in (rollup_queue, rollup_open):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0
        rows = connection.execute(
            sa.select(rollups.c.level, sa.func.count()).group_by(rollups.c.level)
        ).all()
    said = [flat(message) for message in stand.said]
    assert {row[0]: row[1] for row in rows} == {
        int(level): len(whole) for level in Level if (whole := naive(said, level.minutes))
    }


# ---------------------------------------------------------------------- one at a time


def said_at(*offsets: int, device: int = 1) -> list[Message]:
    return [(device, 1, START + offset, {"t": float(n)}) for n, offset in enumerate(offsets, 1)]


def steps(roller: service.Roller, now: int) -> None:
    while roller.step(now):
        pass


def test_a_second_roller_makes_the_first_one_begin_anew(stand: Stand) -> None:
    stand.batch(said_at(0, 60_000, 120_000))
    first, second = stand.roller(), stand.roller()
    assert first.step(START)  # has claimed and read
    assert second.step(START)
    assert second.step(START)  # has merged
    steps(first, START)
    expect_exact(stand)
    assert first.figures.minutes == 0


def test_a_day_that_is_sealed_together_with_a_late_hour_of_it_holds_that_too(stand: Stand) -> None:
    roller = stand.roller()
    stand.batch(said_at(0))
    steps(roller, START + HOUR + service.SEAL_MS)  # the first hour is sealed, its day is open
    stand.batch(said_at(5 * HOUR))
    roller = stand.roller()
    steps(roller, START + 2 * DAY)  # both are over
    expect_exact(stand)


def test_a_running_hour_has_rows_for_its_minutes_only(stand: Stand) -> None:
    stand.batch(said_at(0, 10_000, 60_000))
    roller = stand.roller()
    steps(roller, START + 180_000)
    assert levels(stand) == {0: 2}
    steps(roller, START + HOUR + service.SEAL_MS)
    assert levels(stand) == {0: 2, 1: 1}
    steps(roller, START + DAY + service.SEAL_MS)
    assert levels(stand) == {0: 2, 1: 1, 2: 1}


def test_what_is_late_is_added_to_the_rows_that_are_there(stand: Stand) -> None:
    roller = stand.roller()
    stand.batch(said_at(0))
    roller.catch_up(START + 2 * DAY)
    stand.batch(said_at(5_000, -1_000))
    roller.catch_up(START + 2 * DAY)
    assert levels(stand) == {0: 2, 1: 2, 2: 2}
    expect_exact(stand)


def test_messages_that_are_gone_stay_in_the_roll_ups(stand: Stand) -> None:
    """Late for a minute whose other messages retention has taken: it is added all the same."""
    roller = stand.roller()
    stand.batch(said_at(0, 10_000))
    roller.catch_up(START + 2 * DAY)
    with stand.database.write() as connection:
        connection.execute(sa.text("DELETE FROM messages"))
    stand.batch(said_at(20_000))
    roller.catch_up(START + 2 * DAY)
    expect_exact(stand)


def test_a_large_span_is_taken_in_pieces(stand: Stand) -> None:
    """What came in by a copy or in bulk may be one entry of the queue."""
    stand.batch(said_at(*range(0, 50_000, 1000)))
    roller = stand.roller(round_rows=7)
    roller.catch_up(START + DAY)
    assert roller.figures.rounds == 8
    expect_exact(stand)


def test_the_number_of_metrics_of_a_device_is_bounded(stand: Stand) -> None:
    roller = stand.roller(metrics_max=3)
    for n in range(10):
        stand.batch([(1, 1, START + n, {"t": 1.0, f"name{n}": n, "x" * 300: 1})])
    stand.batch([(2, 1, START, {"other": 1})])
    roller.catch_up(START + DAY)
    with stand.database.read() as connection:
        assert metrics.metric_names(connection, 1) == ["name0", "name1", "t"]
        assert metrics.metric_names(connection, 2) == ["other"]
        ((device, values, example, _),) = metrics.refused(connection)
        assert (device, values) == (1, 8 + 10)
        assert example.startswith("name") or example == "x" * 256
        counted = connection.execute(
            sa.select(counters.c.value).where(counters.c.name == "metrics_refused")
        ).scalar()
        assert counted == 18
        kept = connection.execute(sa.select(sa.func.count()).select_from(device_metrics)).scalar()
        assert kept == 4
    assert stand.read(1, Level.DAY, ["t"])[START // 60_000]["t"].count == 10


def test_figures_say_what_waits(stand: Stand) -> None:
    stand.batch(said_at(0, 1, 2))
    roller = stand.roller()
    roller.step(0)  # not yet: the minute is not over
    assert roller.waiting == 3
    with stand.database.read() as connection:
        assert queue.backlog(connection) == (3, 0)
    roller.catch_up(START + DAY)
    roller.step(START + DAY)
    assert roller.waiting == 0
    assert roller.figures.messages == 3


def levels(stand: Stand) -> dict[int, int]:
    with stand.database.read() as connection:
        rows = connection.execute(
            sa.select(rollups.c.level, sa.func.count()).group_by(rollups.c.level)
        )
        return {row[0]: row[1] for row in rows}


@pytest.mark.parametrize(
    ("now", "last", "waiting", "due"),
    [
        (START + 4_000, START - 30_000, 10, False),  # its messages are still on their way
        (START + 5_000, START - 30_000, 10, True),
        (START + 59_000, START + 6_000, 10, False),  # was done already
        (START + 66_000, START + 6_000, 10, True),
        (START + 66_000, START + 6_000, 0, False),
        (START + 10_000, START + 6_000, service.ROUND_ROWS, True),
    ],
)
def test_a_round_begins_once_a_minute_or_when_it_is_full(
    now: int, last: int, waiting: int, due: bool
) -> None:
    assert service.round_due(now, last, waiting) is due
