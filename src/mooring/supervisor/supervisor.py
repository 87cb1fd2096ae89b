"""Runs workers as tasks of one event loop, each on its own.

Whatever a worker raises stays with it. Also a cancellation that nobody asked for: a library that
cancels a future inside a worker would end it silently otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from mooring.supervisor.state import Phase
from mooring.supervisor.worker import Record, Report, Worker

__all__ = ["Supervisor"]

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0


class Supervisor:
    """The workers of one process.

    Args:
        role: of the process: ``up``, ``ingest``, ``serve``.
    """

    def __init__(self, role: str) -> None:
        self._role = role
        self._records: dict[str, Record] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, workers: Iterable[Worker]) -> None:
        """Starts workers; one of the same name is stopped first and keeps its record."""
        each = list(workers)
        await self.stop([worker.name for worker in each])
        for worker in each:
            record = Record(worker.name, self._role, worker.policy, worker.rows)
            before = self._records.get(worker.name)
            if before is not None:
                record.state = before.state
            self._records[worker.name] = record
            self._tasks[worker.name] = asyncio.create_task(
                self._supervise(worker, record), name=worker.name
            )

    async def stop(self, names: Iterable[str] | None = None) -> None:
        """Stops these workers, or all; returns when they have ended. One that tidies up for
        too long, because something does not answer, is left behind."""
        wanted = list(self._tasks) if names is None else [n for n in names if n in self._tasks]
        tasks = [self._tasks.pop(name) for name in wanted]
        for task in tasks:
            task.cancel()
        if tasks:
            _, hanging = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in hanging:
                log.warning("the worker %r did not end within %g s", task.get_name(), STOP_SECONDS)
        for name in wanted:
            self._records[name].stop()

    def report(self) -> Report:
        """What is known of each worker. Safe from any thread."""
        return {name: record.document() for name, record in list(self._records.items())}

    async def _supervise(self, worker: Worker, record: Record) -> None:
        while True:
            try:
                record.begin()
                await worker.run()
            except (KeyboardInterrupt, SystemExit):
                raise
            except asyncio.CancelledError as exc:
                if _is_cancelled():
                    raise
                record.fail(exc)
            except BaseException as exc:  # noqa: BLE001 - a panic of a Rust library is not an Exception
                record.fail(exc)
            else:
                record.end()
                if record.state.phase is Phase.ENDED:
                    return
            await asyncio.sleep(record.pause)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
