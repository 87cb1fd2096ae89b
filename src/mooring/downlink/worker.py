"""Sends downlinks: one process at a time, the one that holds the lease.

A batch is two transactions around what goes out: one marks its rows as being sent, the other
records the broker's answers. Killed anywhere, the next sender finds either waiting rows or rows
marked as being sent, and sends those again. Failure invariant: after any exception the database
says of each row no less than what has happened to it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from mooring.downlink import connecting, store
from mooring.downlink.attempts import ANSWER_SECONDS, Attempts
from mooring.downlink.desired.worker import DesiredKeeper
from mooring.downlink.gate import WORK, ConnectedGate, Ears
from mooring.downlink.live import store as live_store
from mooring.downlink.live.worker import LiveSender
from mooring.downlink.model import Claimed
from mooring.downlink.protocol import Gate, LiveOwner
from mooring.errors import BrokerUnavailable, MooringError
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Endpoint
from mooring.secrets.instance import Instance
from mooring.store.engine import Database, now_ms
from mooring.store.leases import LEASE_MS, Lease
from mooring.store.lookout import Lookout
from mooring.store.wake import Waker

__all__ = ["LEASE", "Sender"]

log = logging.getLogger(__name__)

LEASE = "downlinks"
BATCH = 256  # messages between two looks at the database, of all tenants together
EXPIRED_AT_ONCE = 1_000
EVENTS_AT_ONCE = 5_000
POLL_SECONDS, IDLE_POLL_SECONDS = 0.02, 0.1
BUSY_SECONDS = 5.0  # after a message the next one is expected soon
LOOK_SECONDS = 0.5  # between two looks when nobody commits anything
LIVE_SECONDS = 0.5  # in which batches of live messages follow one another within a step
RENEW_SECONDS = 4.0  # between two steps when a look finds nothing to do: the lease is renewed
STANDBY_SECONDS = 1.0  # between two attempts to take over
SETTLE_MS = 2_000  # after a device has connected, for its subscriptions
PAUSE_FIRST, PAUSE_MOST = 0.2, 5.0  # between two attempts to reach the broker


class Sender:
    """Sends what is due, and ends what is past its time.

    Args:
        endpoint: the platform's own account, with a client id that nobody else uses.
        desired: keeps retained documents, on the same connection.
        gate: knows whether a device listens, for live messages; by default what the broker's
            log says of its connection.
        live: the part that writes them.
        ears: notices devices that subscribe, and new messages, on the same connection.
        lease_ms: how long the work of a killed sender waits for the next one.
    """

    def __init__(
        self,
        database: Database,
        instance: Instance,
        endpoint: Endpoint,
        *,
        desired: DesiredKeeper | None = None,
        gate: Gate | None = None,
        live: LiveOwner | None = None,
        ears: Ears | None = None,
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._database = database
        self._endpoint = endpoint
        self._desired = desired
        self._owner = live
        self._ears = ears or Ears()
        self._attempts = Attempts(database, instance, lambda: self._link, live)
        self._live = (
            None
            if live is None
            else LiveSender(
                database,
                self._attempts,
                gate=gate or ConnectedGate(database),
                owner=live,
                ears=self._ears,
                say=self._say,
            )
        )
        self._lease = Lease(database, LEASE, lease_ms=lease_ms)
        self.on_state: Callable[[], None] | None = None
        """Called when the connection, or who holds the lease, has changed."""
        self._begun = False  # whether this process knows what a former one left
        self._event = 0  # the last event of the broker that was looked at
        self._after: str | None = None  # the tenant whose turn was the last one
        self._link: MqttLink | None = None
        self._failures = 0
        self._connect_at = 0.0
        self._renew_at = self._ask_at = 0.0
        self.holding: bool | None = None  # None: it has not been asked
        self.error = ""

    @property
    def sent(self) -> int:
        """How many messages went out."""
        return self._attempts.sent

    @property
    def link(self) -> MqttLink | None:
        """The connection, while there is one."""
        return self._link if self._link is not None and self._link.connected else None

    async def run(self) -> None:
        """Until cancelled: ``step`` whenever there is something to do."""
        lookout = Lookout(self._database)
        waker = Waker(self._database.wake_folder, WORK)
        self._ears.on_poke = waker.wake
        busy_until = 0.0
        # The end of the former run may be a crash of the database, which forgets answers.
        self._begun = False
        try:
            while True:
                now = time.monotonic()
                renew = now >= self._renew_at
                live = other = False
                if self._ears.take_poke() and not renew:
                    live = not await self._send_live_now()
                    busy_until = now + BUSY_SECONDS
                elif self.holding and not renew:
                    live, other = await self._is_needed(lookout, now)
                    if live and not other:
                        live = not await self._send_live_now()
                if renew or live or other:
                    while await self.step():
                        busy_until = now + BUSY_SECONDS
                    self._renew_at = now + (RENEW_SECONDS if self.holding else STANDBY_SECONDS)
                await waker.wait(POLL_SECONDS if now < busy_until else IDLE_POLL_SECONDS)
        finally:
            waker.close()
            lookout.close()
            await self.close()

    async def _send_live_now(self) -> bool:
        """Hands over what a device or a process has just told of; the other work has its turn at
        the next look. ``False``: only a whole step may do anything now."""
        if not (self._begun and self.link is not None):
            return False
        if not (self._lease.fresh or await asyncio.to_thread(self._lease.held)):
            return False
        self._begun = False  # an exception leaves rows that are marked
        if self._live is not None:
            await self._live.send_all(lambda: time.monotonic() < self._renew_at)
        self._begun = True
        return True

    async def _is_needed(self, lookout: Lookout, now: float) -> tuple[bool, bool]:
        """Whether a live message is due, and whether there is other work."""
        at = {"at": now_ms()}
        always = now >= self._ask_at  # time alone makes rows due
        if always:
            self._ask_at = now + LOOK_SECONDS
        found = await lookout.look(store.WORK, at, always=always)
        if found is None:
            return False, False
        live, due, held, newest = found
        return bool(live), bool(due) or (bool(held) and (newest or 0) > self._event)

    async def step(self) -> int:
        """Does what is due now; how many rows were changed. Does nothing while another process
        holds the lease.

        Raises:
            DatabaseUnavailable: nothing is lost; call again.
        """
        before = self.holding
        self.holding = self._lease.fresh or await asyncio.to_thread(
            self._lease.held, after_dead=True
        )
        if self.holding is not before and self.on_state is not None:
            self.on_state()
        if not self.holding:
            self._begun = False
            return 0
        begun, self._begun = self._begun, False  # an exception leaves rows that are marked
        changed = 0
        if begun and self.link is not None:  # first what a person or a device waits for
            changed += await self._send_live()
        changed += await asyncio.to_thread(self._look, begun=begun)
        if await self.connected():
            changed += await self._send_live()
            changed += await self._send(alone=False)
            changed += await self._send(alone=True)
            changed += await self._keep_documents()
        self._begun = True
        return changed

    async def _send_live(self) -> int:
        """Live messages for a short time: other work has its turn, too."""
        if self._live is None:
            return 0
        until = time.monotonic() + LIVE_SECONDS
        return await self._live.send_all(lambda: time.monotonic() < until)

    async def _keep_documents(self) -> int:
        link = self.link
        if self._desired is None or link is None:
            return 0
        try:
            return await self._desired.step(link)
        except BrokerUnavailable as exc:
            self._say(str(exc))
            return 0

    async def connected(self) -> bool:
        """Whether the broker is there; connects if it has to."""
        if self._link is not None:
            return self._link.connected  # it reconnects by itself
        if time.monotonic() < self._connect_at:
            return False
        link = MqttLink(self._endpoint, on_state=self._changed)
        try:
            await self._ears.subscribe(link)
            await link.start(timeout=ANSWER_SECONDS)
        except BrokerUnavailable as exc:
            self._failures += 1
            pause = min(PAUSE_MOST, PAUSE_FIRST * 2 ** min(self._failures, 10))
            self._connect_at = time.monotonic() + pause
            self._say(str(exc))
            return False
        self._failures, self._link = 0, link
        self._ears.listen(link)
        return True

    async def close(self) -> None:
        """Gives the work to the next process."""
        link, self._link = self._link, None
        await self._ears.close()
        if link is not None:
            await link.close()
        try:
            await asyncio.to_thread(self._lease.release)
        except MooringError as exc:
            log.warning("the lease of downlinks was not released: %s", exc)

    def _changed(self, connected: bool) -> None:
        self._say("" if connected else "The connection to the broker was lost.")
        if not connected:
            self._ears.lost()
        if connected and self._desired is not None:
            self._desired.compare_soon()  # it may have come up empty
        if self.on_state is not None:
            self.on_state()

    def _say(self, error: str) -> None:
        if error and error != self.error:
            log.warning("downlinks wait for the broker: %s", error)
        self.error = error

    # ------------------------------------------------------------------ looking

    def _look(self, *, begun: bool) -> int:
        """Takes over from a former sender, ends what is past its time, and wakes what waits for
        devices that have connected."""
        at = now_ms()
        changed = 0
        if not begun:
            with self._database.write() as connection:
                # The event first: what connects meanwhile is looked at again.
                self._event = connecting.newest_event(connection)
                changed += store.unclaim(connection, at)
                left = live_store.unclaim_live(connection, at)
                if left and self._owner is not None:
                    self._owner.taken(connection, left, at)
                changed += connecting.wake_all(connection, at + SETTLE_MS)
        with self._database.read(brief=True) as connection:
            ended = store.any_expired(connection, at)
            back, last, _ = connecting.devices_connected(connection, self._event, EVENTS_AT_ONCE)
            live = live_store.with_live(connection, back)
            back = connecting.with_held(connection, back)
        if ended or back or live:
            with self._database.write() as connection:
                changed += store.expire(connection, at, EXPIRED_AT_ONCE)
                changed += connecting.wake(connection, back, at + SETTLE_MS)
                changed += live_store.wake_live(connection, live, at)
                # Where nobody tells of subscriptions, the device has had time for them then.
                if self._live is not None:
                    self._live.forget_pauses(live)
        self._event = last
        return changed

    # ------------------------------------------------------------------ sending

    async def _send(self, *, alone: bool) -> int:
        """One batch; or one message by itself that got no answer before."""
        return await self._attempts.make(await asyncio.to_thread(self._claim, alone=alone))

    def _claim(self, *, alone: bool) -> list[Claimed]:
        """The next rows in fair order: every tenant has its turn, with an equal share."""
        at = now_ms()
        with self._database.read(brief=True) as connection:
            if not store.any_due(connection, at):
                return []
        with self._database.write() as connection:
            tenants = store.tenants_with_work(connection, self._after, BATCH)
            if self._after is not None and len(tenants) < BATCH:
                first = store.tenants_with_work(connection, None, BATCH - len(tenants))
                tenants += [one for one in first if one not in tenants]
            share = 1 if alone else max(1, BATCH // max(1, len(tenants)))
            claimed: list[Claimed] = []
            for tenant in tenants:
                claimed += store.claim(connection, tenant, at, share, alone=alone)
                self._after = tenant
                if len(claimed) >= (1 if alone else BATCH):
                    break
        return claimed
