"""A process that commits a change of the broker applies it itself.

With Mooring's own plugin a change is one row in a file and one question to the broker, so the
process that serves requests does both, instead of telling ``mooring up`` and waiting for it.
The row in the database stays until the change is in force. It is due for ``mooring up`` a
moment later, so a change that was not applied here, whatever the reason, is applied there.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import Sequence

from mooring.app import App
from mooring.broker.protocol import Current as CurrentLogins
from mooring.broker.protocol import SharedAuthority
from mooring.changes import queue as change_queue
from mooring.errors import MooringError
from mooring.handover import SUPERVISED
from mooring.serve.current import Current
from mooring.store.engine import Noted
from mooring.wiring.broker import build_authority

__all__ = ["GRACE_MS", "DirectChanges", "direct_changes"]

log = logging.getLogger(__name__)

GRACE_MS = 300
"""What this process has for a change before ``mooring up`` applies it."""

CHANGES_MOST = 100
"""Changes of one transaction that are applied here; of more, ``mooring up`` makes one of all."""

SETTLE_SECONDS = 0.15
"""How long changes in force are collected, whose rows are then deleted in one transaction. Each is
one that the next change may have to wait for; it is well below ``GRACE_MS``."""

REMEMBERED = 1_000


def direct_changes(app: App) -> DirectChanges | None:
    """For a process of ``mooring up`` whose broker asks the plugin: the file of accounts is on
    this machine, and somebody applies what is left. ``None`` for every other process."""
    settings = app.settings
    if (
        SUPERVISED not in os.environ
        or settings.broker != "managed"
        or settings.authority != "plugin"
    ):
        return None
    authority = build_authority(app)
    assert isinstance(authority, SharedAuthority)
    return DirectChanges(app, authority)


class DirectChanges:
    """Applies what this process commits. ``start``, ``applied`` and ``close`` belong to its
    event loop.

    Args:
        app: of this process; dialects that are reloaded are followed.
        authority: of the broker.
    """

    def __init__(self, app: App, authority: SharedAuthority) -> None:
        self._app = app
        self._authority = authority
        self._current = Current(app)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: OrderedDict[int, asyncio.Task[bool]] = OrderedDict()
        self._in_force: list[int] = []
        self._settling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on."""
        self._loop = asyncio.get_running_loop()
        self._app.database.follow_changes(self._committed, GRACE_MS)

    async def applied(self, ids: Sequence[int], seconds: float) -> bool:
        """Whether this process has applied these changes within ``seconds``."""
        tasks = [self._tasks[number] for number in ids if number in self._tasks]
        if len(tasks) < len(ids):
            return False
        _, running = await asyncio.wait(tasks, timeout=max(0.0, seconds))
        return not running and all(task.result() for task in tasks)

    async def close(self) -> None:
        """Finishes what it has begun."""
        self._app.database.follow_changes(None)
        running = [task for task in self._tasks.values() if not task.done()]
        if running:
            await asyncio.wait(running)
        if self._settling is not None:
            await self._settling
        await self._authority.close()

    # ------------------------------------------------------------------ inside

    def _committed(self, changes: Sequence[Noted]) -> None:
        """In the thread that wrote them."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._begin, tuple(changes))
        except RuntimeError:  # the process ends; the rows are due soon
            log.debug("changes are left to mooring up")

    def _begin(self, changes: Sequence[Noted]) -> None:
        task = asyncio.create_task(self._apply(changes))
        for change in changes:
            self._tasks[change.id] = task
        while len(self._tasks) > REMEMBERED and next(iter(self._tasks.values())).done():
            self._tasks.popitem(last=False)

    async def _apply(self, changes: Sequence[Noted]) -> bool:
        """Whether they are in force; if not, they are due at once."""
        try:
            why = await self._bring(changes)
        except MooringError as exc:
            why = exc.message
        except Exception:
            log.exception("changes of the broker are left to mooring up")
            why = "a fault"
        if not why:
            return True
        log.info("%d changes are left to mooring up: %s", len(changes), why)
        try:
            await asyncio.to_thread(self._leave, [change.id for change in changes])
        except MooringError as exc:
            log.warning("changes become due a moment later: %s", exc)
        return False

    async def _bring(self, changes: Sequence[Noted]) -> str:
        """Brings them into force; why not, otherwise."""
        if len(changes) > CHANGES_MOST:
            return "there are many"
        names = [c.username for c in changes if c.action != "kick"]
        kicks = [c.username for c in changes if c.action == "kick"]
        applied = await self._authority.refresh(names, self._read, kicks=kicks)
        if applied.needs_replace:
            return "the file of accounts has to be made again"
        if applied.waiting:
            return next(iter(applied.waiting.values()))
        # What a removed login left at the broker is cleared by ``mooring up``, which then
        # settles the change.
        self._settle([change.id for change in changes if change.action != "remove"])
        return ""

    def _read(self, usernames: Sequence[str]) -> CurrentLogins:
        return self._current.app().devices.logins.current(usernames)

    def _settle(self, ids: Sequence[int]) -> None:
        self._in_force += ids
        if self._in_force and (self._settling is None or self._settling.done()):
            self._settling = asyncio.create_task(self._settle_soon())

    async def _settle_soon(self) -> None:
        """Nobody waits for it: rows that are applied again change nothing."""
        while self._in_force:
            await asyncio.sleep(SETTLE_SECONDS)
            ids, self._in_force = self._in_force, []
            try:
                await asyncio.to_thread(self._delete, ids)
            except MooringError as exc:
                log.warning("%d changes are settled by mooring up: %s", len(ids), exc)

    def _delete(self, ids: Sequence[int]) -> None:
        with self._app.database.write() as connection:
            change_queue.settle(connection, ids)

    def _leave(self, ids: Sequence[int]) -> None:
        with self._app.database.write() as connection:
            change_queue.make_due(connection, ids)
