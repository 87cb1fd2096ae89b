"""The small pure rules: backoff, ranges, window, pace, command repeats."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_device import ranges as r
from mooring_device.backoff import Backoff
from mooring_device.dedupe import Action, State, command_key, decide, recover
from mooring_device.pace import BACKLOG, LIVE, Bucket, plan
from mooring_device.window import Window

# ------------------------------------------------------------------ backoff


@pytest.mark.parametrize(
    ("attempt", "upper"), [(0, 10), (1, 20), (2, 40), (3, 80), (4, 120), (5, 120), (10_000, 120)]
)
def test_windows_double_up_to_the_cap(attempt: int, upper: float) -> None:
    backoff = Backoff()
    assert backoff.wait(attempt, 0.0) == 1.0
    assert backoff.wait(attempt, 1.0) == upper


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_every_wait_is_within_floor_and_cap(attempt: int, draw: float) -> None:
    assert 1.0 <= Backoff().wait(attempt, draw) <= 120.0


def test_ten_thousand_devices_do_not_come_back_in_one_second() -> None:
    draw = random.Random(7)
    waits = [Backoff().wait(0, draw.random()) for _ in range(10_000)]
    busiest = max(sum(1 for w in waits if s <= w < s + 1) for s in range(11))
    assert busiest < 1_300


@pytest.mark.parametrize(("held", "after"), [(0.0, 4), (29.9, 4), (30.0, 0), (1e6, 0)])
def test_only_a_stable_connection_starts_the_count_again(held: float, after: int) -> None:
    assert Backoff().after(3, held) == after


@pytest.mark.parametrize("wrong", [{"floor": -1}, {"first": 0.5}, {"cap": 5}])
def test_a_backoff_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="backoff"):
        Backoff(**wrong)


# ------------------------------------------------------------------ ranges

numbers = st.sets(st.integers(1, 60))


def of(chosen: set[int]) -> r.Ranges:
    return r.compress(sorted(chosen))


def members(ranges: r.Ranges) -> set[int]:
    return {n for first, last in ranges for n in range(first, last + 1)}


@given(numbers, numbers)
def test_ranges_are_sets(one: set[int], other: set[int]) -> None:
    assert members(of(one)) == one
    assert r.intersect(of(one), of(other)) == of(one & other)
    assert r.subtract(of(one), of(other)) == of(one - other)
    assert r.normal([*of(one), *of(other)]) == of(one | other)
    assert r.count(of(one)) == len(one)
    assert all(r.contains(of(one), n) == (n in one) for n in range(62))


def test_an_empty_range_falls_out() -> None:
    assert r.normal([(5, 4), (1, 2), (3, 3)]) == ((1, 3),)


# ------------------------------------------------------------------ window


def test_the_window_bounds_what_is_on_its_way() -> None:
    window = Window(size=2, timeout=10)
    window.sent(1, 0.0)
    window.sent(2, 0.0)
    assert window.room == 0
    assert window.release(((1, 1),)) == [1]
    assert window.room == 1
    assert window.ranges == ((2, 2),)


def test_repeats_come_at_doubling_intervals_up_to_the_cap() -> None:
    window = Window(size=5, timeout=10, cap=25)
    window.sent(1, 0.0)
    times = []
    for now in range(120):
        if window.due(float(now)):
            times.append(now)
            window.sent(1, float(now))
    assert times == [10, 30, 55, 80, 105]


def test_what_is_asked_for_is_due_at_once_and_only_once() -> None:
    window = Window(timeout=10)
    window.sent(1, 0.0)
    window.sent(2, 0.0)
    window.ask(((2, 9),))
    assert window.due(1.0) == [2]
    window.sent(2, 1.0)
    assert window.due(1.5) == []


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=80))
def test_the_window_is_what_was_sent_and_not_released(steps: list[tuple[int, bool]]) -> None:
    window, expected = Window(size=1000), set()
    for seq, sends in steps:
        if sends:
            window.sent(seq, 0.0)
            expected.add(seq)
        else:
            window.release(((1, seq),))
            expected -= set(range(1, seq + 1))
    assert members(window.ranges) == expected
    assert len(window) == len(expected)
    window.clear()
    assert window.ranges == ()


@pytest.mark.parametrize("wrong", [{"size": 0}, {"timeout": 0}, {"timeout": 5, "cap": 1}])
def test_a_window_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="window"):
        Window(**wrong)  # type: ignore[arg-type]


# ------------------------------------------------------------------ pace

small = st.integers(0, 40)


@given(small, small, small, small, st.integers(1, 6))
def test_places_are_shared(live: int, backlog: int, room: int, allowance: int, k: int) -> None:
    turns = plan(live=live, backlog=backlog, room=room, allowance=allowance, per_live=k).turns
    sent_live, sent_backlog = turns.count(LIVE), turns.count(BACKLOG)
    paced = min(backlog, allowance)
    # Nothing is sent that is not there, and no place stays empty while something waits.
    assert sent_live <= live
    assert sent_backlog <= paced
    assert len(turns) == min(room, live + paced)
    # Neither starves: while both wait, no more than k of the backlog between two live ones,
    # and no two live ones in a row.
    if sent_live < live and sent_backlog < paced:
        assert sent_live == -(-len(turns) // (k + 1))


def test_a_live_reading_goes_before_the_backlog() -> None:
    turns = plan(live=2, backlog=5, room=10, allowance=99, per_live=2).turns
    assert turns == [LIVE, BACKLOG, BACKLOG, LIVE, BACKLOG, BACKLOG, BACKLOG]


@given(st.floats(1, 1000), st.lists(st.floats(0, 2), min_size=1, max_size=30))
def test_the_backlog_keeps_to_its_pace(rate: float, gaps: list[float]) -> None:
    bucket, now, sent = Bucket(rate, burst=10), 100.0, 0
    for gap in gaps:
        now += gap
        number = bucket.available(now)
        bucket.take(number)
        sent += number
    assert sent <= 10 + rate * sum(gaps[0:]) + 1


def test_a_rate_of_nothing_sets_no_limit() -> None:
    bucket = Bucket(0)
    assert bucket.available(1.0) > 10**6
    assert bucket.wait() == 0


def test_a_bucket_says_when_the_next_may_go() -> None:
    bucket = Bucket(10, burst=1)
    assert bucket.available(0.0) == 1
    bucket.take(1)
    assert bucket.wait() == pytest.approx(0.1)
    assert bucket.available(0.1) == 1


# ------------------------------------------------------------------ command repeats


@pytest.mark.parametrize(
    ("known", "identified", "repeat", "action"),
    [
        (None, True, False, Action.RUN),
        (None, False, True, Action.RUN),
        (State.RECEIVED, True, False, Action.IGNORE),
        (State.STARTED, True, True, Action.IGNORE),
        (State.DONE, True, False, Action.REPLY_AGAIN),
        (State.DONE, True, True, Action.REPLY_AGAIN),
        # Without an id two equal commands are two orders, unless the broker repeats itself.
        (State.DONE, False, False, Action.RUN),
        (State.DONE, False, True, Action.REPLY_AGAIN),
        (State.STARTED, False, True, Action.IGNORE),
    ],
)
def test_a_command_is_carried_out_once(
    known: State, identified: bool, repeat: bool, action: Action
) -> None:
    assert decide(known, identified=identified, repeat=repeat) is action


@pytest.mark.parametrize(
    ("known", "action"),
    [
        (State.RECEIVED, Action.RUN),
        (State.STARTED, Action.REPLY_INTERRUPTED),
        (State.DONE, Action.IGNORE),
    ],
)
def test_what_a_restart_finds(known: State, action: Action) -> None:
    assert recover(known) is action


def test_the_key_of_a_command() -> None:
    assert command_key("7", "a", b"x", 1) == command_key("7", "b", b"y", 2)
    without = command_key(None, "a", b"x", 1)
    assert without == command_key(None, "a", b"x", 1)
    others = (("b", b"x", 1), ("a", b"y", 1), ("a", b"x", 2))
    assert without not in {command_key(None, *other) for other in others}
