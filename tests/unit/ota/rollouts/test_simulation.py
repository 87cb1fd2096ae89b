"""Ten thousand devices, of which some fail in every way, on the pure rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.jobs.gates import needed
from mooring.jobs.rules import (
    SHARE_FAILURES_MIN,
    Decision,
    Event,
    Facts,
    State,
    decide,
    look,
)
from mooring.ota.rollouts.model import PLAN
from tests.support.rollout_model import FAILURES, T0, Fleet

ALL = replace(PLAN, stop_share=None, gate_share=0.9, pace=None, at_once=500)


def holds(fleet: Fleet, decision: Decision, facts: Facts) -> None:
    """What is true of every step of every rollout."""
    plan, now = fleet.plan, fleet.now
    assert now.counts.total == fleet.devices
    assert min(getattr(now.counts, name) for name in type(now.counts).__dataclass_fields__) >= 0
    if decision.start and plan.at_once is not None:
        assert now.counts.handed_over - facts.absent + decision.start <= plan.at_once
    if decision.wave > now.wave:
        seen = look(plan, now, facts)
        assert plan.gate_done is not None
        assert seen.over >= needed(plan.gate_done, seen), "a wave opened before its gate"
        assert not facts.busy
        assert seen.successes >= plan.gate_share * (seen.successes + seen.failures)
        assert now.wave_over_at is not None or not plan.soak_ms
        assert fleet.at - (now.wave_over_at or fleet.at) >= plan.soak_ms
    if decision.event is Event.STOP:
        assert decision.start == 0


def test_five_percent_that_fail_in_every_way_are_counted_as_they_failed() -> None:
    fleet = Fleet(10_000, ALL, failing=0.05, skipped=0.02, away=0.1, check=holds)
    wanted = Counter(one for one in fleet._fate if one)
    assert set(FAILURES) < set(wanted)
    assert fleet.run() is State.EXPIRED  # what is lost fails when the time is up
    counts = fleet.now.counts
    assert (counts.waiting, counts.handed_over, counts.cancelled) == (0, 0, 0)
    assert fleet.causes == wanted
    assert counts.failed == sum(wanted[one] for one in FAILURES)
    assert counts.skipped == wanted["already"]
    assert counts.succeeded == 10_000 - counts.failed - counts.skipped


def test_it_stops_with_the_outcome_that_reaches_the_limit() -> None:
    """Nothing is offered after the third failure, or the one that is the twentieth part."""
    fleet = Fleet(10_000, replace(PLAN, gate_share=0.5), failing=0.08, check=holds)
    assert fleet.run() is State.STOPPED
    counts = fleet.now.counts
    assert counts.failed >= SHARE_FAILURES_MIN
    assert counts.failed >= 0.05 * (counts.failed + counts.succeeded)
    assert counts.failed + counts.succeeded < 1000
    assert counts.waiting > 8900


def test_a_bad_release_stops_in_the_first_wave() -> None:
    fleet = Fleet(10_000, PLAN, failing=1.0, check=holds)
    assert fleet.run() is State.STOPPED
    assert fleet.now.wave == 0
    assert fleet.now.counts.waiting >= 9900


def test_one_failure_in_the_first_wave_of_ten_holds_the_others() -> None:
    """Two failures stop nothing, but 8 of 10 are too few for the gate."""
    fleet = Fleet(1000, PLAN, failing=0.0, check=holds)
    fleet._fate[:2] = ["health", "digest"]
    assert fleet.run() is State.STOPPED
    assert fleet.now.counts.waiting == 990


def test_after_a_fix_it_continues_and_earlier_failures_do_not_stop_it() -> None:
    fleet = Fleet(1000, PLAN, failing=0.0, check=holds)
    fleet._fate[:2] = ["health", "digest"]
    assert fleet.run() is State.STOPPED
    counts = fleet.now.counts
    fleet.now = replace(
        fleet.now,
        state=State.RUNNING,
        forgiven=counts.failed,
        forgiven_successes=counts.succeeded,
        wave_over_at=None,
    )
    assert fleet.run() is State.DONE
    assert (fleet.now.counts.succeeded, fleet.now.counts.failed) == (998, 2)


def test_the_pace_can_be_lowered_at_any_time() -> None:
    fleet = Fleet(500, replace(PLAN, waves=(100.0,)), failing=0.0, check=holds)
    fleet.step()
    fleet.plan = replace(fleet.plan, pace=0.1, at_once=2)
    before = fleet.now.counts.handed_over
    fleet.step()
    assert fleet.now.counts.handed_over == before
    assert fleet.run() is State.DONE


@given(
    devices=st.integers(0, 60),
    failing=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    skipped=st.sampled_from([0.0, 0.5, 1.0]),
    away=st.sampled_from([0.0, 0.5]),
    at_once=st.sampled_from([1, 5, None]),
    pace=st.sampled_from([None, 0.5, 10.0]),
    waves=st.sampled_from([(100.0,), (1.0, 10.0, 100.0), (50.0, 100.0)]),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_every_rollout_ends(  # one argument for each dimension
    *,
    devices: int,
    failing: float,
    skipped: float,
    away: float,
    at_once: int | None,
    pace: float | None,
    waves: tuple[float, ...],
    seed: int,
) -> None:
    plan = replace(PLAN, waves=waves, at_once=at_once, pace=pace)
    fleet = Fleet(devices, plan, failing, skipped, away, seed, check=holds)
    end = fleet.run(20_000)
    assert end in (State.DONE, State.STOPPED, State.EXPIRED)
    if end is State.STOPPED:  # a person ends it, or its time does
        assert decide(plan, fleet.now, fleet.now.expires_at).event is Event.TIME


@pytest.mark.parametrize("devices", [0, 1, 2])
def test_the_smallest_fleets_are_updated(devices: int) -> None:
    fleet = Fleet(devices, PLAN, failing=0.0, check=holds)
    assert fleet.run() is State.DONE
    assert fleet.now.counts.succeeded == devices
    assert fleet.at >= T0
