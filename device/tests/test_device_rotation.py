"""Rotation as a state machine: no order of events strands the device."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_device.rotation import (
    NEW_HOLDS,
    OLD_HOLDS,
    Passwords,
    lost,
    offered,
    proved,
    refused,
)

OLD = Passwords("old")
OFFERED = offered(OLD, "new", "r1", used="old")


def test_both_are_kept_and_the_new_one_is_tried() -> None:
    assert Passwords("old", "new", "r1", try_pending=True) == OFFERED
    assert OFFERED.current == "new"
    assert OFFERED.holds == NEW_HOLDS


def test_the_new_one_proves_itself_and_the_old_one_goes() -> None:
    assert proved(OFFERED) == Passwords("new", rotation="r1")


def test_each_is_tried_some_times_before_the_other() -> None:
    state, tried = OFFERED, ""
    for _ in range(32):
        tried += str(state.current)[0]
        state = refused(state)
    assert tried == "nnooonnnnooooonnnnnnoooooonnnnnn"


def test_the_old_one_needs_long_to_prove_itself() -> None:
    back = refused(refused(OFFERED))
    assert back.current == "old"
    assert back.holds == OLD_HOLDS > NEW_HOLDS
    assert proved(back) == Passwords("old", rotation="r1")


def test_a_session_with_the_old_one_that_ends_early_gives_the_new_one_its_turn() -> None:
    back = refused(refused(OFFERED))
    assert lost(back, had_session=True).current == "new"
    assert lost(back, had_session=False) == back  # the network is down: no news of passwords


def test_the_same_order_again_changes_nothing() -> None:
    assert offered(OFFERED, "new", "r1", used="old") is OFFERED
    settled = proved(OFFERED)
    assert offered(settled, "new", "r1", used="new") is settled


def test_an_order_over_the_pending_one_proves_it() -> None:
    assert offered(OFFERED, "third", "r2", used="new") == Passwords(
        "new", "third", "r2", try_pending=True
    )


def test_an_order_for_the_password_in_use_settles_it() -> None:
    assert offered(OFFERED, "new", "r2", used="new") == Passwords("new", rotation="r2")


def test_no_password_is_shown() -> None:
    assert "old" not in repr(OFFERED)
    assert "new" not in repr(OFFERED)


@given(st.booleans(), st.integers(1, 5), st.lists(st.sampled_from(["down", "slow"]), max_size=5))
def test_it_gets_in_whichever_side_the_broker_holds(
    broker_has_new: bool, flips_every: int, network: list[str]
) -> None:
    """The platform changes the broker's side at every n-th refusal, as it may."""
    state, side = OFFERED, "new" if broker_has_new else "old"
    for _ in network:
        state = lost(state, had_session=False)
    for refusals in range(1, 200):
        if state.current == side:
            break
        state = refused(state)
        if refusals % flips_every == 0:
            side = "old" if side == "new" else "new"
    assert state.current == side
    # Whichever it was, the other one is still there until the proof.
    assert {state.settled, state.pending} == {"old", "new"}
    assert proved(state).current == side


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["refused", "lost", "proved", "down"]),
            st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2"])),
        ),
        max_size=30,
    )
)
def test_there_is_always_a_password_that_was_good_once(events: list[object]) -> None:
    state, good = OLD, {"old"}
    for event in events:
        if isinstance(event, tuple):
            state = offered(state, event[0], event[1], used=state.current)
            good.add(state.settled or "")
        elif event == "refused":
            state = refused(state)
        elif event == "proved":
            good.add(state.current or "")
            state = proved(state)
        else:
            state = lost(state, had_session=event == "lost")
        assert state.settled in good
        assert state.current in (state.settled, state.pending)


@pytest.mark.parametrize("used", [None, "never seen"])
def test_a_strange_login_keeps_the_settled_one(used: str) -> None:
    assert offered(OLD, "new", None, used=used).settled == "old"
