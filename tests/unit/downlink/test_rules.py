"""The life of a downlink: the table itself, and what any sequence of events leaves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.downlink.model import Delivery, Downlink
from mooring.downlink.rules import (
    LOSSES_MAX,
    OPEN,
    PAUSE_MOST_MS,
    TRANSITIONS,
    Answer,
    Event,
    State,
    Until,
    answered,
    follow,
    pause_ms,
)

HEARD = Answer(acknowledged=True)
UNHEARD_HERE = Answer(acknowledged=True, heard=False, connected=True)
UNHEARD_AWAY = Answer(acknowledged=True, heard=False, connected=False)
REFUSED = Answer(acknowledged=True, refused=True)
LOST = Answer(acknowledged=False)


def test_what_is_over_stays_so() -> None:
    for state in State:
        for event in Event:
            if state.over:
                assert follow(state, event) is None, (state, event)


def test_every_open_state_can_end_in_every_way() -> None:
    ends = {
        Event.CONFIRM: State.CONFIRMED,
        Event.CANCEL: State.CANCELLED,
        Event.EXPIRE: State.EXPIRED,
        Event.GIVE_UP: State.FAILED,
    }
    for state in OPEN:
        assert {event: follow(state, event) for event in ends} == ends


def test_every_state_can_be_reached() -> None:
    reached = {State.WAITING, State.QUEUED}
    while (
        more := {target for (state, _), target in TRANSITIONS.items() if state in reached} - reached
    ):
        reached |= more
    assert reached == set(State)


def test_only_what_is_marked_can_be_answered() -> None:
    sending = {event for (state, event) in TRANSITIONS if state is State.SENDING}
    others = {event for (state, event) in TRANSITIONS if state is not State.SENDING}
    assert sending - others == {
        Event.ACCEPT,
        Event.ACCEPT_OPEN,
        Event.HOLD,
        Event.DROP,
        Event.RETRY,
    }
    assert Event.CLAIM not in sending, "one that is on its way is not sent a second time"


@pytest.mark.parametrize(
    ("until", "losses", "answer", "event"),
    [
        (Until.ONCE, 0, HEARD, Event.ACCEPT),
        (Until.LIVE, 0, HEARD, Event.ACCEPT),
        (Until.LIVE, 0, UNHEARD_HERE, Event.PARK),
        (Until.LIVE, 0, UNHEARD_AWAY, Event.PARK),
        (Until.LIVE, 0, REFUSED, Event.PARK),
        (Until.LIVE, 0, LOST, Event.ACCEPT),
        (Until.LIVE_AGAIN, 0, HEARD, Event.ACCEPT_OPEN),
        (Until.LIVE_AGAIN, 0, LOST, Event.PARK),
        (Until.LIVE_AGAIN, LOSSES_MAX - 1, LOST, Event.ACCEPT_OPEN),
        (Until.TAKEN, 0, HEARD, Event.ACCEPT),
        (Until.CONFIRMED, 0, HEARD, Event.ACCEPT_OPEN),
        (Until.ONCE, 0, UNHEARD_AWAY, Event.DROP),
        (Until.ONCE, 0, UNHEARD_HERE, Event.DROP),
        (Until.TAKEN, 0, UNHEARD_AWAY, Event.HOLD),
        (Until.TAKEN, 0, UNHEARD_HERE, Event.RETRY),
        (Until.CONFIRMED, 0, UNHEARD_AWAY, Event.HOLD),
        (Until.TAKEN, 9, REFUSED, Event.RETRY),
        (Until.ONCE, 0, LOST, Event.RETRY),
        (Until.TAKEN, LOSSES_MAX - 2, LOST, Event.RETRY),
        (Until.TAKEN, LOSSES_MAX - 1, LOST, Event.GIVE_UP),
    ],
)
def test_what_an_answer_means(until: Until, losses: int, answer: Answer, event: Event) -> None:
    assert answered(until, losses, answer) is event


@pytest.mark.parametrize(
    ("state", "attempts", "delivery"),
    [
        (State.WAITING, 0, Delivery.PENDING),
        (State.SENDING, 1, Delivery.PENDING),
        (State.SENT, 1, Delivery.DONE),
        (State.UNHEARD, 1, Delivery.NONE),
        (State.UNHEARD, 2, Delivery.DONE),  # the first attempt may have been heard
        (State.EXPIRED, 0, Delivery.NONE),
        (State.EXPIRED, 1, Delivery.DONE),
        (State.CANCELLED, 0, Delivery.NONE),
        (State.FAILED, 4, Delivery.DONE),
    ],
)
def test_what_is_known_of_its_delivery(state: State, attempts: int, delivery: Delivery) -> None:
    over = 1 if state.over else None
    found = Downlink(1, "t", 1, Until.ONCE, state, attempts, 0, 0, 9, None, over, "", "", "")
    assert found.delivery is delivery


def test_pauses_grow_to_a_bound() -> None:
    pauses = [pause_ms(n) for n in range(30)]
    assert pauses == sorted(pauses)
    assert pauses[0] == pauses[1] == 1_000
    assert pauses[-1] == PAUSE_MOST_MS


answers = st.builds(Answer, st.booleans(), st.booleans(), st.booleans(), st.booleans())


@given(
    st.sampled_from(Until),
    st.lists(st.one_of(answers, st.sampled_from(Event)), max_size=30),
)
def test_nothing_is_lost_and_nothing_leaves_its_end(
    until: Until, happenings: list[Answer | Event]
) -> None:
    state, taken = State.QUEUED if until.live else State.WAITING, False
    for one in happenings:
        if isinstance(one, Answer):
            if state is not State.SENDING:
                continue
            event = answered(until, 0, one)
            taken = taken or (one.acknowledged and not one.refused and one.heard)
            # A message that must not come twice counts as taken where it may have been.
            taken = taken or (until is Until.LIVE and not one.acknowledged)
        else:
            event = one
            if event in {Event.ACCEPT, Event.ACCEPT_OPEN, Event.DROP, Event.HOLD}:
                continue  # only an answer brings these
        before, state = state, follow(state, event) or state
        assert not before.over or state is before
    if state is State.SENT:
        assert taken
        assert until is not Until.CONFIRMED
    if state is State.UNHEARD:
        assert until is Until.ONCE
