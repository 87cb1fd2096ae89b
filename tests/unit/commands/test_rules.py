"""The life of a command: the table itself, and what any order of events leaves."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from mooring.commands.changes import Waits, apply
from mooring.commands.model import AT_LEAST_ONCE, AT_MOST_ONCE, Command, Evidence
from mooring.commands.rules import (
    ATTEMPTS_MAX,
    FINAL,
    OPEN,
    OUTCOMES,
    TABLE,
    Event,
    Facts,
    Guard,
    State,
    follow,
    reply_event,
)

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "commands.md"
AT = 1_767_225_600_000
MINUTE = 60_000
EVERY = [
    Facts(replies=a, effect=b, repeatable=c, attempts=d)
    for a, b, c, d in product((False, True), (False, True), (False, True), (0, ATTEMPTS_MAX))
]


def command(**values: object) -> Command:
    made = Command(
        id=1,
        uid="c-1",
        device_id=7,
        tenant="default",
        device="lamp",
        channel="command",
        name="reboot",
        parameters={},
        actor="ada",
        reason="",
        topic="x/lamp/do",
        qos=1,
        delivery=AT_MOST_ONCE,
        replies=True,
        done_when="",
        state=State.QUEUED,
        attempts=0,
        late=False,
        created_at=AT,
        expires_at=AT + 60 * MINUTE,
        reply_timeout_ms=MINUTE,
        sent_at=None,
        delivered_at=None,
        finished_at=None,
        due_at=AT + 60 * MINUTE,
        downlink_id=3,
        session=None,
        result=None,
        evidence=(Evidence(AT, "queued", "person", "ada"),),
    )
    return replace(made, **values)  # type: ignore[arg-type]


def test_no_two_lines_apply_at_once() -> None:
    for facts, state, event in product(EVERY, State, Event):
        fitting = [
            one
            for one in TABLE
            if (one.state, one.event) == (state, event) and facts.allow(one.guard)
        ]
        assert len(fitting) <= 1, (state, event, facts)


def test_every_state_is_reached_and_every_open_one_ends_with_time() -> None:
    reached = {State.QUEUED}
    while more := {one.to for one in TABLE if one.state in reached} - reached:
        reached |= more
    assert reached == set(State)
    for facts, state in product(EVERY, OPEN):
        found = follow(state, Event.TIME, facts)
        assert found is not None, (state, facts)
        assert found.to in FINAL


def test_what_is_over_stays_so_but_for_a_late_reply() -> None:
    for facts, state, event in product(EVERY, FINAL, Event):
        found = follow(state, event, facts)
        if found is not None:
            assert state is State.TIMED_OUT
            assert found.late
            assert found.to in OUTCOMES | {State.CANCELLED}
            assert found.evidence == "reply"


def test_what_was_handed_over_expires_never_and_is_cancelled_by_its_device_alone() -> None:
    assert {one.state for one in TABLE if one.to is State.EXPIRED} == {State.QUEUED}
    for one in TABLE:
        if one.to is State.CANCELLED:
            assert one.state is State.QUEUED or one.event is Event.CANCELLED


def test_a_device_that_is_asked_to_cancel_decides() -> None:
    """The command stays as it is, with its deadline, until the device answers."""
    sent = apply(command(), Event.TAKEN, AT, Waits(), sent_at=AT)
    assert sent is not None
    assert apply(sent, Event.CANCEL, AT + 1, Waits()) is None  # a dialect that cannot
    asked = apply(sent, Event.CANCEL, AT + 1, Waits(), detail="ada", cancellable=True)
    assert asked is not None
    assert (asked.state, asked.due_at, asked.cancel_asked) == (State.SENT, sent.due_at, True)
    assert not sent.cancel_asked
    for event, to in (
        (Event.CANCELLED, State.CANCELLED),
        (Event.SUCCEEDED, State.DONE),
        (Event.TIME, State.TIMED_OUT),
    ):
        ended = apply(asked, event, AT + 2, Waits())
        assert ended is not None
        assert ended.state is to


def test_no_state_claims_more_than_its_dialect_can_know() -> None:
    mute = Facts(replies=False)
    for state in OPEN - {State.QUEUED}:
        found = follow(state, Event.TIME, mute)
        assert found is not None
        assert found.to is State.UNCONFIRMED
        assert follow(state, Event.EFFECT, mute) is None
    for facts in EVERY:
        if facts.replies or facts.effect:
            found = follow(State.SENT, Event.TIME, facts)
            assert found is not None
            assert found.to is State.TIMED_OUT


def test_it_is_handed_over_again_only_where_that_is_safe() -> None:
    for facts in EVERY:
        found = follow(State.SENT, Event.SESSION_ENDED, facts)
        safe = facts.repeatable and facts.attempts < ATTEMPTS_MAX
        assert (found is not None) == safe
    assert follow(State.DELIVERED, Event.SESSION_ENDED, Facts(True, repeatable=True)) is None


@pytest.mark.parametrize(
    ("said", "event"),
    [
        (None, Event.SUCCEEDED),
        (True, Event.SUCCEEDED),
        ("ok", Event.SUCCEEDED),
        ("done", Event.SUCCEEDED),
        (False, Event.FAILED),
        ("error", Event.FAILED),
        ("rejected", Event.REJECTED),
        ("cancelled", Event.CANCELLED),
        ("accepted", Event.ACCEPTED),
        ("running", Event.ACCEPTED),
        ("somehow", Event.ACCEPTED),
    ],
)
def test_the_words_of_replies(said: bool | str | None, event: Event) -> None:
    assert reply_event(said) is event


def test_times_follow_from_states() -> None:
    waits = Waits(30_000)
    queued = command()
    sent = apply(queued, Event.TAKEN, AT + 20, waits, sent_at=AT + 5)
    assert sent is not None
    assert (sent.sent_at, sent.attempts, sent.due_at) == (AT + 5, 1, AT + 5 + MINUTE)
    done = apply(sent, Event.SUCCEEDED, AT + 90, waits, result={"took_ms": 3})
    assert done is not None
    assert (done.state, done.finished_at, done.due_at) == (State.DONE, AT + 90, None)
    assert [one.state for one in done.evidence] == ["queued", "sent", "done"]
    mute = apply(command(replies=False), Event.TAKEN, AT, waits, sent_at=AT)
    assert mute is not None
    assert mute.due_at == AT + 30_000


def test_a_reply_that_overtakes_the_sender_counts() -> None:
    """The device answers before the broker's acknowledgement is recorded."""
    done = apply(command(), Event.SUCCEEDED, AT + 9, Waits())
    assert done is not None
    assert (done.state, done.attempts, done.sent_at) == (State.DONE, 1, AT + 9)
    assert apply(done, Event.TAKEN, AT + 10, Waits()) is None


