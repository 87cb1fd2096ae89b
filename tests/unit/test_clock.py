"""The guarded clock: what is dated by which time, and when nothing may be deleted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring import clock
from mooring.cli.clock import problem_of
from mooring.clock import (
    BACK_MS,
    DOWNTIME_MS,
    FLOOR_MS,
    SETTLE_MS,
    TOLERANCE_MS,
    Anchor,
    Reading,
    Trust,
    deletion_ms,
    judge,
    now_of,
)

SECOND, HOUR, DAY, YEAR = 1000, 3_600_000, 86_400_000, 365 * 86_400_000
START = 1_790_000_000_000  # September 2026


@dataclass
class Machine:
    """A machine whose true time is known, and what Mooring made of its clocks so far."""

    true: int = START
    wrong: int = 0  # the wall clock is ahead of the true time by this
    steady: int = 5_000
    boots: int = 1
    stored: dict[str, Anchor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.look()

    @property
    def reading(self) -> Reading:
        return Reading(self.true + self.wrong, self.steady, str(self.boots))

    @property
    def anchor(self) -> Anchor:
        return self.stored[str(self.boots)]

    @property
    def now(self) -> int:
        return now_of(self.anchor, self.reading)

    @property
    def deletes(self) -> int | None:
        return deletion_ms(self.anchor, self.reading)

    def look(self) -> None:
        newest = max(self.stored.values(), key=lambda one: one.wall, default=None)
        boot = str(self.boots)
        self.stored[boot] = judge(self.stored.get(boot), newest, self.reading)

    def run(self, ms: int, *, every: int = 10 * SECOND) -> None:
        """Time passes, with a look at the clocks now and then."""
        while ms > 0:
            step = min(ms, every)
            self.true, self.steady, ms = self.true + step, self.steady + step, ms - step
            self.look()

    def reboot(self, off_for: int, wrong: int = 0) -> None:
        self.true += off_for
        self.wrong, self.steady, self.boots = wrong, 1_000, self.boots + 1
        self.look()


WIDE = [HOUR, 40 * DAY, 10 * YEAR, 50 * YEAR]


@pytest.mark.parametrize("wrong", [*WIDE, *(-wide for wide in WIDE)])
def test_a_step_changes_no_date_and_stops_deletion_from_that_moment(wrong: int) -> None:
    machine = Machine()
    machine.run(60 * SECOND)
    machine.wrong = wrong  # nobody has looked yet
    assert machine.now == machine.true
    assert machine.deletes is None
    machine.run(15 * SECOND)
    assert machine.now == machine.true
    assert machine.deletes is None
    assert problem_of(machine.anchor, machine.reading)
    machine.wrong = 0
    machine.look()
    assert machine.now == machine.deletes == machine.true
    assert problem_of(machine.anchor, machine.reading) == ""


@given(
    st.lists(
        st.tuples(
            st.integers(-60 * YEAR, 60 * YEAR).filter(lambda ms: abs(ms) > 2 * TOLERANCE_MS),
            st.floats(0.05, 0.9),
            st.integers(0, 3 * HOUR),
        ),
        max_size=6,
    )
)
def test_steps_that_do_not_last_lose_nothing_and_heal(steps: list[tuple[int, float, int]]) -> None:
    """Whatever the wall clock does for less than the width of its step."""
    machine = Machine()
    for wrong, share, pause in steps:
        machine.wrong = wrong
        width = min(abs(wrong), BACK_MS if wrong < 0 else 10 * DAY)
        machine.run(int(share * width), every=max(10 * SECOND, width // 50))
        assert machine.now == machine.true
        assert machine.deletes is None
        machine.wrong = 0
        machine.run(pause, every=max(10 * SECOND, pause // 20))
        machine.look()
        assert machine.now == machine.deletes == machine.true


@given(st.lists(st.tuples(st.integers(0, 30 * DAY), st.integers(-2 * YEAR, 20 * YEAR)), max_size=5))
def test_no_restart_with_a_wrong_clock_deletes_early(
    boots: Iterable[tuple[int, int]],
) -> None:
    """Deletion never runs ahead of the true time while a wrong clock lasts less long than it is
    wrong, however often the machine starts with one."""
    machine = Machine()
    for off_for, wrong in boots:
        machine.run(2 * HOUR, every=SECOND * 600)
        machine.reboot(off_for, wrong)
        for _ in range(3):
            assert machine.deletes is None or machine.deletes <= machine.true + TOLERANCE_MS
            machine.run(min(max(abs(wrong) // 8, SECOND), HOUR // 4), every=60 * SECOND)
        machine.wrong = 0
        machine.look()


def test_an_old_downtime_does_not_cover_for_a_new_one() -> None:
    """What a long weekend has nearly waited for is not the proof of the next start's clock."""
    machine = Machine()
    machine.run(2 * HOUR)
    machine.reboot(3 * DAY)
    machine.run(3 * DAY - HOUR, every=HOUR)
    machine.reboot(0, wrong=2 * DAY)
    machine.run(2 * HOUR)
    assert machine.deletes is None or machine.deletes <= machine.true


