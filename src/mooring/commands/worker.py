"""Moves commands with time and with their devices' connections: deadlines, ended sessions, and
the effect that a device has connected again.

One process at a time, the one that holds the lease. Each command is one decision in a
transaction that holds its row; killed anywhere, the next worker finds it as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from mooring.commands import store
from mooring.commands.changes import Waits, apply
from mooring.commands.model import Command
from mooring.commands.moving import record
from mooring.commands.rules import Event, State
from mooring.commands.service import Commands
from mooring.dialects.model import DoneWhen
from mooring.errors import DatabaseUnavailable
from mooring.store.engine import now_ms
from mooring.store.leased import LeasedLoop
from mooring.store.leases import Lease
from mooring.supervisor.rows import RowFaults

__all__ = ["LEASE", "CommandKeeper"]

log = logging.getLogger(__name__)

LEASE = "commands"
POLL_SECONDS = 0.1
LOOK_SECONDS = 0.5  # between two looks when nobody commits anything: time alone passes deadlines
AT_ONCE = 200  # commands in one transaction

WAITS = Waits()  # neither event leads to a state whose time it says

Work = tuple[int, Callable[[Connection, Command], Command | None]]


class CommandKeeper:
    """See the module.

    Args:
        faults: commands that failed; the others are moved all the same.
    """

    def __init__(self, commands: Commands, *, faults: RowFaults | None = None) -> None:
        self._commands = commands
        self._database = commands.database
        self._lease = Lease(commands.database, LEASE)
        self.faults = faults or RowFaults("the command")
        self._event = -1

    async def run(self) -> None:
        """Until cancelled."""
        await LeasedLoop(
            self._database,
            self._lease,
            question=store.WORK,
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
        """Does what is due now; how many commands were moved.

        Raises:
            DatabaseUnavailable: nothing is lost; call again.
        """
        if not self._lease.held(after_dead=True):
            return 0
        at = now_ms()
        with self._database.read(brief=True) as connection:
            changed = store.connection_changed(connection, AT_ONCE)
            due = store.due(connection, at, AT_ONCE)
        work: list[Work] = [
            (number, _for_connection(since, connected=connected))
            for number, connected, since in changed
        ]
        seen = {number for number, _ in work}
        work += [(number, self._for_time(at)) for number in due if number not in seen]
        work = [one for one in work if not self.faults.postponed(one[0])]
        return self._all(work)

    def _all(self, work: Sequence[Work]) -> int:
        """All in one transaction; if one fails, each alone."""
        if not work:
            return 0
        try:
            return self._together(work)
        except DatabaseUnavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - found out below, command by command
            log.info("commands are moved one by one: %s", exc)
        moved = 0
        for one in work:
            with self.faults.isolated(one[0]):
                moved += self._together([one])
        return moved

    def _together(self, work: Sequence[Work]) -> int:
        changes = []
        with self._database.write() as connection:
            for number, decide in work:
                command = store.one(connection, number, lock=True)
                if command is None:
                    continue
                changed = decide(connection, command)
                if changed is not None:
                    changes.append((command, changed))
            record(connection, changes)
        return len(changes)

    def _for_time(self, at: int) -> Callable[[Connection, Command], Command | None]:
        def decide(connection: Connection, command: Command) -> Command | None:
            if command.due_at is None or command.due_at > at:
                return None
            detail = ""
            if command.state is State.QUEUED:
                known = store.downlink_state(connection, command.downlink_id)
                if not self._commands.withdraw(connection, command):
                    return None  # it is on its way; the next look finds it sent
                detail = "" if known is None else known[1]
            return apply(command, Event.TIME, at, self._commands.waits, detail=detail)

        return decide


def _for_connection(
    since: int, *, connected: bool
) -> Callable[[Connection, Command], Command | None]:
    def decide(_connection: Connection, command: Command) -> Command | None:
        if command.sent_at is None or since <= command.sent_at:
            return None
        said = "The device has connected again." if connected else "The device has disconnected."
        if command.done_when == DoneWhen.SESSION and connected:
            found = apply(command, Event.EFFECT, now_ms(), WAITS, detail=said)
            if found is not None:
                return found
        return apply(command, Event.SESSION_ENDED, now_ms(), WAITS, detail=said)

    return decide
