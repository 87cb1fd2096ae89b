"""Every transition of a worker's life, and how long it waits."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from mooring.parts import PARTS
from mooring.supervisor.state import (
    TRANSITIONS,
    Event,
    Phase,
    Policy,
    Restart,
    State,
    advance,
    backoff,
)

POLICY = Policy(first=1.0, most=8.0, steady=30.0)


@pytest.mark.parametrize(("phase", "event"), list(product(Phase, Event)))
def test_every_event_in_every_phase(phase: Phase, event: Event) -> None:
    state = State(phase, since=100.0)
    expected = TRANSITIONS.get((phase, event))
    if expected is None:
        with pytest.raises(ValueError, match=str(phase)):
            advance(state, event, 101.0, POLICY)
    else:
        assert advance(state, event, 101.0, POLICY).phase is expected


def test_who_fails_again_and_again_waits_longer_up_to_a_bound() -> None:
    state, waits, now = State(), [], 0.0
    for _ in range(8):
        state = advance(state, Event.BEGIN, now, POLICY)
        state = advance(state, Event.FAIL, now, POLICY, "words")
        waits.append(state.until - now)
        now = state.until
    assert waits == [1, 2, 4, 8, 8, 8, 8, 8]
    assert (state.failures, state.streak, state.error) == (8, 8, "words")


def test_a_run_that_lasted_begins_a_new_row_of_failures() -> None:
    state = State(Phase.RUNNING, since=0.0, failures=5, streak=5)
    assert advance(state, Event.FAIL, 29.9, POLICY).streak == 6
    healthy = advance(state, Event.FAIL, 30.0, POLICY)
    assert (healthy.failures, healthy.streak, healthy.until) == (6, 1, 31.0)


def test_who_returns_runs_again_or_is_done() -> None:
    running = State(Phase.RUNNING)
    again = advance(running, Event.END, 5.0, POLICY)
    assert (again.phase, again.until) == (Phase.WAITING, 6.0)
    done = advance(running, Event.END, 5.0, Policy(Restart.ON_FAILURE))
    assert done.phase is Phase.ENDED


def test_an_error_is_cut() -> None:
    running = State(Phase.RUNNING)
    assert len(advance(running, Event.FAIL, 0.0, POLICY, "x" * 10_000).error) == 300


def test_the_wait_never_shrinks() -> None:
    waits = [backoff(n, POLICY) for n in range(200)]
    assert all(a <= b for a, b in pairwise(waits))
    assert waits[-1] == POLICY.most


def test_a_name_is_used_once_in_a_role() -> None:
    keys = [(entry.role, entry.name) for part in PARTS for entry in part.workers]
    assert len(keys) == len(set(keys))
