"""The life of a job: its tables, and what is started when. No database, no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mooring.jobs.rules import (
    JOB_TABLE,
    OPEN,
    OVER,
    TARGET_OVER,
    TARGET_TABLE,
    Counts,
    Decision,
    Event,
    Plan,
    Progress,
    State,
    TargetEvent,
    TargetState,
    decide,
    follow,
    follow_target,
    rank,
    spent,
)

T0 = 1_771_000_000_000
END = T0 + 86_400_000
FAST = Plan(pace=None)
PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "jobs.md"


def running(plan: Plan = FAST, at: int = T0, **counts: int) -> Decision:
    return decide(plan, Progress(State.RUNNING, Counts(**counts), END), at)


# ---------------------------------------------------------------------- tables


def test_every_open_state_ends() -> None:
    """From each open state a way leads to an end by time alone: its time is up, all is over."""
    for state in OPEN:
        first = follow(state, Event.TIME) or state
        assert follow(first, Event.FINISHED) in OVER, state
    assert all(after is not None for after in JOB_TABLE.values())


def test_what_is_over_stays_over_but_for_a_retry_and_later_devices() -> None:
    ways = {(state, event) for state, event in JOB_TABLE if state in OVER}
    again = {(State.DONE, Event.RETRY), (State.EXPIRED, Event.RETRY)}
    assert ways == again | {(State.DONE, Event.ADD)}


def test_a_target_that_is_over_stays_so_but_for_a_failed_and_a_skipped_one() -> None:
    ways = {(state, event) for state, event in TARGET_TABLE if state in TARGET_OVER}
    assert ways == {
        (TargetState.FAILED, TargetEvent.SUCCEED),
        (TargetState.FAILED, TargetEvent.RETRY),
        (TargetState.SKIPPED, TargetEvent.START),
    }
    assert follow_target(TargetState.SUCCEEDED, TargetEvent.FAIL) is None


def table_under(heading: str) -> set[tuple[str, ...]]:
    """The rows under a heading of the page that explains jobs."""
    text = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return {tuple(cell.strip(" `") for cell in row.strip("|").split("|")) for row in rows}


def test_the_documentation_shows_the_tables() -> None:
    shown = table_under("States of a job")
    assert shown == {(str(a), str(event), str(b)) for (a, event), b in JOB_TABLE.items()}
    shown = table_under("States of a device in a job")
    assert shown == {(str(a), str(event), str(b)) for (a, event), b in TARGET_TABLE.items()}


# ---------------------------------------------------------------------- what is started


def test_as_fast_as_possible_starts_all_of_them() -> None:
    assert running(waiting=7).start == 7


@pytest.mark.parametrize(("pace", "first"), [(100.0, 50), (10.0, 5), (1.0, 1), (0.01, 1)])
def test_the_pace_bounds_the_first_start(pace: float, first: int) -> None:
    assert running(Plan(pace=pace), waiting=1000).start == first


def test_the_pace_is_kept_over_an_hour() -> None:
    plan, now, started = Plan(pace=7.0), Progress(State.RUNNING, Counts(waiting=10**6), END), 0
    for at in range(T0, T0 + 3_600_000, 137):
        decision = decide(plan, now, at)
        started += decision.start
        counts = Counts(waiting=10**6 - started, succeeded=started)
        now = replace(now, counts=counts, paced_at=spent(plan, decision, decision.start))
    assert 7 * 3600 - 8 <= started <= 7 * 3600 + 4


def test_the_next_start_is_due_when_the_pace_allows_it() -> None:
    plan = Plan(pace=2.0)
    now = Progress(State.RUNNING, Counts(waiting=10), END)
    first = decide(plan, now, T0)
    assert first.start == 1
    now = replace(now, paced_at=spent(plan, first, 1))
    assert decide(plan, now, T0).start == 0
    due = decide(plan, now, T0).due_at
    assert due == T0 + 500
    assert decide(plan, now, due).start == 1


def test_a_clock_that_was_set_back_delays_one_start_only() -> None:
    plan = Plan(pace=1.0)
    now = Progress(State.RUNNING, Counts(waiting=10), END, paced_at=(T0 + 10**9) * 1000)
    assert decide(plan, now, T0).due_at == T0 + 2000


def test_no_more_than_allowed_are_without_an_outcome() -> None:
    plan = replace(FAST, at_once=5)
    assert running(plan, waiting=100, handed_over=3).start == 2
    assert running(plan, waiting=100, handed_over=5).start == 0
    assert running(plan, waiting=100, handed_over=9).start == 0


@pytest.mark.parametrize("state", [State.PAUSED, State.STOPPED, State.CANCELLING, *sorted(OVER)])
def test_only_a_running_job_starts_anything(state: State) -> None:
    assert decide(FAST, Progress(state, Counts(waiting=5), END), T0).start == 0


def test_its_time_ends_every_open_job() -> None:
    for state in OPEN - {State.EXPIRING}:
        decision = decide(FAST, Progress(state, Counts(waiting=5), T0), T0)
        assert (decision.event, decision.start) == (Event.TIME, 0)


# ---------------------------------------------------------------------- stopping


def test_a_number_of_failures_stops_it() -> None:
    plan = replace(FAST, stop_after=3)
    assert running(plan, waiting=5, failed=2).event is None
    stopped = running(plan, waiting=5, failed=3)
    assert (stopped.event, stopped.start) == (Event.STOP, 0)
    assert "3" in stopped.why


def test_a_share_of_failures_stops_it_from_three_on() -> None:
    plan = replace(FAST, stop_share=0.05)
    assert running(plan, waiting=500, failed=2).event is None
    assert running(plan, waiting=500, failed=3, succeeded=58).event is None
    assert running(plan, waiting=500, failed=3, succeeded=57).event is Event.STOP


def test_skipped_targets_are_no_failures() -> None:
    plan = replace(FAST, stop_after=1, stop_share=0.01)
    assert running(plan, waiting=5, skipped=400).event is None


def test_failures_before_it_was_resumed_do_not_stop_it_again() -> None:
    plan = replace(FAST, stop_after=3, stop_share=0.05)
    now = Progress(State.RUNNING, Counts(waiting=5, failed=3), END, forgiven=3)
    assert decide(plan, now, T0).event is None
    again = replace(now, counts=Counts(waiting=5, failed=6))
    assert decide(plan, again, T0).event is Event.STOP


def test_when_all_are_over_it_is_done_and_not_stopped() -> None:
    assert running(replace(FAST, stop_after=1), failed=9).event is Event.FINISHED
    assert running().event is Event.FINISHED  # without any target


def test_while_failed_targets_are_put_back_nothing_is_judged() -> None:
    now = Progress(State.RUNNING, Counts(failed=9), END, retrying=True)
    decision = decide(replace(FAST, stop_after=1), now, T0)
    assert (decision.event, decision.start) == (None, 0)


# ---------------------------------------------------------------------- waves

WAVES = replace(FAST, waves=(1.0, 10.0, 100.0), soak_ms=60_000)


def test_the_first_wave_has_its_share_and_at_least_one() -> None:
    assert running(WAVES, waiting=1000).start == 10
    assert running(WAVES, waiting=3).start == 1
    assert running(WAVES, waiting=950, handed_over=50).start == 0


def test_the_next_wave_opens_after_all_outcomes_and_the_soak() -> None:
    now = Progress(State.RUNNING, Counts(waiting=990, succeeded=9, handed_over=1), END)
    assert decide(WAVES, now, T0).wave_over_at is None  # one is open
    now = replace(now, counts=Counts(waiting=990, succeeded=10))
    first = decide(WAVES, now, T0)
    assert (first.start, first.wave, first.wave_over_at) == (0, 0, T0)
    assert first.due_at == T0 + 60_000
    now = replace(now, wave_over_at=T0)
    assert decide(WAVES, now, T0 + 59_999).wave == 0
    assert decide(WAVES, now, T0 + 60_000).wave == 1
    assert decide(WAVES, replace(now, wave=1, wave_over_at=None), T0 + 60_000).start == 90


def test_a_gate_that_is_missed_stops_the_job() -> None:
    now = Progress(State.RUNNING, Counts(waiting=990, succeeded=9, failed=1), END)
    decision = decide(WAVES, now, T0)
    assert decision.event is Event.STOP
    assert "9 of 10" in decision.why
    assert decide(replace(WAVES, gate_share=0.9), now, T0).event is None


def test_a_soak_begun_in_the_future_begins_again() -> None:
    now = Progress(State.RUNNING, Counts(waiting=990, succeeded=10), END, wave_over_at=T0 + 10**9)
    assert decide(WAVES, now, T0).wave_over_at == T0


def test_the_last_wave_has_no_gate() -> None:
    now = Progress(State.RUNNING, Counts(waiting=5, failed=95), END, wave=2)
    assert decide(WAVES, now, T0).start == 5


# ---------------------------------------------------------------------- order


def test_the_order_is_the_same_always_and_another_one_in_each_job() -> None:
    def order(job: int) -> Sequence[int]:
        return sorted(range(1, 1001), key=lambda device: rank(job, device))

    assert order(7) == order(7)
    assert order(7) != order(8)
    assert sorted(order(7)) == list(range(1, 1001))
    assert all(0 <= rank(7, device) < 2**63 for device in range(1000))


def test_the_first_wave_is_a_sample_of_all() -> None:
    """Of devices added in two halves, both are in the first tenth."""
    first = sorted(range(1, 10_001), key=lambda device: rank(1, device))[:1000]
    older = sum(device <= 5000 for device in first)
    assert math.isclose(older, 500, abs_tol=80)


def test_counts_add_up() -> None:
    counts = Counts(1, 2, 3, 4, 5, 6)
    assert (counts.total, counts.over) == (21, 18)
