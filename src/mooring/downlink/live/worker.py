"""Hands over live messages: to devices that are connected and subscribed now.

Used by the sender that holds the lease, one batch at a time. Failure invariant: as
``mooring.downlink.worker``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy.engine import Connection

from mooring.downlink import store as downlink_store
from mooring.downlink.attempts import Attempts
from mooring.downlink.gate import Ears
from mooring.downlink.live import store
from mooring.downlink.model import Claimed
from mooring.downlink.protocol import Asked, Gate, Listening, LiveOwner
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

    async def send(self) -> int:
        """One batch of messages to devices that listen now; the others are parked."""
        awake = self._ears.take_awake()
        asked, full = await asyncio.to_thread(self._waiting, awake)
        if not asked and not full:
            return 0
        try:
            evidence = await self._gate.listening(asked) if asked else {}
        except BrokerUnavailable as exc:
            self._say(str(exc))
            return 0
        claimed = await asyncio.to_thread(self._claim, asked, full, evidence)
        return await self._attempts.make(claimed, evidence)

    def forget_pauses(self, devices: Sequence[int]) -> None:
        """They are tried now, and their next pause is a short one again."""
        for number in devices:
            self._pauses.pop(number, None)

    def _waiting(self, awake: Sequence[str]) -> tuple[list[Asked], list[int]]:
        """Messages whose devices are to be asked about, in fair order; and devices that have
        as many messages without outcome as they may have."""
        at = now_ms()
        woken: list[int] = []
        if awake:
            with self._database.read(brief=True) as connection:
                woken = store.wake_live_names(connection, awake)
        if woken:
            # Lost in a power cut, like the subscription that it is for.
            with self._database.write(news=False, lasting=False) as connection:
                store.wake_live(connection, woken, at)
            self.forget_pauses(woken)
        with self._database.read(brief=True) as connection:
            rows = store.due(connection, at, BATCH)
            if rows is not None and not rows:
                return [], []
            self.left = rows is None
            if rows is None:
                found = self._in_turn(connection, at)
            else:
                found = list({one.device_id: None for one in rows})
            room = self._owner.room(connection, found)
            full = [number for number in found if room.get(number, LIVE_EACH) <= 0]
            if rows is None:
                open_ = [one for one in found if one not in full]
                rows = store.live_of(connection, open_, at, LIVE_EACH)
        left = dict(room)
        asked: list[Asked] = []
        for one in rows:
            left[one.device_id] = left.get(one.device_id, LIVE_EACH) - 1
            if left[one.device_id] >= 0 and len(asked) < BATCH and one.device_id not in full:
                asked.append(one)
        return asked, full

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
        # Before anything goes out its mark is on the disk. A pause alone does not wait for that.
        listens = any(one.id in listening for one in asked)
        with self._database.write(news=False, lasting=listens) as connection:
            # An outcome ends this pause; one that came since the last look must not be missed.
            room = self._owner.room(connection, full) if full else {}
            deaf |= {one: at + FULL_MS for one in full if room.get(one, 1) <= 0}
            sessions = {
                one.device_id: listening[one.id].session for one in asked if one.id in listening
            }
            ended = self._owner.ended(connection, sessions, at) if sessions else set()
            ready = [one.id for one in asked if one.id in listening and one.device_id not in ended]
            claimed = store.claim_live(connection, ready, at) if ready else []
            if deaf:
                store.park(connection, sorted(deaf), deaf)
        return claimed