def test_an_unproved_downtime_is_dated_at_once_and_deleted_by_later() -> None:
    machine = Machine()
    machine.run(2 * HOUR)
    machine.reboot(3 * DAY)
    assert machine.now == machine.true
    assert machine.deletes == machine.true - 3 * DAY
    assert problem_of(machine.anchor, machine.reading) == ""  # a long weekend is nobody's trouble
    machine.run(3 * DAY, every=HOUR)
    assert machine.deletes == machine.true


def test_a_long_downtime_is_said_until_it_is_confirmed() -> None:
    machine = Machine()
    machine.run(2 * HOUR)
    machine.reboot(90 * DAY)
    assert machine.now == machine.true
    assert "mooring clock confirm" in problem_of(machine.anchor, machine.reading)
    machine.stored = {str(machine.boots): clock.confirm(machine.reading)}
    assert machine.deletes == machine.true
    assert problem_of(machine.anchor, machine.reading) == ""


def test_a_restart_far_ahead_is_not_believed() -> None:
    machine = Machine()
    machine.run(2 * HOUR)
    known = machine.true
    machine.reboot(60 * SECOND, wrong=10 * YEAR)
    assert abs(machine.now - known) <= 60 * SECOND
    assert machine.deletes is None
    machine.run(60 * SECOND)
    machine.wrong = 0
    machine.look()
    assert machine.now == machine.true
    assert machine.deletes is not None


def test_a_board_without_a_battery_is_right_once_its_clock_is_set() -> None:
    """It starts with the time it was switched off at, and the network's time comes later."""
    machine = Machine()
    machine.run(2 * HOUR)
    machine.reboot(90 * DAY, wrong=-90 * DAY)
    machine.run(120 * SECOND)
    machine.wrong = 0
    machine.look()
    assert machine.now == machine.true
    assert machine.deletes == machine.anchor.floor


@pytest.mark.parametrize("late", [DAY, 2 * YEAR])
def test_a_first_start_in_1970_counts_from_the_floor_until_the_clock_is_set(late: int) -> None:
    true = FLOOR_MS + late
    machine = Machine(true=true, wrong=60_000 - true)
    assert machine.now == FLOOR_MS
    assert machine.deletes is None
    assert "Set the clock" in problem_of(machine.anchor, machine.reading)
    machine.run(120 * SECOND)
    assert machine.now == FLOOR_MS + 120 * SECOND
    machine.wrong = 0
    machine.look()
    assert machine.now == machine.true
    assert machine.deletes == FLOOR_MS, "what came before may not be deleted as if it were old"


def test_a_step_that_stands_is_followed() -> None:
    machine = Machine()
    machine.run(60 * SECOND)
    machine.wrong = 8 * HOUR  # a virtual machine that was paused
    machine.run(8 * HOUR - 20 * SECOND)
    assert machine.now == machine.true
    machine.run(40 * SECOND)
    assert machine.now == machine.deletes == machine.true + 8 * HOUR
    machine.wrong = 0
    machine.run(8 * HOUR + 40 * SECOND)
    assert machine.now == machine.true


def test_many_small_steps_are_not_one_that_stood() -> None:
    machine = Machine()
    machine.run(60 * SECOND)
    for number in range(1, 60):
        machine.wrong = number * 10 * 60 * SECOND
        machine.run(9 * 60 * SECOND)
        assert machine.now == machine.true


def test_a_boot_settles_only_in_agreement() -> None:
    machine = Machine()
    machine.run(2 * HOUR)
    machine.reboot(DAY)
    assert machine.anchor.trust is Trust.SETTLING
    machine.run(SETTLE_MS)
    assert machine.anchor.trust is Trust.SETTLED


def test_a_monotonic_clock_that_goes_wild_is_not_believed() -> None:
    machine = Machine()
    machine.run(60 * SECOND)
    anchor = machine.anchor
    wild = Reading(machine.true + 10 * YEAR, machine.steady + 10 * YEAR, anchor.boot)
    assert now_of(anchor, wild) <= machine.true + DOWNTIME_MS
    assert deletion_ms(anchor, wild) is None


def test_a_monotonic_clock_that_went_back_is_another_boot() -> None:
    machine = Machine()
    machine.run(2 * HOUR)
    back = Reading(machine.true + HOUR, 10, machine.anchor.boot)
    assert judge(machine.anchor, machine.anchor, back).trust is Trust.SETTLING


def test_this_process_counts_by_what_is_installed() -> None:
    reading = clock.read()
    away = 5 * YEAR
    try:
        clock.install(
            Anchor(reading.boot, reading.wall - away, reading.steady, Trust.SETTLED, 0, 0, 0, 0, 0)
        )
        assert abs(clock.now_ms() - (reading.wall - away)) < HOUR
        assert clock.utc_now().timestamp() * 1000 < reading.wall - away + HOUR
    finally:
        clock.install(None)
    assert clock.now_ms() >= reading.wall - TOLERANCE_MS
