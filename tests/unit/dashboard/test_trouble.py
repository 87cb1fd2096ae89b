"""What pages say does not answer: the first cause, after its grace, and as long as it lasts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from mooring.dashboard.live import trouble as under_test
from mooring.dashboard.live.trouble import Ingests, Process, Trouble
from mooring.errors import DatabaseUnavailable

HERE = "here"
NOW = 1_000_000


def ingest(pid: int = 7, beat_at: int = NOW, connected: bool = True, host: str = HERE) -> Process:
    return Process(f"ingest@{host}:{pid}", host, pid, beat_at, connected)


@pytest.mark.parametrize(
    ("found", "works"),
    [
        ([], False),
        ([ingest()], True),
        ([ingest(connected=False)], False),
        ([ingest(beat_at=NOW - 60_000)], False),  # it has not reported for a minute
        ([ingest(pid=8)], False),  # killed: there is no such process
        ([ingest(pid=8, host="there")], True),  # another machine's numbers say nothing here
        ([ingest(pid=8), ingest()], True),
    ],
)
def test_whether_ingest_works(found: list[Process], works: bool) -> None:
    assert Ingests(HERE, lambda pid: pid == 7).work(found, NOW) is works


def test_a_process_that_reports_again_runs_elsewhere() -> None:
    """In a container that has this machine's name, and numbers of its own."""
    ingests = Ingests(HERE, lambda _: False)
    assert not ingests.work([ingest()], NOW)
    assert not ingests.work([ingest()], NOW + 2_000)
    assert ingests.work([ingest(beat_at=NOW + 5_000)], NOW + 6_000)
    assert ingests.work([ingest(beat_at=NOW + 5_000)], NOW + 8_000)
    assert not ingests.work([ingest(pid=9, beat_at=NOW + 9_000)], NOW + 9_000)


class Scene:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broker, self.open, self.said = True, True, list[Any]()
        self.ingests: list[Process] = [ingest(host="there", beat_at=10**15)]
        self.fault: Exception | None = None
        self.silent = asyncio.Event()
        self.asked = 0
        self.unlocked = threading.Event()
        self.unlocked.set()
        self.locked: Exception | None = None
        monkeypatch.setattr(under_test, "LOOK_SECONDS", 0.005)
        monkeypatch.setattr(under_test, "PATIENCE_SECONDS", 20.0)  # a busy machine is no fault
        monkeypatch.setattr(under_test, "GRACE_MS", dict.fromkeys(under_test.GRACE_MS, 0))
        monkeypatch.setattr(under_test, "LOCK_MS", 20)
        monkeypatch.setattr(under_test, "_read", self.read)
        monkeypatch.setattr(under_test, "_write_nothing", self.write)
        self.trouble = Trouble(self.platform, lambda: self.broker, lambda: self.open, self.changed)

    async def platform(self) -> Any:
        await self.silent.wait()
        return SimpleNamespace(database=None)

    def read(self, _: Any) -> list[Process]:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return self.ingests

    def write(self, _: Any) -> None:
        self.unlocked.wait()
        if self.locked is not None:
            raise self.locked

    def changed(self) -> None:
        now = self.trouble.now
        self.said.append(now and now["what"])

    async def says(self, what: str | None) -> None:
        async with asyncio.timeout(20):
            while (self.trouble.now and self.trouble.now["what"]) != what:  # noqa: ASYNC110
                await asyncio.sleep(0.002)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def play(steps: Callable[[Scene], Awaitable[None]]) -> None:
        async def run() -> None:
            scene = Scene(monkeypatch)
            scene.silent.set()
            task = asyncio.ensure_future(scene.trouble.run())
            try:
                await steps(scene)
            finally:
                scene.unlocked.set()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        asyncio.run(run())

    return play


def test_the_cause_is_said_and_its_end(played: Callable[..., None]) -> None:
    async def steps(scene: Scene) -> None:
        scene.ingests = []
        await scene.says("ingest")
        scene.broker = False
        await scene.says("broker")
        scene.fault = DatabaseUnavailable("gone")
        await scene.says("database")
        scene.fault, scene.broker = None, True
        await scene.says("ingest")
        since = scene.trouble.now
        before = scene.asked
        async with asyncio.timeout(20):
            while scene.asked < before + 3:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        assert scene.trouble.now == since  # since when does not change while it lasts
        scene.ingests = [ingest(host="there", beat_at=10**15)]
        await scene.says(None)
        assert scene.said[0] == "ingest" and scene.said[-1] is None

    played(steps)


def test_a_file_that_somebody_else_has_locked(played: Callable[..., None]) -> None:
    """Those that only read notice nothing; said while the attempt waits, and when it has failed."""

    async def steps(scene: Scene) -> None:
        await scene.says(None)
        scene.unlocked.clear()
        await scene.says("database")
        assert scene.trouble.now is not None
        since = scene.trouble.now["since"]
        scene.locked = DatabaseUnavailable("locked")
        scene.unlocked.set()
        before = scene.asked
        async with asyncio.timeout(20):
            while scene.asked < before + 3:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        assert scene.trouble.now == {"what": "database", "since": since}
        scene.locked = None
        await scene.says(None)

    played(steps)


def test_a_database_that_is_silent_has_one_question(
    played: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(scene: Scene) -> None:
        monkeypatch.setattr(under_test, "PATIENCE_SECONDS", 0.02)
        await scene.says(None)
        scene.silent.clear()
        await scene.says("database")
        before = scene.asked
        await asyncio.sleep(0.1)
        assert scene.asked == before
        scene.silent.set()
        await scene.says(None)

    played(steps)


def test_without_an_open_page_nothing_is_asked(played: Callable[..., None]) -> None:
    async def steps(scene: Scene) -> None:
        scene.ingests = []
        await scene.says("ingest")
        scene.open = False
        await scene.says(None)
        before = scene.asked
        await asyncio.sleep(0.05)
        assert scene.asked == before
        scene.open = True
        scene.trouble.wake.set()
        await scene.says("ingest")

    played(steps)