def test_the_page_shows_the_table() -> None:
    shown = re.findall(
        r"^\| `(\w+)` \| (.+?) \| (.*?) ?\| `(\w+)` \| (.+?) \|$", PAGE.read_text(), re.M
    )
    wanted = [
        (
            str(one.state),
            str(one.event),
            str(one.guard),
            str(one.to),
            one.evidence + (", late" if one.late else ""),
        )
        for one in TABLE
    ]
    assert shown == wanted


class Life(RuleBasedStateMachine):
    """Replies, disconnects, kills and steps of the clock in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = AT
        self.command = command()
        self.handed = 0
        self.outcomes: list[State] = []

    @rule(
        replies=st.booleans(),
        effect=st.booleans(),
        again=st.booleans(),
    )
    def begin(self, replies: bool, effect: bool, again: bool) -> None:
        self.command = command(
            replies=replies,
            done_when="session" if effect else "",
            delivery=AT_LEAST_ONCE if again else AT_MOST_ONCE,
        )
        self.handed, self.outcomes = 0, []

    @rule(event=st.sampled_from(list(Event)), cancellable=st.booleans())
    def happens(self, event: Event, cancellable: bool) -> None:
        if event is Event.TIME and (self.command.due_at or self.now + 1) > self.now:
            return  # the worker asks first
        before = self.command
        after = apply(before, event, self.now, Waits(), sent_at=self.now, cancellable=cancellable)
        if after is None:
            return
        if event is Event.TAKEN:
            self.handed += 1
        if after.over and (not before.over or after.state is not before.state):
            self.outcomes.append(after.state)
        self.command = after

    @rule(step=st.integers(-3_600_000, 3_600_000))
    def clock(self, step: int) -> None:
        self.now = max(1, self.now + step)

    @invariant()
    def an_end_is_an_end(self) -> None:
        changed = len(self.outcomes)
        assert changed <= (2 if self.outcomes[:1] == [State.TIMED_OUT] else 1)

    @invariant()
    def it_is_handed_over_as_often_as_allowed(self) -> None:
        assert self.handed <= (ATTEMPTS_MAX if self.command.facts.repeatable else 1)

    @invariant()
    def its_fields_agree(self) -> None:
        one = self.command
        assert one.over == (one.due_at is None) == (one.finished_at is not None)
        assert one.evidence[-1].state == one.state
        assert not one.late or one.state in OUTCOMES | {State.CANCELLED}
        if one.state is State.CANCELLED and one.evidence[-1].kind == "reply":
            assert self.handed or one.attempts  # the device knows of it
        elif one.state in (State.EXPIRED, State.CANCELLED):
            assert not one.facts.repeatable or self.handed < ATTEMPTS_MAX
            assert one.facts.repeatable or self.handed == 0
        if one.state is State.DONE:
            assert one.evidence[-1].kind in ("reply", "effect")


TestLife = Life.TestCase


@given(st.lists(st.sampled_from([one for one in Event if one is not Event.TIME]), max_size=12))
def test_a_repetition_changes_nothing(events: list[Event]) -> None:
    """Each event twice leaves what it leaves once, but for what is handed over again."""
    once = twice = command()
    for event in events:
        once = apply(once, event, AT, Waits(), sent_at=AT) or once
        for _ in range(2):
            twice = apply(twice, event, AT, Waits(), sent_at=AT) or twice
    assert once.state is twice.state
    assert Guard.ALWAYS in {one.guard for one in TABLE}
