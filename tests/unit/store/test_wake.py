"""Commits wake those who wait for them."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from mooring.store import wake
from mooring.store.engine import open_database
from mooring.store.wake import Waker, ring

LONG = 60.0


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test in an event loop of its own."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


@pytest.fixture(autouse=True)
def asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody who is not woken ends within the test."""
    monkeypatch.setattr(wake, "ASLEEP_SECONDS", LONG)


@in_loop
async def test_a_commit_wakes_every_process_that_waits(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'mooring.db'}")
    wakers = [Waker(database.wake_folder), Waker(database.wake_folder)]
    waiting = [asyncio.create_task(one.wait(0.0)) for one in wakers]
    await asyncio.sleep(0)
    with database.write():
        pass
    async with asyncio.timeout(LONG / 2):
        await asyncio.gather(*waiting)
    for one in wakers:
        one.close()
    assert list((tmp_path / wake.FOLDER).iterdir()) == []
    database.close()


@in_loop
async def test_what_happens_before_the_wait_is_not_missed(tmp_path: Path) -> None:
    folder = tmp_path / wake.FOLDER
    waker = Waker(folder)
    ring(folder)
    async with asyncio.timeout(LONG / 2):
        await waker.wait(0.0)
    waker.close()


@in_loop
async def test_signs_of_life_wake_nobody(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'mooring.db'}")
    quiet = open_database(f"sqlite:///{tmp_path / 'mooring.db'}", news=False)
    waker = Waker(database.wake_folder)
    with database.write(news=False):
        pass
    with quiet.write():
        pass
    waiting = asyncio.create_task(waker.wait(0.0))
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not waiting.done()
    waiting.cancel()
    waker.close()
    database.close()
    quiet.close()


@in_loop
async def test_for_a_while_after_a_commit_it_looks_as_often_as_asked(tmp_path: Path) -> None:
    folder = tmp_path / wake.FOLDER
    waker = Waker(folder)
    ring(folder)
    await waker.wait(0.0)
    async with asyncio.timeout(LONG / 2):
        await waker.wait(0.001)  # nobody rings
    waker.close()


@in_loop
async def test_nobody_waits_for_a_reader_that_is_gone_or_slow(tmp_path: Path) -> None:
    folder = tmp_path / wake.FOLDER
    waker = Waker(folder)
    os.mkfifo(folder / "1-killed")
    for _ in range(70_000):  # more than a pipe holds
        ring(folder)
        if not (folder / "1-killed").exists():
            break
    assert not (folder / "1-killed").exists()
    (reader,) = folder.iterdir()
    descriptor = os.open(reader, os.O_WRONLY | os.O_NONBLOCK)
    try:
        while os.write(descriptor, b"." * 65_536):
            continue
    except BlockingIOError:
        ring(folder)
    finally:
        os.close(descriptor)
    async with asyncio.timeout(LONG / 2):
        await waker.wait(0.0)
    waker.close()


@in_loop
async def test_without_pipes_it_looks_as_often_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "mkfifo", refuse)
    for waker in (Waker(tmp_path / wake.FOLDER), Waker(None)):
        async with asyncio.timeout(LONG / 2):
            await waker.wait(0.001)
        waker.close()


@in_loop
async def test_news_for_one_kind_of_work_wakes_no_other(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'mooring.db'}")
    sender, other = Waker(database.wake_folder, "downlinks"), Waker(database.wake_folder)
    with database.write(news="downlinks"):
        pass
    async with asyncio.timeout(LONG / 2):
        assert await sender.wait(LONG)
    assert await other.wait(0.05, asleep=0.05) is False
    with database.write():
        pass
    async with asyncio.timeout(LONG / 2):
        assert await sender.wait(LONG)
        assert await other.wait(LONG)
    for one in (sender, other):
        one.close()
    database.close()


@in_loop
async def test_one_who_knows_when_work_is_due_sleeps_after_a_commit_too(tmp_path: Path) -> None:
    folder = tmp_path / wake.FOLDER
    knows, others = Waker(folder, awake=0.0), Waker(folder)
    ring(folder)
    async with asyncio.timeout(LONG / 2):
        assert await knows.wait(0.0)
        assert await others.wait(0.0)
        await others.wait(0.0)  # for a while it looks as often as it likes
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await knows.wait(0.0)
    knows.close()
    others.close()
