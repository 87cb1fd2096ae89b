"""Waiting in the event loop: one look for all, and none while nobody waits."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.changes import queue as change_queue
from mooring.devices.model import NewDevice
from mooring.errors import DatabaseUnavailable
from mooring.identity.actor import SYSTEM
from mooring.sequences.numbers import RANGES_MAX, Numbers, pack_ranges
from mooring.store.engine import Database, now_ms
from mooring.store.schema import broker_changes, processes, sequences
from mooring.uplink.service import committed
from mooring.web import watching
from mooring.web.watching import Watcher


@pytest.fixture
def database(platform: App) -> Database:
    """Two devices, and a process that tells the broker of changes; none is pending."""
    for name in ("one", "two"):
        platform.devices.add(SYSTEM, NewDevice(name, "mooring", "t"))
    with platform.database.write() as connection:
        connection.execute(sa.delete(broker_changes))
        at = now_ms()
        connection.execute(
            sa.insert(processes).values(
                name="up", role="up", pid=1, host="h", started_at=at, beat_at=at
            )
        )
    return platform.database


def pending(database: Database, username: str) -> int:
    with database.write() as connection:
        return change_queue.enqueue(connection, "put", username)


def settle(database: Database, *ids: int) -> None:
    with database.write() as connection:
        change_queue.settle(connection, ids)


def commit(database: Database, device: int, numbers: Numbers) -> None:
    with database.write() as connection:
        connection.execute(sa.delete(sequences).where(sequences.c.device_id == device))
        connection.execute(
            sa.insert(sequences).values(
                device_id=device, upto=numbers.upto, above=pack_ranges(numbers.above), lost=0
            )
        )


def test_each_is_finished_when_its_own_changes_are_applied(database: Database) -> None:
    one, other = pending(database, "a"), pending(database, "b")

    async def run() -> None:
        watcher = Watcher(database)
        first = asyncio.create_task(watcher.applied([one], 20))
        second = asyncio.create_task(watcher.applied([one, other], 0.3))
        await asyncio.sleep(0.1)
        assert not first.done()
        await asyncio.to_thread(settle, database, one)
        assert await first is True
        assert await second is False
        assert await watcher.applied([one], 0) is True
        assert await watcher.applied([], 20) is True

    asyncio.run(run())


def test_many_who_wait_are_looked_for_together(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is looked for once nobody waits."""
    monkeypatch.setattr(watching, "ASKED_AT_ONCE", 7)
    ids = [pending(database, f"u{number}") for number in range(30)]

    async def run() -> None:
        watcher = Watcher(database)
        waiting = [asyncio.create_task(watcher.applied([number], 20)) for number in ids]
        while watcher.looks < len(ids) + 3:  # noqa: ASYNC110 - the counter is what is tested
            await asyncio.sleep(0.01)
        before = watcher.looks
        await asyncio.to_thread(settle, database, *ids)
        assert await asyncio.gather(*waiting) == [True] * 30
        assert watcher.looks <= before + 5
        await asyncio.sleep(3 * watching.TICK_SECONDS)
        after = watcher.looks
        await asyncio.sleep(5 * watching.TICK_SECONDS)
        assert watcher.looks == after
        assert watcher._waits == set()

    asyncio.run(run())


def test_numbers_are_waited_for_by_device(database: Database) -> None:
    async def run() -> None:
        watcher = Watcher(database)
        first = asyncio.create_task(committed(watcher, 1, [1, 2], 20))
        second = asyncio.create_task(committed(watcher, 2, [1], 0.3))
        await asyncio.to_thread(commit, database, 1, Numbers(1))
        await asyncio.sleep(0.1)
        assert not first.done()
        await asyncio.to_thread(commit, database, 1, Numbers(2))
        assert await first == (True, Numbers(2))
        assert await second == (False, Numbers())
        assert await committed(watcher, 1, [], 20) == (True, Numbers(2))

    asyncio.run(run())


def test_a_device_with_too_many_gaps_is_answered(database: Database) -> None:
    """Its number cannot be remembered: no receipt covers it, and waiting would not help."""
    ranges = tuple((3 * n, 3 * n) for n in range(1, RANGES_MAX + 1))
    commit(database, 1, Numbers(0, ranges))

    async def run() -> None:
        watcher = Watcher(database)
        done, held = await committed(watcher, 1, [ranges[-1][1] + 10], 20)
        assert done
        assert not held.holds(ranges[-1][1] + 10)
        done, _ = await committed(watcher, 1, [ranges[0][0] + 1], 0.1)
        assert not done, "a number that can be remembered is waited for"

    asyncio.run(run())


def test_where_nothing_runs_it_looks_once(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.update(processes).values(beat_at=0))
    change = pending(database, "a")

    async def run() -> None:
        watcher = Watcher(database)
        assert await watcher.applied([change], 3600) is False
        assert watcher.looks == 1

    asyncio.run(run())


def test_an_unreachable_database_is_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = pending(database, "a")
    broken = True
    see = Watcher._see

    def sometimes(self: Watcher, waits: list[watching._Wait]) -> watching._Seen:
        if broken:
            raise DatabaseUnavailable("It is away.")
        return see(self, waits)

    monkeypatch.setattr(Watcher, "_see", sometimes)

    async def run() -> None:
        nonlocal broken
        watcher = Watcher(database)
        waiting = asyncio.create_task(watcher.applied([change], 20))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(settle, database, change)
        broken = False
        assert await waiting is True

    asyncio.run(run())


def test_a_question_of_another_kind(database: Database) -> None:
    asked: list[int] = []

    def check() -> bool:
        asked.append(1)
        return len(asked) == 3

    def broken() -> bool:
        raise ValueError("a fault of ours")

    async def run() -> None:
        watcher = Watcher(database)
        assert await watcher.until(check, 20)
        with pytest.raises(ValueError, match="ours"):
            await watcher.until(broken, 20)

    asyncio.run(run())
