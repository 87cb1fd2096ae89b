"""The loop of work that one process at a time does: the process that holds the work's lease.

It looks for work when somebody has committed, when time alone may have made some due, and often
enough to renew the lease. While another process has the lease it only tries to take it, and not
often: each attempt is a transaction, for which the process that works would wait. Failure
invariant: an exception of a step ends the loop after the lease was given back; what the step had
not committed is found by the next one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from mooring.errors import DatabaseUnavailable
from mooring.store.engine import Database, now_ms
from mooring.store.leases import Lease
from mooring.store.lookout import Lookout
from mooring.store.wake import Waker

__all__ = ["RENEW_SECONDS", "LeasedLoop"]

log = logging.getLogger(__name__)

RENEW_SECONDS = 4.0
"""Between two steps when nothing is due: a step renews the lease."""
STANDBY_SECONDS = 1.0
"""Between two attempts to take it over."""


async def _go_on() -> None:
    """Nothing is waited for between two steps."""


class LeasedLoop:
    """See the module.

    Args:
        lease: the claim to the work, which ``step`` takes and renews.
        question: a statement for ``Lookout``, with the parameter ``at``, epoch milliseconds.
        is_due: whether its row says that there is work now.
        step: called in a thread; does what is due, if the lease is ours. Whether there may be
            more to do now.
        poll: seconds between two looks while others commit.
        look: seconds between two looks when nobody does.
        until_due: seconds until time alone makes work due, as of the last row; asked after every
            look. Without it ``look``.
        between: waited for between two steps.
    """

    def __init__(
        self,
        database: Database,
        lease: Lease,
        *,
        question: str,
        is_due: Callable[[Sequence[Any]], bool],
        step: Callable[[], object],
        poll: float,
        look: float,
        until_due: Callable[[], float] | None = None,
        between: Callable[[], Awaitable[None]] = _go_on,
    ) -> None:
        self._database = database
        self._lease = lease
        self._question = question
        self._is_due = is_due
        self._step = step
        self._poll = poll
        self._look = look
        self._until_due = until_due
        self._between = between

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            DatabaseUnavailable: nothing is lost; call again.
        """
        lookout = Lookout(self._database)
        waker = Waker(self._database.wake_folder)
        ask_at = renew_at = 0.0
        held = False
        try:
            while True:
                always = time.monotonic() >= ask_at
                if time.monotonic() >= renew_at or (
                    held and await self._needed(lookout, always=always)
                ):
                    while await self._stepped():
                        await self._between()
                    held = self._lease.fresh
                    renew_at = time.monotonic() + (RENEW_SECONDS if held else STANDBY_SECONDS)
                    if held and self._until_due is not None:  # the steps have changed when that is
                        always = await self._needed(lookout, always=True)
                wait = STANDBY_SECONDS
                if held:
                    wait = self._look if self._until_due is None else self._until_due()
                if always:
                    ask_at = time.monotonic() + wait
                await waker.wait(min(wait, self._poll), asleep=wait)
        finally:
            waker.close()
            lookout.close()
            await asyncio.to_thread(self._release)

    async def _stepped(self) -> object:
        """One step, which is over before the lease is given back, also when the loop is cancelled:
        its thread runs until then."""
        step = asyncio.ensure_future(asyncio.to_thread(self._step))
        try:
            return await asyncio.shield(step)
        except asyncio.CancelledError:
            await asyncio.wait([step])
            if not step.cancelled() and (fault := step.exception()) is not None:
                log.warning("the last step of %s failed: %s", self._lease.name, fault)
            raise

    async def _needed(self, lookout: Lookout, *, always: bool) -> bool:
        if lookout.waits and not always:
            return False
        found = await lookout.look(self._question, {"at": now_ms()}, always=always)
        return found is not None and self._is_due(found)

    def _release(self) -> None:
        try:
            self._lease.release()
        except DatabaseUnavailable as exc:
            log.warning("the lease of %s was not released: %s", self._lease.name, exc)
