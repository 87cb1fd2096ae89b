"""Work that one process at a time does, on both engines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.store.engine import Database, open_database
from mooring.store.leased import LeasedLoop
from mooring.store.leases import Lease
from mooring.store.schema import counters, leases

QUESTION = "SELECT EXISTS (SELECT 1 FROM counters WHERE name = 'todo' AND value <= :at)"


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    opened = open_database(migrated_url)
    yield opened
    opened.close()


class Work:
    """Removes the row ``todo``, if this process holds the lease; counts how often it did."""

    def __init__(self, database: Database, *, fails: bool = False) -> None:
        self.database = database
        self.lease = Lease(database, "work")
        self.fails = fails
        self.steps = self.done = 0
        self.rows: list[Sequence[Any]] = []

    def step(self) -> int:
        mine = self.lease.held()
        self.steps += 1  # now it is known who holds the lease
        if not mine:
            return 0
        if self.fails:
            raise RuntimeError("a fault")
        with self.database.write() as connection:
            gone = connection.execute(sa.delete(counters).where(counters.c.name == "todo")).rowcount
        self.done += gone
        return gone

    def is_due(self, row: Sequence[Any]) -> bool:
        self.rows.append(row)
        return bool(row[0])

    def loop(self, **more: Any) -> LeasedLoop:
        return LeasedLoop(
            self.database,
            self.lease,
            question=QUESTION,
            is_due=self.is_due,
            step=self.step,
            poll=0.01,
            look=0.02,
            **more,
        )

    def add(self) -> None:
        with self.database.write() as connection:
            connection.execute(sa.insert(counters).values(name="todo", value=1))


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not reached():  # noqa: ASYNC110 - it is another thread that reaches it
            await asyncio.sleep(0.005)


def holders(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(leases)).scalar_one())


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_one_works_and_the_next_one_follows(database: Database) -> None:
    async def run() -> None:
        first, second = Work(database), Work(database)
        one = asyncio.create_task(first.loop().run())
        await until(lambda: first.steps > 0)
        other = asyncio.create_task(second.loop().run())
        await until(lambda: second.steps > 0)
        first.add()
        await until(lambda: first.done == 1)
        await ended(one)
        first.add()
        await until(lambda: second.done == 1)
        assert first.done == 1
        await ended(other)

    asyncio.run(run())
    assert holders(database) == 0


def test_while_another_one_works_it_only_tries_to_take_the_lease(database: Database) -> None:
    """However much is due: each attempt is a transaction, for which the other one would wait."""

    async def run() -> None:
        assert Lease(database, "work").held()
        work = Work(database)
        work.add()
        task = asyncio.create_task(work.loop(until_due=lambda: 0.001).run())
        await until(lambda: work.steps >= 2)
        assert work.rows == []
        assert work.done == 0
        await ended(task)

    asyncio.run(run())


def test_a_fault_gives_the_work_to_the_next_one(database: Database) -> None:
    with pytest.raises(RuntimeError, match="a fault"):
        asyncio.run(Work(database, fails=True).loop().run())
    assert holders(database) == 0


def test_it_asks_again_after_its_steps_where_time_makes_work_due(database: Database) -> None:
    async def run() -> None:
        work, waited = Work(database), 0

        async def between() -> None:
            nonlocal waited
            waited += 1

        loop = work.loop(until_due=lambda: 0.01, between=between)
        work.add()
        task = asyncio.create_task(loop.run())
        await until(lambda: work.done == 1 and bool(work.rows))
        assert waited == 1, "between a step that found work and the next one"
        assert not work.rows[-1][0]
        await ended(task)

    asyncio.run(run())


def test_a_step_that_runs_is_over_before_the_lease_is_given_back(database: Database) -> None:
    begun, go_on = threading.Event(), threading.Event()
    work = Work(database)

    def step() -> int:
        done = Work.step(work)
        begun.set()
        go_on.wait(30)
        return done

    work.step = step  # type: ignore[method-assign]

    async def run() -> int:
        task = asyncio.create_task(work.loop().run())
        await until(begun.is_set)
        task.cancel()
        await asyncio.wait([task], timeout=0.3)
        assert not task.done()
        still = await asyncio.to_thread(holders, database)
        go_on.set()
        with suppress(asyncio.CancelledError):
            await task
        return still

    assert asyncio.run(run()) == 1
    assert holders(database) == 0
