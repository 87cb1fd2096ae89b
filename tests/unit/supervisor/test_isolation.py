"""What goes wrong in one worker, duty or row stays there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mooring.errors import DatabaseUnavailable, Invalid
from mooring.supervisor import rows as rows_module
from mooring.supervisor import worker as worker_module
from mooring.supervisor.duties import Duties, Duty
from mooring.supervisor.registry import Entry
from mooring.supervisor.rows import RowFaults
from mooring.supervisor.state import Policy, Restart
from mooring.supervisor.supervisor import Supervisor
from mooring.supervisor.worker import Record, Worker

QUICK = Policy(first=0.001, most=0.002)


class Panic(BaseException):
    """As pyo3's PanicException: no Exception."""


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "names", lambda _role: frozenset({"a", "b"}))


def test_only_registered_names_run() -> None:
    with pytest.raises(ValueError, match="registry"):
        Record("unheard of", "up")
    assert Entry("a", "up", "does").name == "a"


@pytest.mark.parametrize(
    "fault", [RuntimeError("bug"), Panic("panic"), asyncio.CancelledError(), Invalid("No.")]
)
def test_one_that_fails_runs_again_and_the_other_goes_on(fault: BaseException) -> None:
    async def run() -> None:
        runs = {"a": 0, "b": 0}
        again = asyncio.Event()

        async def bad() -> None:
            runs["a"] += 1
            if runs["a"] == 3:
                again.set()
                await asyncio.Event().wait()
            raise fault

        async def good() -> None:
            runs["b"] += 1
            await asyncio.Event().wait()

        supervisor = Supervisor("up")
        await supervisor.start([Worker("a", bad, QUICK), Worker("b", good)])
        await asyncio.wait_for(again.wait(), 10)
        report = supervisor.report()
        assert runs == {"a": 3, "b": 1}
        assert (report["a"]["failures"], report["b"]["failures"]) == (2, 0)
        assert report["a"]["phase"] == report["b"]["phase"] == "running"
        await supervisor.stop()
        assert {one["phase"] for one in supervisor.report().values()} == {"stopped"}

    asyncio.run(run())


def test_a_worker_that_is_replaced_keeps_its_record() -> None:
    async def run() -> None:
        failed = asyncio.Event()

        async def bad() -> None:
            failed.set()
            raise RuntimeError

        async def good() -> None:
            await asyncio.Event().wait()

        supervisor = Supervisor("up")
        await supervisor.start([Worker("a", bad, Policy(first=60))])
        await asyncio.wait_for(failed.wait(), 10)
        await asyncio.sleep(0)
        await supervisor.start([Worker("a", good)])
        await asyncio.sleep(0)
        assert supervisor.report()["a"]["failures"] == 1
        assert supervisor.report()["a"]["phase"] == "running"
        await supervisor.stop()

    asyncio.run(run())


def test_one_that_is_done_stays_done() -> None:
    async def run() -> None:
        async def once() -> None:
            return

        supervisor = Supervisor("up")
        await supervisor.start([Worker("a", once, Policy(Restart.ON_FAILURE))])
        for _ in range(5):
            await asyncio.sleep(0)
        assert supervisor.report()["a"]["phase"] == "done"
        await supervisor.stop()

    asyncio.run(run())


def test_a_worker_that_cannot_be_ended_does_not_hold_up_the_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mooring.supervisor.supervisor.STOP_SECONDS", 0.05)

    async def run() -> None:
        released = asyncio.Event()

        async def stubborn() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await released.wait()

        supervisor = Supervisor("up")
        await supervisor.start([Worker("a", stubborn)])
        await asyncio.sleep(0)
        await asyncio.wait_for(supervisor.stop(), 10)
        released.set()
        await asyncio.sleep(0.01)

    asyncio.run(run())


@pytest.mark.parametrize("fault", [RuntimeError("bug"), Panic("panic"), DatabaseUnavailable("No.")])
def test_duties_take_turns_whatever_one_does(fault: BaseException) -> None:
    done: list[int] = []

    def bad(_now: int) -> bool:
        raise fault

    def good(now: int) -> bool:
        done.append(now)
        return now < 3

    duties = Duties("keeper", [Duty("a", bad, Policy(first=60)), Duty("b", good)])
    assert [duties.turn(now) for now in (1, 2, 3)] == [True, True, False]
    assert done == [1, 2, 3]
    report = duties.report()
    assert (report["a"]["failures"], report["a"]["phase"]) == (1, "waiting")
    assert report["b"]["failures"] == 0


# ---------------------------------------------------------------------- rows


def faults(clock: Callable[[], float], **options: bool) -> RowFaults:
    return RowFaults("the row", policy=Policy(first=1, most=4), clock=clock, **options)


def test_a_row_that_failed_waits_and_the_others_are_done() -> None:
    now = 0.0
    found, done = faults(lambda: now), []

    def turn(bad: set[int]) -> None:
        for key in range(3):
            if found.postponed(key):
                continue
            with found.isolated(key):
                if key in bad:
                    raise RuntimeError("bug")
                done.append(key)

    turn({1})
    assert (done, found.waiting, found.failures) == ([0, 2], 1, 1)
    turn({1})
    assert found.failures == 1, "it has to wait"
    now = 1.0
    turn({1})
    assert found.failures == 2
    now = 2.9
    assert found.postponed(1)
    now = 3.0
    turn(set())
    assert 1 in done
    assert found.waiting == 0
    assert "the row 1" in found.error


def test_what_concerns_every_row_is_passed_on() -> None:
    found = faults(lambda: 0.0)
    with pytest.raises(DatabaseUnavailable), found.isolated(1):
        raise DatabaseUnavailable("No.")
    assert (found.waiting, found.failures) == (0, 0)


def test_a_row_that_is_left_out_is_counted_and_not_remembered() -> None:
    found = faults(lambda: 0.0, retried=False)
    with found.isolated(1):
        raise RuntimeError
    assert (found.waiting, found.failures) == (0, 1)


def test_it_remembers_a_bounded_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "ROWS_MAX", 10)
    found = faults(lambda: 0.0)
    for key in range(100):
        found.failed(key, RuntimeError())
    assert found.waiting == 10
    assert found.failures == 100
    assert not found.postponed(0)
    assert found.postponed(99)
