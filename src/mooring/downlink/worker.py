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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mqtt5 import PubAckReasonCode
from sqlalchemy.engine import Connection

from mooring.downlink import store
from mooring.downlink.desired.worker import DesiredKeeper
from mooring.downlink.gate import WORK, ConnectedGate, Ears
from mooring.downlink.live import store as live_store
from mooring.downlink.model import Claimed
from mooring.downlink.protocol import Asked, Gate, Listening, LiveOwner, Taken
from mooring.downlink.rules import Answer, Event, State, answered, pause_ms
from mooring.errors import BrokerUnavailable, MooringError
from mooring.link.connection import FAILURE, NeverSent
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
NOTHING: Mapping[int, Listening] = {}
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
LIVE_EXPIRY_MS = 60_000
"""For this long the broker keeps a live message that the device's connection lost. It must not
arrive when nobody expects it any more."""
LIVE_EACH = 10  # live messages of a device in one batch
PARK_FIRST_MS, PARK_MOST_MS = 1_000, 60_000
"""Pause before a device that does not listen is asked about again: doubling. Its next
subscription ends the pause."""
FULL_MS = 2_000
"""Pause of a device that has as many messages without outcome as it may have. An outcome ends it,
and this is for one that is committed while the pause begins."""
PARKED_MAX = 100_000  # devices whose pause is remembered; the oldest go first
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
        self._instance = instance
        self._endpoint = endpoint
        self._desired = desired
        self._gate: Gate = gate or ConnectedGate(database)
        self._live = live
        self._ears = ears or Ears()
        self._after_live: str | None = None
        self._live_left = False  # more live messages were due than fit into a batch
        self._pauses: dict[int, int] = {}  # device → how long it was parked the last time
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
        waker = Waker(self._database.wake_folder, WORK)
        self._ears.on_poke = waker.wake
        busy_until = 0.0
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
        while await self._send_live() and self._live_left:
            pass
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
                self._event = store.newest_event(connection)
                changed += store.unclaim(connection, at)
                left = live_store.unclaim_live(connection, at)
                if left and self._live is not None:
                    self._live.taken(connection, left, at)
                changed += store.wake_all(connection, at + SETTLE_MS)
        with self._database.read(brief=True) as connection:
            ended = store.any_expired(connection, at)
            back, last, _ = store.devices_connected(connection, self._event, EVENTS_AT_ONCE)
            live = live_store.with_live(connection, back)
            back = store.with_held(connection, back)
        if ended or back or live:
            with self._database.write() as connection:
                changed += store.expire(connection, at, EXPIRED_AT_ONCE)
                changed += store.wake(connection, back, at + SETTLE_MS)
                changed += live_store.wake_live(connection, live, at)
                # Where nobody tells of subscriptions, the device has had time for them then.
                for number in live:
                    self._pauses.pop(number, None)
        self._event = last
        return changed

    # ------------------------------------------------------------------ live messages

    async def _send_live(self) -> int:
        """One batch of messages to devices that listen now; the others are parked."""
        if self._live is None:
            return 0
        awake = self._ears.take_awake()
        asked, full = await asyncio.to_thread(self._waiting_live, awake)
        if not asked and not full:
            return 0
        try:
            evidence = await self._gate.listening(asked) if asked else {}
        except BrokerUnavailable as exc:
            self._say(str(exc))
            return 0
        claimed = await asyncio.to_thread(self._claim_live, asked, full, evidence)
        if not claimed:
            return 0
        results = await asyncio.gather(*(self._attempt(row) for row in claimed))
        await asyncio.to_thread(self._record, results, evidence)
        self.sent += sum(1 for one in results if one.answer is not None)
        return len(results)

    def _waiting_live(self, awake: Sequence[str]) -> tuple[list[Asked], list[int]]:
        """Messages whose devices are to be asked about, in fair order; and devices that have
        as many messages without outcome as they may have."""
        assert self._live is not None
        at = now_ms()
        woken: list[int] = []
        if awake:
            with self._database.read(brief=True) as connection:
                woken = live_store.wake_live_names(connection, awake)
        if woken:
            with self._database.write(news=False) as connection:
                live_store.wake_live(connection, woken, at)
            for number in woken:
                self._pauses.pop(number, None)
        with self._database.read(brief=True) as connection:
            rows = live_store.due(connection, at, BATCH)
            if rows is not None and not rows:
                return [], []
            self._live_left = rows is None
            if rows is None:
                found = self._in_turn(connection, at)
            else:
                found = list({one.device_id: None for one in rows})
            room = self._live.room(connection, found)
            full = [number for number in found if room.get(number, LIVE_EACH) <= 0]
            if rows is None:
                open_ = [one for one in found if one not in full]
                rows = live_store.live_of(connection, open_, at, LIVE_EACH)
        left = dict(room)
        asked: list[Asked] = []
        for one in rows:
            left[one.device_id] = left.get(one.device_id, LIVE_EACH) - 1
            if left[one.device_id] >= 0 and len(asked) < BATCH and one.device_id not in full:
                asked.append(one)
        return asked, full

    def _in_turn(self, connection: Connection, at: int) -> list[int]:
        """Devices with live messages to be tried now: every tenant has its turn."""
        tenants = store.tenants_with_work(connection, self._after_live, BATCH, State.QUEUED)
        if self._after_live is not None and len(tenants) < BATCH:
            first = store.tenants_with_work(connection, None, BATCH - len(tenants), State.QUEUED)
            tenants += [one for one in first if one not in tenants]
        share = max(1, BATCH // max(1, len(tenants)))
        found: list[int] = []
        for tenant in tenants:
            some = live_store.live_devices(connection, tenant, at, share)
            if some:
                self._after_live = tenant
                found += some
            if len(found) >= BATCH:
                break
        return found

    def _claim_live(
        self, asked: Sequence[Asked], full: Sequence[int], listening: Mapping[int, Listening]
    ) -> list[Claimed]:
        assert self._live is not None
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
        with self._database.write(news=False) as connection:
            # An outcome ends this pause; one that came since the last look must not be missed.
            room = self._live.room(connection, full) if full else {}
            deaf |= {one: at + FULL_MS for one in full if room.get(one, 1) <= 0}
            sessions = {
                one.device_id: listening[one.id].session for one in asked if one.id in listening
            }
            ended = self._live.ended(connection, sessions, at) if sessions else set()
            ready = [one.id for one in asked if one.id in listening and one.device_id not in ended]
            claimed = live_store.claim_live(connection, ready, at) if ready else []
            if deaf:
                live_store.park(connection, sorted(deaf), deaf)
        return claimed

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
        left_ms = row.expires_at - now_ms()
        if row.until.live:
            left_ms = min(left_ms, LIVE_EXPIRY_MS)
        left = max(1, left_ms // 1000)
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

    def _record(
        self, results: Sequence[_Result], evidence: Mapping[int, Listening] = NOTHING
    ) -> None:
        at = now_ms()
        unheard = [
            one.row.device_id
            for one in results
            if one.answer is not None and not one.answer.heard and one.row.device_id is not None
        ]
        connected: set[int] = set()
        if unheard:
            with self._database.read() as connection:
                connected = store.connected_now(connection, unheard)
        kinds: dict[tuple[Event, bool, bool, str], list[_Result]] = defaultdict(list)
        for one in results:
            answer = one.answer
            lost = answer is not None and not answer.acknowledged
            taken = answer is not None and answer.acknowledged and not answer.refused
            kinds[_event_of(one, connected), lost, taken, one.error].append(one)
        # Nothing waits for a command to be sent. The looks that follow commits cost each process.
        news = not all(one.row.until.live for one in results)
        with self._database.write(news=news) as connection:
            for (event, lost, taken, error), some in kinds.items():
                store.finish_attempts(
                    connection,
                    event,
                    [(one.row.id, one.row.attempts, _next_at(one, at)) for one in some],
                    at,
                    lost=lost,
                    taken=taken,
                    error=error or None,
                )
                if event in (Event.ACCEPT, Event.ACCEPT_OPEN) and self._live is not None:
                    live = [_taken(one, evidence) for one in some if one.row.until.live]
                    if live:
                        self._live.taken(connection, live, at)


def _event_of(result: _Result, connected: set[int]) -> Event:
    row, answer = result.row, result.answer
    if result.broken:
        return Event.GIVE_UP
    if answer is None:
        return Event.PARK if row.until.live else Event.RETRY
    if not answer.heard:
        there = row.device_id is None or row.device_id in connected
        answer = Answer(acknowledged=True, heard=False, connected=there)
    return answered(row.until, row.losses, answer)


def _taken(result: _Result, evidence: Mapping[int, Listening]) -> Taken:
    known = evidence.get(result.row.id, Listening(""))
    acknowledged = result.answer is not None and result.answer.acknowledged
    said = "took it" if acknowledged else "did not answer; it may have arrived"
    words = f"The broker {said}. {known.evidence}".strip()
    return Taken(result.row.id, result.row.sent_at, words, known.session)


def _next_at(result: _Result, at: int) -> int:
    """What the connection took with it is sent again as soon as there is one."""
    answered_at_all = result.answer is not None and result.answer.acknowledged
    return at + pause_ms(result.row.attempts) if answered_at_all else at


def _refusal(code: int) -> str:
    name = PubAckReasonCode(code).name.lower().replace("_", " ")
    return f"The broker rejected it: {name}."
