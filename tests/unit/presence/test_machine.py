"""Presence: every transition, the rules around them, and any interleaving of events."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mooring.presence.states import machine
from mooring.presence.states.intervals import learned
from mooring.presence.states.machine import (
    ABSENCE_MS,
    CALM_MS,
    HOLD_MS,
    LAG_MS,
    NOT_BACK,
    TABLE,
    Event,
    Record,
    State,
    advance,
    due,
    restarted,
    shown,
    tick,
)
from mooring.presence.states.store import pack, unpack
from tests.support.source import ROOT

T = 1_771_000_000_000
GRACE = 120_000
MINUTE = 60_000
BASE = [state for state in State if state is not State.FLAPPING]


def in_state(state: State) -> Record:
    """A device of which nothing but its state is known."""
    return Record(state=state, since=T - 1, announced_at=T if state is State.UPDATING else None)


@pytest.mark.parametrize("event", [e for e in Event if e not in (Event.SILENCE, Event.ABSENT)])
@pytest.mark.parametrize("state", BASE)
def test_what_happens_leads_where_the_table_says(state: State, event: Event) -> None:
    record = advance(in_state(state), event, T + MINUTE)
    assert record.state is TABLE[state].get(event, state)
    if record.state is not state:
        assert record.since == T + MINUTE


@pytest.mark.parametrize("state", BASE)
@pytest.mark.parametrize("event", [Event.GONE, Event.SAID_OFFLINE])
def test_an_absence_counts_when_it_lasts(state: State, event: Event) -> None:
    record = advance(in_state(state), event, T, "connection lost")
    assert record.state is state
    assert tick(record, T + HOLD_MS - 1, None).state is state
    after = tick(record, T + HOLD_MS, None)
    if state in (State.UPDATING, State.OFFLINE):
        assert after == record
    else:
        assert (after.state, after.since, after.reason) == (State.OFFLINE, T, "connection lost")
        back = advance(record, Event.LOGIN, T + 1)
        assert tick(back, T + HOLD_MS, None).state is State.ONLINE


def test_the_page_shows_the_table() -> None:
    page = (ROOT / "docs" / "explanation" / "presence.md").read_text(encoding="utf-8")
    head, *rows = re.findall(r"^\| (.+) \|$", page.partition("## What leads")[2], re.MULTILINE)
    events = [Event(cell) for cell in head.split(" | ")[1:]]
    assert events == list(Event)
    said = {}
    for row in rows[: len(BASE)]:
        name, *cells = (cell.strip() for cell in row.split(" | "))
        said[State(name.strip("`"))] = {
            event: State(cell.strip("`"))
            for event, cell in zip(events, cells, strict=True)
            if cell != "–"
        }
    assert said == {state: dict(found) for state, found in TABLE.items()}


def test_a_will_of_an_older_session_changes_nothing() -> None:
    record = advance(Record(), Event.LOGIN, T)
    # A new session took over; the will of the old one comes late, then the device goes on.
    record = advance(record, Event.LOGIN, T + 1000)
    later = advance(record, Event.SAID_OFFLINE, T + 2000)
    assert later == record
    # Before the login is known, the will waits long enough for it.
    early = advance(advance(Record(), Event.HEARD, T), Event.SAID_OFFLINE, T + 10)
    early = advance(early, Event.LOGIN, T + 20)
    assert tick(early, T + HOLD_MS * 2, None).state is State.ONLINE


def test_what_was_sent_before_the_end_does_not_bring_a_device_back() -> None:
    gone = advance(advance(Record(), Event.LOGIN, T), Event.GONE, T + 1000)
    gone = tick(gone, T + 1000 + HOLD_MS, None)
    assert gone.state is State.OFFLINE
    for event in (Event.HEARD, Event.SAID_ONLINE, Event.ANNOUNCED):
        assert advance(gone, event, T + 1000 + LAG_MS) == gone
        assert advance(gone, event, T + 1001 + LAG_MS).state is not State.OFFLINE


def test_a_restart_is_no_absence() -> None:
    online = advance(Record(), Event.LOGIN, T)
    for order in ("gone first", "restart first"):
        record = online
        if order == "gone first":
            record = advance(record, Event.GONE, T + 10)
        record = restarted(record, T + 20, GRACE)
        record = advance(record, Event.GONE, T + 30)
        record = advance(record, Event.SAID_OFFLINE, T + 40)
        assert tick(record, T + 20 + GRACE - 1, 1000).state is State.ONLINE
        back = advance(record, Event.LOGIN, T + 5000)
        assert tick(back, T + 20 + GRACE, None) == back
        never = tick(record, T + 20 + GRACE, None)
        assert (never.state, never.reason) == (State.OFFLINE, NOT_BACK)


def test_a_session_that_began_after_a_restart_needs_no_grace() -> None:
    record = advance(Record(), Event.LOGIN, T)
    assert restarted(record, T, GRACE) == restarted(record, T - 1, GRACE) == record
    assert restarted(record, T + 1, GRACE).grace_until == T + 1 + GRACE


def test_a_device_with_a_long_keepalive_has_more_time_after_a_restart() -> None:
    """It may not notice earlier that its connection has ended."""
    for keepalive, wanted in ((None, GRACE), (0, GRACE), (60, GRACE), (600, 900_000)):
        record = restarted(advance(Record(), Event.LOGIN, T, keepalive=keepalive), T + 10, GRACE)
        assert tick(record, T + 10 + wanted - 1, None).state is State.ONLINE
        assert tick(record, T + 10 + wanted, None).state is State.OFFLINE
    # The newest session counts, as far as its keepalive is known.
    record = advance(advance(Record(), Event.LOGIN, T, keepalive=600), Event.LOGIN, T + 1)
    assert record.keepalive == 600
    assert advance(record, Event.LOGIN, T + 2, keepalive=30).keepalive == 30
    # A record of an earlier version has none.
    older = json.dumps(json.loads(pack(record))[:-1])
    assert unpack(older) == record._replace(keepalive=0)


def test_an_announced_absence() -> None:
    record = advance(advance(Record(), Event.LOGIN, T), Event.ANNOUNCED, T + 10)
    record = advance(record, Event.GONE, T + 20)
    assert tick(record, T + ABSENCE_MS, None).state is State.UPDATING
    back = advance(record, Event.LOGIN, T + MINUTE)
    assert tick(back, T + 10 + ABSENCE_MS, None).state is State.ONLINE
    assert tick(record, T + 10 + ABSENCE_MS, None).state is State.OFFLINE
    # It never went away: it is there when the time is over.
    stayed = advance(advance(Record(), Event.LOGIN, T), Event.ANNOUNCED, T + 10)
    assert tick(stayed, T + 10 + ABSENCE_MS, None).state is State.ONLINE


def test_silence() -> None:
    record = advance(Record(), Event.LOGIN, T)
    assert tick(record, T + 10 * MINUTE, None).state is State.ONLINE  # nothing is expected
    assert tick(record, T + 90_000 - 1, MINUTE).state is State.ONLINE
    silent = tick(record, T + 90_000, MINUTE)
    assert silent.state is State.SILENT
    assert advance(silent, Event.HEARD, T + 100_000).state is State.ONLINE
    assert tick(record, T + 29_999, 1000).state is State.ONLINE  # however often it sends
    assert tick(record, T + 30_000, 1000).state is State.SILENT


def flap(times: int, every: int) -> Record:
    record, at = advance(Record(), Event.LOGIN, T), T
    for number in range(times):
        at += every
        if number % 2 == 0:
            record = tick(advance(record, Event.GONE, at), at + HOLD_MS, None)
        else:
            record = advance(record, Event.LOGIN, at)
    return record


def test_flapping() -> None:
    assert shown(flap(4, MINUTE)) is State.OFFLINE or shown(flap(4, MINUTE)) is State.ONLINE
    record = flap(5, MINUTE)
    assert shown(record) is State.FLAPPING
    newest = record.changes[-1]
    assert shown(tick(record, newest + CALM_MS - 1, None)) is State.FLAPPING
    calm = tick(record, newest + CALM_MS, None)
    assert (shown(calm), calm.changes) == (record.state, ())
    assert shown(flap(9, 3 * MINUTE)) is not State.FLAPPING  # 5 changes in 12 minutes
    # Silence is no change between there and gone.
    record = advance(Record(), Event.LOGIN, T)
    for number in range(10):
        record = tick(record, T + number * MINUTE + 31_000, 1000)
        record = advance(record, Event.HEARD, T + (number + 1) * MINUTE)
    assert record.changes == ()


@pytest.mark.parametrize(
    ("times", "interval"),
    [
        ([], None),
        (range(0, 200, 10), None),  # 19 intervals
        (range(0, 210, 10), 10),
        ([*range(0, 200, 10), 5000], 10),  # one pause does not count
        ([*range(0, 190, 10), 5000, 9000], 4000),
        ([0] * 30, None),
        (range(0, 30 * 90_000_000, 90_000_000), None),  # less than once a day
    ],
)
def test_how_often_a_device_sends(times: list[int], interval: int | None) -> None:
    assert learned(times) == interval
    assert learned(list(reversed(times))) == interval


class Any(RuleBasedStateMachine):
    """Any order of evidence, restarts and time, also backwards."""

    def __init__(self) -> None:
        super().__init__()
        self.record = Record()
        self.now = T
        self.interval: int | None = None

    @rule(step=st.sampled_from([0, 1, 1000, HOLD_MS, LAG_MS, 10 * MINUTE, CALM_MS, -5000]))
    def time_passes(self, step: int) -> None:
        self.now += step
        before = self.record
        self.record = tick(before, self.now, self.interval)
        in_grace = before.grace_until is not None and before.grace_until > self.now
        if in_grace:
            assert self.record.state is not State.OFFLINE or before.state is State.OFFLINE
        if before.connected and before.gone_at is None and before.grace_until is None:
            assert self.record.state is not State.OFFLINE or before.state is State.OFFLINE

    @rule(
        event=st.sampled_from([e for e in Event if e not in (Event.SILENCE, Event.ABSENT)]),
        late=st.sampled_from([0, 0, 1, LAG_MS]),
    )
    def happens(self, event: Event, late: int) -> None:
        before = self.record
        self.record = advance(before, event, self.now - late, "x")
        assert self.record.state is not State.OFFLINE or before.state is State.OFFLINE
        if before.connected and event is Event.SAID_OFFLINE:
            assert self.record == before
        if event is Event.LOGIN:
            assert self.record.state is State.ONLINE
            assert self.record.connected

    @rule()
    def restarts(self) -> None:
        before = self.record
        self.record = restarted(before, self.now, GRACE)
        assert self.record.state is before.state
        assert self.record.gone_at is None or self.record == before

    @rule(interval=st.sampled_from([None, 1000, MINUTE]))
    def sends_as_often(self, interval: int | None) -> None:
        self.interval = interval

    @precondition(lambda self: due(self.record, self.interval) is not None)
    @rule()
    def its_time_comes(self) -> None:
        """What is due happens at that moment, and does not come again at once."""
        at = due(self.record, self.interval)
        assert at is not None
        before = self.record
        assert tick(before, at - 1, self.interval) == before
        self.now = max(self.now, at)
        self.record = tick(before, at, self.interval)
        assert self.record != before
        rest = self.record
        for _ in range(6):  # each of several things that are due at one time happens once
            rest = tick(rest, at, self.interval)
        following = due(rest, self.interval)
        assert following is None or following > at

    @invariant()
    def is_bounded_and_can_be_stored(self) -> None:
        assert len(self.record.changes) <= machine.CHANGES_MAX
        assert unpack(pack(self.record)) == self.record
        assert self.record.announced_at is None or self.record.state is not State.NEVER_SEEN
        if self.record.state is State.OFFLINE:
            assert self.record.gone_at is None or self.record.grace_until is None


TestAny = Any.TestCase
TestAny.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
