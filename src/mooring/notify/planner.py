"""Makes notifications of the outbox: one group of one recipient in one transaction.

A notification and what the recipient then knows are written together, so a worker that is killed
leaves each change of an alert either in the outbox or in one notification, and in none twice.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from sqlalchemy.engine import Connection

from mooring.notify import group_store, message, store
from mooring.notify.group_store import Group, Who
from mooring.notify.grouping import Item, State, Timing, decide
from mooring.notify.model import Kind, Options
from mooring.notify.quiet import quiet_until
from mooring.store.engine import Database
from mooring.store.tally import add_to_counter
from mooring.supervisor.rows import RowFaults

__all__ = ["REPOST_MS", "Planner", "new_message_id", "timing_of"]

log = logging.getLogger(__name__)

REPOST_MS = 60_000
"""How often an open alert is posted to Alertmanager; it ends there after five times as long."""

POST_MAX = 500  # alerts in one post to Alertmanager
GROUPS_AT_ONCE = 500
FULL_MS = 10_000  # until a recipient with too many waiting notifications is looked at again
SHARE = 20  # a group is looked at for a twentieth of the time at most
PAUSE_LONGEST = 5.0
REMEMBERED = 10_000  # groups


class Planner:
    """See the module.

    Args:
        waiting_max: notifications of one recipient that may wait for an attempt.
        faults: groups that failed; the others continue.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        database: Database,
        *,
        waiting_max: int = 100,
        faults: RowFaults | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._waiting_max = waiting_max
        self.faults = faults or RowFaults("the group of notifications")
        self._clock = clock
        self._rests_until: OrderedDict[tuple[int, str], float] = OrderedDict()

    def turn(self, now: int) -> bool:
        """One group of each tenant that has something due; whether any was looked at.

        Raises:
            DatabaseUnavailable: nothing is lost; call again.
        """
        with self._database.read() as connection:
            found = group_store.due_groups(connection, now, GROUPS_AT_ONCE)
            wider = group_store.wider_since(connection) if found else None
        looked = False
        for group in self._one_of_each_tenant(found):
            began = self._clock()
            with self.faults.isolated(group[:2]):
                self.look(group, now, wider)
            self._rest(group, self._clock() - began)
            looked = True
        return looked

    def _one_of_each_tenant(self, found: Sequence[Group]) -> Iterator[Group]:
        seen: set[str] = set()
        for group in found:
            rests = self._clock() < self._rests_until.get(group[:2], 0.0)
            if group.tenant not in seen and not rests and not self.faults.postponed(group[:2]):
                seen.add(group.tenant)
                yield group

    def _rest(self, group: Group, seconds: float) -> None:
        self._rests_until[group[:2]] = self._clock() + min(PAUSE_LONGEST, SHARE * seconds)
        self._rests_until.move_to_end(group[:2])
        if len(self._rests_until) > REMEMBERED:
            self._rests_until.popitem(last=False)

    def look(self, group: Group, now: int, wider: int | None) -> None:
        """Writes the notifications of a group that are due, and when it is due again."""
        with self._database.write(news=False) as connection:
            found = group_store.who(connection, group.recipient)
            if found is None:
                group_store.postpone(connection, group, now, None)
                return
            items = group_store.items(connection, group, wider)
            timing = timing_of(found)
            quiet = quiet_until(found.options.quiet, now)
            decision = decide(items, timing, now, quiet)
            if decision.send:
                most = self._waiting_max
                if store.waiting(connection, group.recipient, most) >= most:
                    add_to_counter(connection, "notifications_delayed", 1)
                    group_store.postpone(connection, group, now, now + FULL_MS)
                    return
                self._write(connection, group, found, decision.send, now)
                items = group_store.items(connection, group, wider)
                decision = decide(items, timing, now, quiet)
                if decision.send:  # cannot be: what was sent is due later
                    log.warning("the group %s of recipient %s is due again", *group[:2][::-1])
            group_store.postpone(connection, group, now, decision.due_at)

    def _write(
        self, connection: Connection, group: Group, found: Who, sent: Sequence[Item], now: int
    ) -> None:
        many = found.kind is Kind.ALERTMANAGER
        size = POST_MAX if many else len(sent)
        for start in range(0, len(sent), size):
            some = sent[start : start + size]
            named = some if many else _news_first(some)[: message.LISTED_MAX]
            document = message.document(
                group_store.entries(connection, group.recipient, named),
                tenant=group.tenant,
                group=group.key,
                more=len(some) - len(named),
            )
            store.add_notification(
                connection,
                group.recipient,
                message_id=new_message_id(),
                title=message.title(document),
                document=document,
                at=now,
                routine=many and all(item.state is State.TOLD for item in some),
            )
        due_at = now + timing_of(found).repeat_ms
        group_store.told(connection, group.recipient, sent, at=now, due_at=due_at)
        add_to_counter(connection, "notifications_made", 1)


def _news_first(items: Sequence[Item]) -> list[Item]:
    return sorted(items, key=lambda item: item.state is State.TOLD)


def timing_of(found: Who) -> Timing:
    """When a recipient's groups are sent. Alertmanager groups and repeats by itself."""
    if found.kind is Kind.ALERTMANAGER:
        return Timing(0, 1_000, REPOST_MS, whole=False, acknowledged=True)
    options: Options = found.options
    return Timing(
        options.wait_seconds * 1000, options.interval_seconds * 1000, options.repeat_seconds * 1000
    )


def new_message_id() -> str:
    """Of one notification, the same in every attempt."""
    return f"msg_{secrets.token_hex(12)}"
