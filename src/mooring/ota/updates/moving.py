"""Records what happened to updates, with what follows from it in the same transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mooring.downlink import store as downlink_store
from mooring.downlink.protocol import Taken
from mooring.downlink.rules import Event as DownlinkEvent
from mooring.jobs import outcomes
from mooring.jobs.model import Outcome
from mooring.ota.updates import rules, store
from mooring.ota.updates.model import State, Update
from mooring.ota.updates.of_jobs import outcome_of
from mooring.ota.updates.waits import Waits
from mooring.store.engine import now_ms
from mooring.store.schema import downlinks

__all__ = ["Change", "UpdateOwner", "record"]

Change = tuple[Update, Update]


def record(connection: Connection, changes: Sequence[Change]) -> None:
    """Writes updates as they are now, in the caller's transaction: the offers that nobody needs
    any more are withdrawn, and jobs get their outcomes.

    Args:
        changes: before and after; an update at most once.
    """
    if not changes:
        return
    store.write(connection, [after for _, after in changes])
    entered: Counter[State] = Counter()
    over: list[Outcome] = []
    withdrawn: list[int] = []
    for before, after in changes:
        if after.state is not before.state:
            entered[after.state] += 1
            if after.over and after.job_id is not None:
                over.append(outcome_of(after))
        message = rules.dropped(before, after)
        if message is not None:
            withdrawn.append(message)
    store.count(connection, dict(entered))
    outcomes.note(connection, over)
    at = now_ms()
    for start in range(0, len(withdrawn), store.AT_ONCE):
        some = downlinks.c.id.in_(withdrawn[start : start + store.AT_ONCE])
        downlink_store.change(connection, DownlinkEvent.CANCEL, at, some)


@dataclass(frozen=True, slots=True)
class UpdateOwner:
    """What the sender notifies of offers; see ``mooring.downlink.protocol.LiveOwner``."""

    waits: Waits

    def taken(self, connection: Connection, taken: Sequence[Taken], at: int) -> None:
        """The broker has taken these messages, or may have."""
        by_downlink = {one.id: one for one in taken}
        changes = []
        for update in store.carried_by(connection, list(by_downlink)):
            said = by_downlink[update.downlink_id or 0].evidence
            after = rules.taken(update, at, self.waits, said)
            if after is not None:
                changes.append((update, after))
        record(connection, changes)
