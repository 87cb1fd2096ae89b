"""Waiting in the event loop for what other processes do: one look for all who wait.

A request that waits costs a future and no thread. While anybody waits, one task looks into the
database every few milliseconds: one statement for all changes of the broker, one for each
question that a domain asks. While nobody waits, nothing runs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Protocol, TypeVar

import sqlalchemy as sa
from fastapi import Depends, Request
from sqlalchemy.engine import Connection
from starlette.concurrency import run_in_threadpool

from mooring.changes.waiting import broker_runs
from mooring.errors import DatabaseUnavailable
from mooring.store.engine import Database
from mooring.store.schema import broker_changes

__all__ = ["TICK_SECONDS", "Direct", "Question", "Watch", "Watcher"]

TICK_SECONDS = 0.02
ASKED_AT_ONCE = 500  # numbers in one statement

log = logging.getLogger(__name__)


Answer = TypeVar("Answer")
Question = Callable[[Connection, Sequence[int]], Mapping[int, Answer]]
"""Reads what is known of several things at once, by their numbers; unknown ones are left out."""


class _Wait(Protocol):
    """Somebody who waits: what to look for, and whether it is there."""

    done: asyncio.Future[bool]

    def found(self, seen: _Seen) -> bool: ...


class _Seen:
    """What one look found."""

    def __init__(self) -> None:
        self.pending: set[int] = set()
        self.answers: dict[Question[Any], dict[int, Any]] = defaultdict(dict)
        self.checked: set[int] = set()


class _Changes:
    def __init__(self, ids: Collection[int], done: asyncio.Future[bool]) -> None:
        self.ids, self.done = frozenset(ids), done

    def found(self, seen: _Seen) -> bool:
        return not self.ids & seen.pending


class _Asked:
    def __init__(
        self,
        question: Question[Any],
        key: int,
        settled: Callable[[Any], bool],
        done: asyncio.Future[bool],
    ) -> None:
        self.question, self.key, self.settled, self.done = question, key, settled, done
        self.answer: Any = None

    def found(self, seen: _Seen) -> bool:
        self.answer = seen.answers[self.question].get(self.key, self.answer)
        return self.settled(self.answer)


class _Check:
    def __init__(self, check: Callable[[], bool], done: asyncio.Future[bool]) -> None:
        self.check, self.done = check, done

    def found(self, seen: _Seen) -> bool:
        return id(self) in seen.checked


class Direct(Protocol):
    """Applies the broker's changes that this process commits; see ``wiring/direct.py``."""

    def start(self) -> None: ...

    async def applied(self, ids: Sequence[int], seconds: float) -> bool:
        """Whether this process has applied these changes within ``seconds``."""
        ...

    async def close(self) -> None: ...


class Watcher:
    """Who waits in one serving process. Used from its event loop alone."""

    def __init__(self, database: Database, direct: Direct | None = None) -> None:
        self._database = database
        self._direct = direct
        self._waits: set[_Wait] = set()
        self._task: asyncio.Task[None] | None = None
        self.looks = 0  # how often the database was asked

    async def applied(self, changes: Sequence[int], seconds: float) -> bool:
        """Whether the broker has applied these pending changes within ``seconds``.

        A change that a later one replaced counts as applied. It looks once where no process
        runs that could apply them.

        Raises:
            DatabaseUnavailable: whether one runs cannot be read.
        """
        if not changes:
            return True
        begun = time.monotonic()
        if self._direct is not None and await self._direct.applied(changes, seconds):
            return True
        seconds = max(0.0, seconds - (time.monotonic() - begun))
        if not await run_in_threadpool(broker_runs, self._database):
            seconds = 0.0
        return await self._wait(_Changes(changes, _future()), seconds)

    async def answered(
        self,
        question: Question[Answer],
        key: int,
        settled: Callable[[Answer | None], bool],
        seconds: float,
    ) -> tuple[bool, Answer | None]:
        """Whether the answer about ``key`` settles it within ``seconds``, and the last answer;
        ``None`` while nothing is known of it. One statement asks for all who wait."""
        wait = _Asked(question, key, settled, _future())
        done = await self._wait(wait, seconds)
        return done, wait.answer

    async def until(self, check: Callable[[], bool], seconds: float) -> bool:
        """Whether a question of another kind, asked in a thread, is true within
        ``seconds``."""
        return await self._wait(_Check(check, _future()), seconds)

    async def _wait(self, wait: _Wait, seconds: float) -> bool:
        await self._look([wait])
        if wait.done.done() or seconds <= 0:
            return wait.done.done() and wait.done.result()
        self._waits.add(wait)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="watcher")
        try:
            await asyncio.wait([wait.done], timeout=seconds)
            return wait.done.done() and wait.done.result()
        finally:
            self._waits.discard(wait)

    async def _run(self) -> None:
        while self._waits:
            await asyncio.sleep(TICK_SECONDS)
            await self._look(list(self._waits))

    async def _look(self, waits: Sequence[_Wait]) -> None:
        """Finishes those who have waited long enough. An unreachable database is waited for
        like everything else: each who waits has a timeout."""
        if not waits:
            return
        self.looks += 1
        try:
            seen = await asyncio.to_thread(self._see, waits)
        except DatabaseUnavailable as exc:
            log.warning("waiting without a database: %s", exc)
            return
        except Exception as exc:  # noqa: BLE001 - raised again by each request that waits
            for wait in waits:
                if not wait.done.done():
                    wait.done.set_exception(exc)
            return
        for wait in waits:
            if not wait.done.done() and wait.found(seen):
                wait.done.set_result(True)

    def _see(self, waits: Sequence[_Wait]) -> _Seen:
        seen = _Seen()
        changes = {n for one in waits if isinstance(one, _Changes) for n in one.ids}
        asked: dict[Question[Any], set[int]] = defaultdict(set)
        for one in waits:
            if isinstance(one, _Asked):
                asked[one.question].add(one.key)
        if changes or asked:
            with self._database.read() as connection:
                seen.pending = _pending(connection, changes)
                for question, keys in asked.items():
                    for part in _parts(keys):
                        seen.answers[question].update(question(connection, part))
        for one in waits:
            if isinstance(one, _Check) and one.check():
                seen.checked.add(id(one))
        return seen


def _pending(connection: Connection, changes: Iterable[int]) -> set[int]:
    found: set[int] = set()
    for part in _parts(changes):
        found |= set(
            connection.execute(
                sa.select(broker_changes.c.id).where(broker_changes.c.id.in_(part))
            ).scalars()
        )
    return found


def _parts(numbers: Iterable[int]) -> Iterable[list[int]]:
    every = sorted(numbers)
    return (every[at : at + ASKED_AT_ONCE] for at in range(0, len(every), ASKED_AT_ONCE))


def _future() -> asyncio.Future[bool]:
    return asyncio.get_running_loop().create_future()


async def _watcher(request: Request) -> Watcher:
    watcher = request.app.state.watcher
    assert isinstance(watcher, Watcher)
    return watcher


Watch = Annotated[Watcher, Depends(_watcher)]
