"""How fast a rollout may offer a file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.jobs.rules import Counts, Facts, Plan, Progress, State, decide, spent
from mooring.ota.rollouts.bandwidth import starts_per_second

MEGABYTE = 1_000_000
T0 = 1_771_000_000_000


def test_the_smallest_limit_counts() -> None:
    assert starts_per_second(0, 0, 3, MEGABYTE) is None
    assert starts_per_second(2 * MEGABYTE, 0, 3, MEGABYTE) == 2.0
    assert starts_per_second(0, 6 * MEGABYTE, 3, MEGABYTE) == 2.0
    assert starts_per_second(MEGABYTE, 6 * MEGABYTE, 3, MEGABYTE) == 1.0
    assert starts_per_second(100_000, 0, 1, MEGABYTE) == 0.1
    assert starts_per_second(10, 0, 0, 0) == 10.0  # an empty file is one byte


@given(
    limit=st.integers(10_000, 50 * MEGABYTE),
    size=st.integers(100_000, 20 * MEGABYTE),
    pace=st.sampled_from([None, 1.0, 10.0, 100.0]),
    steps=st.lists(st.integers(20, 5_000), min_size=1, max_size=30),
)
def test_bytes_offered_stay_below_the_limit(
    limit: int, size: int, pace: float | None, steps: list[int]
) -> None:
    """Whatever the pace of the plan, and however late the worker looks."""
    most = starts_per_second(limit, 0, 1, size)
    plan = Plan(pace=pace)
    now = Progress(State.RUNNING, Counts(waiting=1_000_000), T0 * 2)
    at, started = T0, 0
    for step in steps:
        at += step
        decision = decide(plan, now, at, Facts(pace=most))
        started += decision.start
        now = Progress(
            State.RUNNING,
            Counts(waiting=1_000_000 - started, handed_over=started),
            T0 * 2,
            paced_at=spent(plan, decision, decision.start),
        )
    seconds = (at - T0) / 1000
    # One file more than fits may be on its way, and what half a second of looking late allows.
    assert started * size <= limit * (seconds + 0.5) + 2 * size
