"""Hands over live messages: to devices that are connected and subscribed now.

Used by the sender that holds the lease, one batch at a time. Failure invariant: as
``mooring.downlink.worker``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from mooring.downlink import store as downlink_store
from mooring.downlink.attempts import Attempts
from mooring.downlink.gate import Ears
from mooring.downlink.live import store
from mooring.downlink.model import Claimed
from mooring.downlink.protocol import Asked, Gate, Listening, LiveOwner, Standing
from mooring.downlink.rules import State
from mooring.errors import BrokerUnavailable
from mooring.store.engine import Database, now_ms

__all__ = ["LiveSender"]

BATCH = 256  # messages between two looks at the database, of all tenants together
LIVE_EACH = 10  # messages of a device in one batch
PARK_FIRST_MS, PARK_MOST_MS = 1_000, 60_000
"""Pause before a device that does not listen is asked about again: doubling. Its next
subscription ends the pause."""
FULL_MS = 2_000
"""Pause of a device that has as many messages without outcome as it may have. An outcome ends it,
and this is for one that is committed while the pause begins."""
PARKED_MAX = 100_000  # devices whose pause is remembered; the oldest go first


@dataclass(frozen=True, slots=True)
class _Batch:
    """Messages that are marked as being sent, and what is known of their devices."""

    claimed: Sequence[Claimed]
    evidence: Mapping[int, Listening]


NO_BATCH = _Batch((), {})


class LiveSender:
    """See the module.

    Args:
        owner: the part that writes live messages.
        ears: notices devices that subscribe.
        say: called with why nothing can be handed over now.

    Attributes:
        left: whether more messages were due than fit into the last batch.
    """

    def __init__(
        self,
        database: Database,
        attempts: Attempts,
        *,
        gate: Gate,
        owner: LiveOwner,
        ears: Ears,
        say: Callable[[str], None],
    ) -> None:
        self._database = database
        self._attempts = attempts
        self._gate = gate
        self._owner = owner
        self._ears = ears
        self._say = say
        self._after: str | None = None  # the tenant whose turn was the last one
        self.left = False
        self._pauses: dict[int, int] = {}  # device → how long it was parked the last time
        self._standing: Mapping[int, Standing] = {}  # of the devices that are asked about

    async def send_all(self, go_on: Callable[[], bool]) -> int:
        """Batch after batch until none is due that fits; how many messages. While the broker takes
        one, and the database records it, the next one is marked; never two of them with the same
        device, whose messages keep their order.

        Args:
            go_on: whether there is time for one more.
        """
        sent = 0
        under_way: asyncio.Task[int] | None = None
        busy: frozenset[int] = frozenset()
        try:
            more = True
            while more:
                batch = await self._mark(busy)
                former, under_way = under_way, None
                if batch.claimed:
                    under_way = asyncio.create_task(
                        self._attempts.make(batch.claimed, batch.evidence)
                    )
                busy = frozenset(one.device_id for one in batch.claimed if one.device_id)
                if former is not None:
                    sent += await former
                more = self.left and bool(former or under_way) and go_on()
            if under_way is not None:
                sent += await under_way
        except asyncio.CancelledError:
            if under_way is not None:
                under_way.cancel()
            raise
        finally:
            # After a failure what is under way is recorded, if that is possible; see the module.
            if under_way is not None and not under_way.done():
                await asyncio.gather(under_way, return_exceptions=True)
        return sent

    async def _mark(self, busy: frozenset[int]) -> _Batch:
        """The next batch, marked as being sent.

        Args:
            busy: devices whose messages are under way.
        """
        awake = self._ears.take_awake()
        hints = set(self._ears.take_hints())
        early = asyncio.create_task(self._listening(list(hints)))  # while the database is asked
        try:
            asked, full = await asyncio.to_thread(self._waiting, awake, busy)
            if not asked and not full:
                return NO_BATCH
            evidence = await self._listening([one for one in asked if one not in hints])
            named = {one.id for one in hints.intersection(asked)}
            if named:
                known = await early
                evidence |= {number: said for number, said in known.items() if number in named}
        except BrokerUnavailable as exc:
            self._say(str(exc))
            return NO_BATCH
        finally:
            early.cancel()
            await asyncio.gather(early, return_exceptions=True)
        return _Batch(await asyncio.to_thread(self._claim, asked, full, evidence), evidence)

    async def _listening(self, asked: Sequence[Asked]) -> dict[int, Listening]:
        return dict(await self._gate.listening(asked)) if asked else {}

    def forget_pauses(self, devices: Sequence[int]) -> None:
        """They are tried now, and their next pause is a short one again."""
        for number in devices:
            self._pauses.pop(number, None)

    def _waiting(self, awake: Sequence[str], busy: frozenset[int]) -> tuple[list[Asked], list[int]]:
        """Messages whose devices are to be asked about, in fair order; and devices that have
        as many messages without outcome as they may have."""
        at = now_ms()
        self._wake(awake, at)
        with self._database.read(brief=True) as connection:
            rows = None if self.left else store.due(connection, at, BATCH)
            if rows is not None and not rows:
                return [], []
            if rows is None:
                found = self._in_turn(connection, at)
                self.left = bool(found)
            else:
                found = list({one.device_id: None for one in rows})
            if not busy.isdisjoint(found):
                found = [one for one in found if one not in busy]
                self.left = True
            if not found:
                return [], []
            self._standing = standing = dict(self._owner.standing(connection, found))
            full = [number for number in found if standing[number].room <= 0]
            if rows is None:
                open_ = [one for one in found if standing[one].room > 0]
                rows = store.live_of(connection, open_, at, LIVE_EACH)
        left = {number: one.room for number, one in standing.items()}
        asked: list[Asked] = []
        for one in rows:
            room = left.get(one.device_id, 0)
            left[one.device_id] = room - 1
            if room > 0 and len(asked) < BATCH:
                asked.append(one)
        return asked, full

    def _wake(self, awake: Sequence[str], at: int) -> None:
        """Devices that have subscribed are tried now."""
        if not awake:
            return
        with self._database.read(brief=True) as connection:
            woken = store.wake_live_names(connection, awake)
        if woken:
            # Lost in a power cut, like the subscription that it is for.
            with self._database.write(news=False, lasting=False) as connection:
                store.wake_live(connection, woken, at)
            self.forget_pauses(woken)

    def _in_turn(self, connection: Connection, at: int) -> list[int]:
        """Devices with live messages to be tried now: every tenant has its turn."""
        turns = downlink_store.tenants_with_work
        tenants = turns(connection, self._after, BATCH, State.QUEUED)
        if self._after is not None and len(tenants) < BATCH:
            first = turns(connection, None, BATCH - len(tenants), State.QUEUED)
            tenants += [one for one in first if one not in tenants]
        share = max(1, BATCH // max(1, len(tenants)))
        found: list[int] = []
        for tenant in tenants:
            some = store.live_devices(connection, tenant, at, share)
            if some:
                self._after = tenant
                found += some
            if len(found) >= BATCH:
                break
        return found

    def _claim(
        self, asked: Sequence[Asked], full: Sequence[int], listening: Mapping[int, Listening]
    ) -> list[Claimed]:
        at = now_ms()
        deaf: dict[int, int] = {}
        for one in asked:
            if one.id in listening:
                self._pauses.pop(one.device_id, None)
            elif one.device_id not in deaf:
                pause = min(PARK_MOST_MS, 2 * self._pauses.get(one.device_id, PARK_FIRST_MS // 2))
                if len(self._pauses) >= PARKED_MAX:
                    del self._pauses[next(iter(self._pauses))]
                self._pauses[one.device_id] = pause
                deaf[one.device_id] = at + pause
        sessions = {
            one.device_id: now
            for one in asked
            if one.id in listening
            and (now := listening[one.id].session)
            and self._standing[one.device_id].sessions - {now}
        }
        # Before anything goes out its mark is on the disk. A pause alone does not wait for that.
        listens = any(one.id in listening for one in asked)
        with self._database.write(news=False, lasting=listens) as connection:
            # An outcome ends this pause; one that came since the last look must not be missed.
            standing = self._owner.standing(connection, full) if full else {}
            deaf |= {one: at + FULL_MS for one in full if standing[one].room <= 0}
            ended = self._owner.ended(connection, sessions, at) if sessions else set()
            ready = [one.id for one in asked if one.id in listening and one.device_id not in ended]
            claimed = store.claim_live(connection, ready, at) if ready else []
            if deaf:
                store.park(connection, deaf)
        return claimed
