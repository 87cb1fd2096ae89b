"""Answers registrations of unknown devices, applies rules that refuse, and keeps the list short.

One process at a time does it, the one that holds the lease. Each step can be done again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from itertools import islice
from typing import Any

from sqlalchemy.engine import Connection

from mooring.audit import log as audit_log
from mooring.dialects import Catalogue
from mooring.dialects.live import LiveCatalogue
from mooring.discovery import answers, store
from mooring.discovery.answers import ANSWER_MS, UNANSWERED
from mooring.discovery.model import Action, Rule, State
from mooring.discovery.rules import key_of, rule_for
from mooring.discovery.service import HOUR_MS
from mooring.downlink.service import Downlinks
from mooring.errors import MooringError
from mooring.identity.actor import SYSTEM
from mooring.settings import Settings
from mooring.store import versions
from mooring.store.engine import Database, now_ms
from mooring.store.leases import Lease
from mooring.store.lookout import Lookout
from mooring.store.tally import add_to_counter

__all__ = ["ANSWERS_PER_SECOND", "DISPLACED", "DiscoveryWorker", "run"]

log = logging.getLogger(__name__)

STEP_SECONDS = 1.0
STANDBY_SECONDS = 3.0
ANSWERS_PER_SECOND = 10  # to unknown devices of one tenant
DUE_AT_ONCE = 2_000
TIDY_MS = 2_000  # between two looks at the length of the list
LOOK_MS = 60_000  # between two looks when nobody commits: time alone ends decisions
NUMBERS_MAX = 10_000  # answers that are removed when they are over; later ones go by age

_WORK = "SELECT EXISTS (SELECT 1 FROM strangers), EXISTS (SELECT 1 FROM discovery_decisions)"

DISPLACED = "discovery_displaced"
"""Counter: unknown devices that were removed from the list because it was full."""


async def run(app: Any) -> None:
    """Until cancelled."""
    stored = versions.stored(app.database, "dialects")
    live = LiveCatalogue(app.settings.dialects_dir, stored, app.catalogue)
    worker = DiscoveryWorker(app.database, app.downlinks, app.settings, live.get)
    lease = Lease(app.database, "discovery")
    lookout = Lookout(app.database)
    try:
        while True:
            try:
                held = await worker.turn(lease, lookout)
            except MooringError as exc:
                log.warning("discovery is delayed: %s", exc)
                held = False
            await asyncio.sleep(STEP_SECONDS if held else STANDBY_SECONDS)
    finally:
        lookout.close()


class DiscoveryWorker:
    """Used by one thread at a time.

    Args:
        catalogue: the dialects as they are now.
    """

    def __init__(
        self,
        database: Database,
        downlinks: Downlinks,
        settings: Settings,
        catalogue: Callable[[], Catalogue],
    ) -> None:
        self._database = database
        self._downlinks = downlinks
        self._settings = settings
        self._catalogue = catalogue
        self._tidied_at = 0
        self._looked_at = 0
        self._written: deque[int] = deque(maxlen=NUMBERS_MAX)  # answers on their way

    async def turn(self, lease: Lease, lookout: Lookout) -> bool:
        """One step, if this process holds the lease and there may be something to do; whether it
        holds it."""
        if not (lease.fresh or await asyncio.to_thread(lease.held, after_dead=True)):
            return False
        now = now_ms()
        always = not 0 <= now - self._looked_at < LOOK_MS
        found = await lookout.look(_WORK, always=always)
        if always:
            self._looked_at = now
        if found is not None and (any(found) or self._written):
            await asyncio.to_thread(self.step, now)
        return True

    def step(self, now: int) -> None:
        """Raises ``DatabaseUnavailable``: what was not done is done by the next step."""
        catalogue = self._catalogue()
        if not 0 <= now - self._tidied_at < TIDY_MS:
            self._tidied_at = now
            self._tidy(catalogue, now)
        self._answer(catalogue, now)

    # ------------------------------------------------------------------ the list

    def _tidy(self, catalogue: Catalogue, now: int) -> None:
        most = self._settings.discovery_max_per_tenant
        tenanted = [one.name for one in catalogue.all() if one.tenanted]
        with self._database.read() as connection:
            work = store.has_work(connection, now)
            full = store.crowded(connection, most, most // 2) if work else {}
            refusing = store.tenants_with(connection, Action.REFUSE)
        if work:
            with self._database.write(news=False) as connection:
                store.forget_known(connection, tenanted)
                store.delete_over(connection, now)
                gone = store.delete(connection, _surplus(full, most))
                if gone:
                    add_to_counter(connection, DISPLACED, gone)
        for tenant in refusing:
            self._refuse(tenant, now)
        if self._written:
            numbers = list(islice(self._written, 500))
            with self._database.write(news=False) as connection:
                left = self._downlinks.forget(connection, numbers)
            for _ in numbers:
                self._written.popleft()
            self._written.extend(left)

    def _refuse(self, tenant: str, now: int) -> None:
        """Applies the rules of one tenant that refuse."""
        most = self._settings.discovery_max_per_tenant
        with self._database.read() as connection:
            rules = store.rules_of(connection, tenant)
            keys = store.undecided(connection, tenant, now, 2 * most)
        found = [(key, rule_for(rules, key[0], key[2], now)) for key in keys]
        refused = [(key, rule) for key, rule in found if rule and rule.action is Action.REFUSE]
        if not refused:
            return
        with self._database.write(news=False) as connection:
            for key, rule in refused[:most]:
                self._write_refusal(connection, key, rule, now)
            store.trim_refused(connection, tenant, most)
            counts = Counter(rule.id for _, rule in refused[:most])
            for number, count in sorted(counts.items()):
                what = f"rule {number}: {count} devices"
                audit_log.record(connection, SYSTEM, "discovery.refuse", what, tenant=tenant)

    def _write_refusal(
        self, connection: Connection, key: tuple[str, str, str], rule: Rule, now: int
    ) -> None:
        store.decide(
            connection,
            key,
            {
                "key": key_of(key[2]),
                "state": str(State.REFUSED),
                "decided_at": now,
                "until": now + self._settings.discovery_refused_hours * HOUR_MS,
                "actor": f"rule {rule.id}",
                "reason": "",
                "claim_id": None,
            },
        )

    # ------------------------------------------------------------------ answers

    def _answer(self, catalogue: Catalogue, now: int) -> None:
        """Answers registrations, of each tenant at most ``ANSWERS_PER_SECOND``: they share the
        room for downlinks with commands."""
        with self._database.read() as connection:
            due = store.due(connection, now, DUE_AT_ONCE)
            rules = {one: store.rules_of(connection, one) for one in {row.tenant for row in due}}
        if not due:
            return
        taken: dict[str, int] = defaultdict(int)
        over = []
        with self._database.write() as connection:
            for row in due:
                key = (row.dialect, row.tenant, row.name)
                if row.registered_at < now - ANSWER_MS:
                    over.append(key)  # the device does not wait any more
                    continue
                if taken[row.tenant] >= ANSWERS_PER_SECOND:
                    continue
                taken[row.tenant] += 1
                store.answered(connection, [key], max(now, row.registered_at))
                state = _state(row, rules[row.tenant], now)
                if row.dialect not in catalogue.names():
                    continue
                dialect = catalogue.get(row.dialect)
                asked = answers.Asked(dialect, row.tenant, row.name)
                number = answers.put(connection, self._downlinks, asked, state, now)
                if number is not None:
                    self._written.append(number)
            if over:
                store.answered(connection, over, now)
                add_to_counter(connection, UNANSWERED, len(over))


def _state(row: store.Due, rules: list[Rule], now: int) -> State:
    if row.state is not None:
        return State(row.state)
    rule = rule_for(rules, row.dialect, row.name, now)
    if rule is None:
        return State.PENDING
    return State.ACCEPTED if rule.action is Action.ACCEPT else State.REFUSED


def _surplus(
    full: dict[str, list[tuple[tuple[str, str, str], bool]]], most: int
) -> list[tuple[str, str, str]]:
    """What has to go. Anybody who reaches the broker can try to log in under any name: such
    attempts take at most half of a list and never displace a device that spoke."""
    gone = []
    for rows in full.values():
        spoke = [key for key, more in rows if more]
        tried = [key for key, more in rows if not more]
        room = max(0, min(most // 2, most - len(spoke)))
        gone += spoke[most:] + tried[room:]
    return gone
