"""When the next wave opens, where a share of the outcomes is enough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.jobs.gates import Gate, Look, boundary, needed, verdict
from mooring.jobs.rules import Counts, Decision, Event, Facts, Plan, Progress, State, decide, rank

T0 = 1_771_000_000_000
END = T0 + 86_400_000
WAVES = Plan(pace=None, waves=(1.0, 10.0, 100.0), gate_done=0.5, soak_ms=600_000)


def running(facts: Facts | None = None, plan: Plan = WAVES, at: int = T0, **more: Any) -> Decision:
    wave, over_at = more.pop("wave", 0), more.pop("wave_over_at", None)
    now = Progress(State.RUNNING, Counts(**more), END, wave=wave, wave_over_at=over_at)
    return decide(plan, now, at, facts or Facts())


def test_half_of_the_started_ones_is_enough() -> None:
    assert running(waiting=990, handed_over=6, succeeded=4).wave_over_at is None
    half = running(waiting=990, handed_over=5, succeeded=5)
    assert (half.start, half.wave_over_at) == (0, T0)
    assert half.due_at == T0 + 600_000
    after = running(at=T0 + 600_000, wave_over_at=T0, waiting=990, handed_over=5, succeeded=5)
    assert after.wave == 1


def test_without_a_share_every_one_needs_an_outcome() -> None:
    plan = replace(WAVES, gate_done=None)
    assert running(plan=plan, waiting=990, handed_over=1, succeeded=9).wave_over_at is None


def test_one_outcome_is_needed_at_least() -> None:
    assert running(waiting=99, handed_over=1).wave_over_at is None
    assert running(plan=replace(WAVES, gate_done=0.0), waiting=99, handed_over=1).start == 0


def test_no_wave_opens_while_a_device_installs() -> None:
    so = {"waiting": 990, "handed_over": 3, "succeeded": 7, "wave_over_at": T0}
    held = running(Facts(busy=1), at=T0 + 600_000, **so)
    assert (held.wave, held.start, held.wave_over_at) == (0, 0, T0)
    assert running(at=T0 + 600_000, **so).wave == 1


def test_devices_that_are_not_there_are_not_part_of_the_wave() -> None:
    """Ten belong to the first wave. Three of all can be started; those decide."""
    facts = Facts(later=997, next_at=T0 + 5_000)
    assert running(facts, waiting=997, handed_over=2, succeeded=1).wave_over_at is None
    assert running(facts, waiting=997, handed_over=1, succeeded=2).wave_over_at == T0
    none = running(replace(facts, later=1000), waiting=1000)
    assert (none.start, none.wave_over_at, none.due_at) == (0, None, T0 + 5_000)


def test_skipped_devices_do_not_fill_a_wave() -> None:
    """Five hundred have the release already: the first wave is 1 % of the others, all started."""
    assert running(waiting=500, skipped=500).start == 5
    assert running(plan=replace(WAVES, gate_done=None), waiting=500, skipped=500).start == 0


def test_too_few_successes_hold_the_wave_and_end_it_when_no_more_can_come() -> None:
    held = running(waiting=990, handed_over=5, succeeded=4, failed=1)
    assert (held.event, held.wave_over_at, held.start) == (None, None, 0)
    missed = running(waiting=990, succeeded=9, failed=1)
    assert missed.event is Event.STOP
    assert "9 of 10" in missed.why


def test_nothing_is_started_while_the_job_is_held() -> None:
    held = running(Facts(held="not approved", look_at=T0 + 1_000), waiting=1000)
    assert (held.start, held.due_at) == (0, T0 + 1_000)


def test_devices_that_left_do_not_count_for_the_cap() -> None:
    plan = replace(WAVES, waves=(100.0,), at_once=5)
    assert running(plan=plan, waiting=100, handed_over=5).start == 0
    assert running(Facts(absent=2), plan=plan, waiting=100, handed_over=5).start == 2


def test_only_targets_whose_time_has_come_are_started() -> None:
    plan = replace(WAVES, waves=(100.0,))
    decision = running(Facts(later=8, next_at=T0 + 60_000), plan=plan, waiting=10)
    assert (decision.start, decision.due_at) == (2, T0)
    none = running(Facts(later=10, next_at=T0 + 60_000), plan=plan, waiting=10)
    assert (none.start, none.due_at) == (0, T0 + 60_000)


def test_a_skipped_target_is_judged_again_in_the_last_wave_too() -> None:
    plan = replace(WAVES, waves=(100.0,))
    assert running(Facts(again=4), plan=plan, handed_over=1, skipped=4).start == 4
    assert running(Facts(again=4), plan=plan, succeeded=1, skipped=4).event is Event.FINISHED


def test_those_named_first_come_before_all_others() -> None:
    canaries = [rank(7, device, first=True) for device in range(500)]
    others = [rank(7, device, first=False) for device in range(500, 1000)]
    assert max(canaries) < min(others)
    assert max(others) < 2**63
    assert sorted(range(500), key=lambda n: rank(7, n, first=True)) == sorted(
        range(500), key=lambda n: rank(7, n)
    )


LOOKS = st.builds(
    Look,
    room=st.integers(-5, 5),
    startable=st.integers(0, 5),
    open=st.integers(0, 20),
    successes=st.integers(0, 20),
    failures=st.integers(0, 20),
    over=st.integers(0, 40),
    busy=st.integers(0, 2),
)


@given(LOOKS, st.sampled_from([None, 0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.9, 0.95, 1.0]))
def test_an_open_gate_has_enough_outcomes_and_enough_successes(
    look: Look, done: float | None, share: float
) -> None:
    gate = verdict(done, share, look)
    if gate not in (Gate.OPEN, Gate.BUSY):
        return
    assert (gate is Gate.BUSY) == (look.busy > 0)
    assert not look.open if done is None else look.over >= max(1, done * (look.over + look.open))
    assert look.successes >= share * (look.successes + look.failures) or not look.failures


@pytest.mark.parametrize(
    ("percent", "wave", "total", "expected"),
    [(1.0, 0, 1000, 10), (1.0, 0, 3, 1), (10.0, 1, 3, 2), (100.0, 2, 2, 2), (1.0, 0, 0, 0)],
)
def test_each_wave_has_at_least_one(percent: float, wave: int, total: int, expected: int) -> None:
    assert boundary(percent, wave, total) == expected


def test_what_is_needed_is_rounded_up() -> None:
    assert needed(0.5, Look(0, 0, 4, 0, 0, 1)) == 3
