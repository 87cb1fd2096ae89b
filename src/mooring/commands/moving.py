"""Records what happened to commands, and makes room for those that wait behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mooring.commands import handed_over_store, store
from mooring.commands.changes import Waits, apply
from mooring.commands.model import Command
from mooring.commands.of_jobs import is_of_job, outcome_of
from mooring.commands.rules import OUTCOMES, Event, State
from mooring.downlink import store as downlink_store
from mooring.downlink.live import store as live_store
from mooring.downlink.protocol import Standing, Taken
from mooring.downlink.rules import Event as DownlinkEvent
from mooring.jobs import outcomes
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.schema import downlinks

__all__ = ["CommandOwner", "record"]


@dataclass(frozen=True, slots=True)
class CommandOwner:
    """What the sender asks of commands; see ``mooring.downlink.protocol``."""

    settings: Settings

    def standing(self, connection: Connection, devices: Sequence[int]) -> dict[int, Standing]:
        most = self.settings.commands_without_outcome_max
        found = dict.fromkeys(devices, Standing(most))
        for one in handed_over_store.without_outcome(connection, devices):
            known = found[one.device_id]
            sessions = known.sessions | ({one.session} if one.session else set())
            found[one.device_id] = Standing(known.room - one.number, sessions)
        return found

    def ended(self, connection: Connection, sessions: Mapping[int, str], at: int) -> set[int]:
        known = [number for number, session in sessions.items() if session]
        changes = []
        for command in handed_over_store.of_earlier_sessions(connection, known):
            if command.session != sessions[command.device_id]:
                changed = apply(
                    command,
                    Event.SESSION_ENDED,
                    at,
                    Waits(),
                    detail="The device has connected again.",
                )
                if changed is not None:
                    changes.append((command, changed))
        record(connection, changes)
        return {before.device_id for before, _ in changes}

    def taken(self, connection: Connection, taken: Sequence[Taken], at: int) -> None:
        waits = Waits(self.settings.command_unconfirmed_seconds * 1_000)
        by_downlink = {one.id: one for one in taken}
        changes = []
        for command in handed_over_store.carried_by(
            connection, [(one.device_id, one.id) for one in taken]
        ):
            one = by_downlink[command.downlink_id or 0]
            changed = apply(
                command,
                Event.TAKEN,
                at,
                waits,
                detail=one.evidence,
                sent_at=one.sent_at,
                session=one.session,
            )
            if changed is not None:
                changes.append((command, changed))
        record(connection, changes)


def record(connection: Connection, changes: Sequence[tuple[Command, Command]]) -> None:
    """Writes commands as they are now, and makes room for those that wait behind them: in the
    caller's transaction.

    Args:
        changes: before and after; a command at most once.
    """
    if not changes:
        return
    store.write(connection, [after for _, after in changes])
    entered: Counter[State] = Counter()
    over = []
    for before, after in changes:
        if after.state is not before.state:
            entered[after.state] += 1
        if after.over and not before.over:
            over.append(after)
    store.count(connection, entered)
    outcomes.note(
        connection,
        [outcome_of(after) for _, after in changes if after.over and is_of_job(after)],
    )
    at = now_ms()
    again = [
        after.downlink_id
        for before, after in changes
        if after.state is State.QUEUED and before.state is State.SENT and after.downlink_id
    ]
    if again:
        live_store.requeue(connection, again, at)
    if not over:
        return
    # What has an outcome is not sent any more, also where the device answered before it was sent.
    for event, ended in (
        (DownlinkEvent.CONFIRM, [one for one in over if one.state in OUTCOMES]),
        (DownlinkEvent.CANCEL, [one for one in over if one.state not in OUTCOMES]),
    ):
        numbers = [one.downlink_id for one in ended if one.downlink_id is not None]
        for start in range(0, len(numbers), 500):
            some = downlinks.c.id.in_(numbers[start : start + 500])
            downlink_store.change(connection, event, at, some)
    live_store.wake_live(connection, [one.device_id for one in over], at)
