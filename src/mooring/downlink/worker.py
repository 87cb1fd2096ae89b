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
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mqtt5 import PubAckReasonCode

from mooring.downlink import store
from mooring.downlink.desired.worker import DesiredKeeper
from mooring.downlink.model import Claimed
from mooring.downlink.rules import Answer, Event, answered, pause_ms
from mooring.errors import BrokerUnavailable, MooringError
from mooring.link.connection import FAILURE, NeverSent
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Endpoint
from mooring.secrets.instance import Instance
from mooring.store.engine import Database, now_ms
from mooring.store.leases import LEASE_MS, Lease
from mooring.store.lookout import Lookout

__all__ = ["LEASE", "Sender"]

log = logging.getLogger(__name__)

LEASE = "downlinks"
UNHEARD = "No client is subscribed to its topic."
BATCH = 256  # messages between two looks at the database, of all tenants together
EXPIRED_AT_ONCE = 1_000
EVENTS_AT_ONCE = 5_000
ANSWER_SECONDS = 10.0  # less than a lease lasts
POLL_SECONDS, IDLE_POLL_SECONDS = 0.02, 0.1
BUSY_SECONDS = 5.0  # after a message the next one is expected soon
LOOK_SECONDS = 0.5  # between two looks when nobody commits anything
RENEW_SECONDS = 4.0  # between two steps when a look finds nothing to do: the lease is renewed
STANDBY_SECONDS = 1.0  # between two attempts to take over
SETTLE_MS = 2_000  # after a device has connected, for its subscriptions
PAUSE_FIRST, PAUSE_MOST = 0.2, 5.0  # between two attempts to reach the broker


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of one attempt; ``broken``: why it can never be sent."""

    row: Claimed
    answer: Answer | None = None  # None: nothing was sent
    error: str = ""
    broken: bool = False


class Sender:
    """Sends what is due, and ends what is past its time.

    Args:
        endpoint: the platform's own account, with a client id that nobody else uses.
        desired: keeps retained documents, on the same connection.
        lease_ms: how long the work of a killed sender waits for the next one.
    """

    def __init__(
        self,
        database: Database,
        instance: Instance,
        endpoint: Endpoint,
        *,
        desired: DesiredKeeper | None = None,
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._database = database
        self._instance = instance
        self._endpoint = endpoint
        self._desired = desired
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
        self.sent = 0
        self.error = ""

    @property
    def link(self) -> MqttLink | None:
        """The connection, while there is one."""
        return self._link if self._link is not None and self._link.connected else None

    async def run(self) -> None:
        """Until cancelled: ``step`` whenever there is something to do."""
        lookout = Lookout(self._database)
        busy_until = 0.0
        try:
            while True:
                now = time.monotonic()
                renew = now >= self._renew_at
                if renew or (self.holding and await self._is_needed(lookout, now)):
                    while await self.step():
                        busy_until = now + BUSY_SECONDS
                    self._renew_at = now + (RENEW_SECONDS if self.holding else STANDBY_SECONDS)
                await asyncio.sleep(POLL_SECONDS if now < busy_until else IDLE_POLL_SECONDS)
        finally:
            lookout.close()
            await self.close()

    async def _is_needed(self, lookout: Lookout, now: float) -> bool:
        question = store.work_question(now_ms())
        always = now >= self._ask_at  # time alone makes rows due
        if always:
            self._ask_at = now + LOOK_SECONDS
        if lookout.waits:
            found = await asyncio.to_thread(lookout.ask, question)
        else:
            found = lookout.ask(question, always=always)
        if found is None:
            return False
        due, held, newest = found
        return bool(due) or (bool(held) and (newest or 0) > self._event)

    async def step(self) -> int:
        """Does what is due now; how many rows were changed. Does nothing while another process
        holds the lease.

        Raises:
            DatabaseUnavailable: nothing is lost; call again.
        """
        before, self.holding = (
            self.holding,
            await asyncio.to_thread(self._lease.held, after_dead=True),
        )
        if self.holding is not before and self.on_state is not None:
            self.on_state()
        if not self.holding:
            self._begun = False
            return 0
        begun, self._begun = self._begun, False  # an exception leaves rows that are marked
        changed = await asyncio.to_thread(self._look, begun=begun)
        if await self.connected():
            changed += await self._send(alone=False)
            changed += await self._send(alone=True)
            changed += await self._keep_documents()
        self._begun = True
        return changed

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
            await link.start(timeout=ANSWER_SECONDS)
        except BrokerUnavailable as exc:
            self._failures += 1
            pause = min(PAUSE_MOST, PAUSE_FIRST * 2 ** min(self._failures, 10))
            self._connect_at = time.monotonic() + pause
            self._say(str(exc))
            return False
        self._failures, self._link = 0, link
        return True

    async def close(self) -> None:
        """Gives the work to the next process."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()
        try:
            await asyncio.to_thread(self._lease.release)
        except MooringError as exc:
            log.warning("the lease of downlinks was not released: %s", exc)

    def _changed(self, connected: bool) -> None:
        self._say("" if connected else "The connection to the broker was lost.")
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
                self._event = store.newest_event(connection)
                changed += store.unclaim(connection, at)
                changed += store.wake_all(connection, at + SETTLE_MS)
        with self._database.read() as connection:
            ended = store.any_expired(connection, at)
            back, last, _ = store.devices_connected(connection, self._event, EVENTS_AT_ONCE)
            back = store.with_held(connection, back)
        if ended or back:
            with self._database.write() as connection:
                changed += store.expire(connection, at, EXPIRED_AT_ONCE)
                changed += store.wake(connection, back, at + SETTLE_MS)
        self._event = last
        return changed

    # ------------------------------------------------------------------ sending

    async def _send(self, *, alone: bool) -> int:
        """One batch; or one message by itself that got no answer before."""
        claimed = await asyncio.to_thread(self._claim, alone=alone)
        if not claimed:
            return 0
        results = await asyncio.gather(*(self._attempt(row) for row in claimed))
        await asyncio.to_thread(self._record, results)
        self.sent += sum(1 for one in results if one.answer is not None)
        return len(results)

    def _claim(self, *, alone: bool) -> list[Claimed]:
        """The next rows in fair order: every tenant has its turn, with an equal share."""
        at = now_ms()
        with self._database.read() as connection:
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

    async def _attempt(self, row: Claimed) -> _Result:
        try:
            payload = self._instance.unseal_bytes(row.payload) if row.sealed else row.payload
            code = await self._deliver(row, payload)
        except NeverSent:
            return _Result(row)
        except BrokerUnavailable as exc:
            return _Result(row, Answer(acknowledged=False), str(exc))
        except Exception as exc:  # noqa: BLE001 - of this row alone; it is recorded there
            log.warning("the downlink %d cannot be sent: %s", row.id, exc)
            return _Result(row, None, str(exc) or type(exc).__name__, broken=True)
        if code >= FAILURE:
            return _Result(row, Answer(acknowledged=True, refused=True), _refusal(code))
        heard = code != int(PubAckReasonCode.NO_MATCHING_SUBSCRIBERS)
        return _Result(row, Answer(acknowledged=True, heard=heard), "" if heard else UNHEARD)

    async def _deliver(self, row: Claimed, payload: bytes) -> int:
        """The broker's reason code for one message; see ``MqttLink.deliver``."""
        link = self._link
        if link is None:
            raise NeverSent("There is no connection to the broker.")
        left = max(1, (row.expires_at - now_ms()) // 1000)
        return int(
            await link.deliver(
                row.topic,
                payload,
                qos=row.qos,
                retain=row.retain,
                expires=left,
                within=ANSWER_SECONDS,
            )
        )

    def _record(self, results: Sequence[_Result]) -> None:
        at = now_ms()
        with self._database.read() as connection:
            unheard = [
                one.row.device_id
                for one in results
                if one.answer is not None and not one.answer.heard and one.row.device_id is not None
            ]
            connected = store.connected_now(connection, unheard)
        kinds: dict[tuple[Event, bool, bool, str], list[_Result]] = defaultdict(list)
        for one in results:
            answer = one.answer
            lost = answer is not None and not answer.acknowledged
            taken = answer is not None and answer.acknowledged and not answer.refused
            kinds[_event_of(one, connected), lost, taken, one.error].append(one)
        with self._database.write() as connection:
            for (event, lost, taken, error), some in kinds.items():
                store.finish_attempts(
                    connection,
                    event,
                    [(one.row.id, one.row.attempts) for one in some],
                    at,
                    next_at={one.row.id: _next_at(one, at) for one in some},
                    lost=lost,
                    taken=taken,
                    error=error or None,
                )


def _event_of(result: _Result, connected: set[int]) -> Event:
    row, answer = result.row, result.answer
    if result.broken:
        return Event.GIVE_UP
    if answer is None:
        return Event.RETRY
    if not answer.heard:
        there = row.device_id is None or row.device_id in connected
        answer = Answer(acknowledged=True, heard=False, connected=there)
    return answered(row.until, row.losses, answer)


def _next_at(result: _Result, at: int) -> int:
    """What the connection took with it is sent again as soon as there is one."""
    answered_at_all = result.answer is not None and result.answer.acknowledged
    return at + pause_ms(result.row.attempts) if answered_at_all else at


def _refusal(code: int) -> str:
    name = PubAckReasonCode(code).name.lower().replace("_", " ")
    return f"The broker rejected it: {name}."
