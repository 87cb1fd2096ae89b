"""Moves updates with time and with their devices' connections, and writes offers that are due.

One process at a time, the one that holds the lease. Each update is one decision in a transaction
that holds its row; killed anywhere, the next worker finds it as it was.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from mooring.errors import DatabaseUnavailable
from mooring.ota.updates import rules, store, work
from mooring.ota.updates.about import About, about_devices, critical_alerts
from mooring.ota.updates.model import State, Update
from mooring.ota.updates.moving import record
from mooring.ota.updates.rules import Event, Present
from mooring.ota.updates.service import Updates
from mooring.store.engine import now_ms
from mooring.store.leased import LeasedLoop
from mooring.store.leases import Lease
from mooring.supervisor.rows import RowFaults

__all__ = ["LEASE", "UpdateKeeper"]

log = logging.getLogger(__name__)

LEASE = "firmware updates"
POLL_SECONDS = 0.25
LOOK_SECONDS = 1.0  # between two looks when nobody commits anything: time alone passes deadlines
GONE_SECONDS = 30.0  # between two looks for updates of removed devices
AT_ONCE = 200  # updates in one transaction


class UpdateKeeper:
    """See the module.

    Args:
        faults: updates that failed; the others are moved all the same.
    """

    def __init__(self, updates: Updates, *, faults: RowFaults | None = None) -> None:
        self._updates = updates
        self._database = updates.database
        self._lease = Lease(updates.database, LEASE)
        self.faults = faults or RowFaults("the firmware update")
        self._event = -1
        self._gone_at = 0.0

    def use(self, updates: Updates) -> None:
        """Dialects were reloaded."""
        self._updates = updates

    async def run(self) -> None:
        """Until cancelled."""
        await LeasedLoop(
            self._database,
            self._lease,
            question=work.WORK,
            is_due=self._is_due,
            step=self.step,
            poll=POLL_SECONDS,
            look=LOOK_SECONDS,
        ).run()

    def _is_due(self, found: Sequence[Any]) -> bool:
        due, waits, newest = found
        moved = bool(waits) and (newest or 0) != self._event
        if moved:
            self._event = newest or 0
        return bool(due) or moved

    def step(self) -> int:
        """Does what is due now; how many updates were changed.

        Raises:
            DatabaseUnavailable: nothing is lost; call again.
        """
        if not self._lease.held(after_dead=True):
            return 0
        with self._database.read(brief=True) as connection:
            # Those that failed wait, and must not keep others from their turn.
            at_once = AT_ONCE + self.faults.waiting
            changed = work.links_changed(connection, at_once)
            due = work.due(connection, now_ms(), at_once)
            gone: list[int] = []
            if time.monotonic() >= self._gone_at:
                self._gone_at = time.monotonic() + GONE_SECONDS
                gone = work.gone(connection, at_once)
        return (
            self._all(gone, self._remove)
            + self._all([number for number in changed if number not in gone], self._link)
            + self._all([number for number in due if number not in gone], self._time)
        )

    def _all(self, numbers: Sequence[int], move: Callable[[Sequence[int]], int]) -> int:
        """All in one transaction; if one fails, each alone."""
        some = [number for number in numbers if not self.faults.postponed(number)]
        if not some:
            return 0
        try:
            return move(some)
        except DatabaseUnavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - found out below, update by update
            log.info("firmware updates are moved one by one: %s", exc)
        moved = 0
        for number in some:
            with self.faults.isolated(number):
                moved += move([number])
        return moved

    # ------------------------------------------------------------------ what is done

    def _remove(self, numbers: Sequence[int]) -> int:
        def decide(update: Update, _known: About | None, at: int) -> Update | None:
            words = "The device was removed."
            return rules.advance(update, Event.REMOVE, at, self._updates.waits, words=words)

        return self._decide(numbers, decide)

    def _link(self, numbers: Sequence[int]) -> int:
        def decide(update: Update, known: About | None, _at: int) -> Update | None:
            if known is None or known.link.connected is None or known.link.since is None:
                return None
            return rules.linked(
                update, known.link.since, self._updates.waits, connected=known.link.connected
            )

        return self._decide(numbers, decide)

    def _time(self, numbers: Sequence[int]) -> int:
        waits = self._updates.waits
        at = now_ms()
        with self._database.write() as connection:
            updates = store.find(connection, numbers, lock=True)
            about = about_devices(connection, {one.device_id for one in updates})
            installed = [one.device_id for one in updates if one.state is State.INSTALLED]
            critical = critical_alerts(connection, installed)
            changes, offered = [], []
            for update in updates:
                known = about.get(update.device_id)
                heard = None if known is None else known.heard_at
                present = Present(heard, update.device_id in critical)
                after = rules.time(update, at, waits, present) or update
                if after is not update:
                    changes.append((update, after))
                waiting = after.state is State.WAITING and after.downlink_id is None
                if waiting and after.due_at is not None and after.due_at <= at:
                    offered.append(update.id)
            record(connection, changes)
            written = self._updates.offer_again(connection, offered, at) if offered else 0
        return len(changes) + written

    def _decide(
        self,
        numbers: Sequence[int],
        decide: Callable[[Update, About | None, int], Update | None],
    ) -> int:
        at = now_ms()
        changes = []
        with self._database.write() as connection:
            updates = store.find(connection, numbers, lock=True)
            about = self._about(connection, updates)
            for update in updates:
                after = decide(update, about.get(update.device_id), at)
                if after is not None:
                    changes.append((update, after))
            record(connection, changes)
        return len(changes)

    @staticmethod
    def _about(connection: Connection, updates: Sequence[Update]) -> dict[int, About]:
        return about_devices(connection, {one.device_id for one in updates})
