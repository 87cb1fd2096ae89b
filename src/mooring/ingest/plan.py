"""From packets to what one transaction has to write: pure, no I/O.

``Planner.plan`` looks at every packet once. What depends only on a device's newest message
(its state, its latest values) is worked out once per topic and batch, not per message.
It does not write, acknowledge or publish anything.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NamedTuple
from zlib import crc32

import msgspec
from mqtt5 import PublishPacket
from xxhash import xxh3_64_intdigest

from mooring.dialects import firmware, metadata, online, online_text
from mooring.dialects.model import Kind
from mooring.dialects.payload import MAX_SEQUENCE, BadPayload, Decoded, PayloadLimits, TimeSource
from mooring.ingest.dead_budget import DeadBudget, Keep
from mooring.ingest.ledger import Ledger
from mooring.ingest.routing import Route, RouteTable, Unroutable
from mooring.ingest.sequences import Range, narrowed, parse_ranges
from mooring.link.protocol import Broken

__all__ = [
    "DeadLetter",
    "MessageRow",
    "Plan",
    "Planner",
    "Retained",
    "State",
    "Stranger",
    "is_newer",
]

log = logging.getLogger(__name__)

_DUP = 0x08  # of a PUBLISH packet's first byte [MQTT-3.3.1.1]
_PRESENCE = frozenset({Kind.STATUS, Kind.ONLINE, Kind.OFFLINE})  # what is usually retained
FIRST_MAX = 1  # a count begins with 0 or 1
UNDECLARED_MS = 60_000  # between two dead letters of one topic that no dialect declares
UNDECLARED_MAX = 10_000  # such topics remembered
LOST_MAX = 4000  # ranges one device gave up, kept apart within a batch
AHEAD_MS = 60_000  # by which a device's time may be ahead and still say what is newest
TIME_SOURCES = {TimeSource.DEVICE: 0, TimeSource.RECEIVED: 1, TimeSource.IMPLAUSIBLE: 2}

_SequenceNumber = Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQUENCE)]

# device_id, channel_id, ts, received_at, seq, time_source, fingerprint, payload
MessageRow = tuple[int, int, int, int, int | None, int, int, str]


def is_newer(row: MessageRow, before: MessageRow) -> bool:
    """Whether ``row``, which arrived later, is also the later one of the same channel.

    The device's own times decide where both have one: a queue that is drained brings old
    readings last. A time of arrival says nothing against a device's clock, so otherwise the
    order of arrival decides: a Last Will, which carries no time, must not hide "online". A
    clock that is ahead must not keep the place either: its times count as those of arrival.
    """
    return _compared(row) >= _compared(before) or bool(row[5] or before[5])


def _compared(row: MessageRow) -> int:
    ts, received = row[2], row[3]
    return ts if ts <= received + AHEAD_MS else received


@dataclass(slots=True)
class State:
    """What a batch says of one device; ``None`` means: nothing said.

    ``heard`` is false where all that came is what the broker had kept: no sign of life.
    """

    last_seen_at: int
    online: bool | None = None
    firmware: str | None = None
    metadata: dict[str, Any] | None = None
    heard: bool = True

    @property
    def says(self) -> bool:
        """Whether it says more than that the device was heard."""
        return not (self.online is None and self.firmware is None and self.metadata is None)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    received_at: int
    reason: str
    detail: str
    topic: str
    tenant: str | None
    device_id: int | None
    size: int
    payload: bytes


@dataclass(slots=True)
class Stranger:
    """A device that speaks and is not known, with how often it did in this batch."""

    dialect: str
    tenant: str
    name: str
    at: int
    messages: int
    last_topic: str


class Retained(NamedTuple):
    """A message that the broker kept and sends because we have subscribed: it may be old."""

    row: MessageRow
    route: Route
    decoded: Decoded


@dataclass(slots=True)
class Plan:
    """What one transaction writes. Rows are in the order of arrival."""

    messages: list[MessageRow] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)  # of each message, for what is rejected
    newest: dict[Route, tuple[MessageRow, Decoded]] = field(default_factory=dict)
    states: dict[int, State] = field(default_factory=dict)
    dead: list[DeadLetter] = field(default_factory=list)
    strangers: dict[tuple[str, str, str], Stranger] = field(default_factory=dict)
    sequences: dict[int, list[int]] = field(default_factory=dict)  # device → numbers
    lost: dict[int, list[Range]] = field(default_factory=dict)  # device → what it gave up
    packets: list[tuple[int, int]] = field(default_factory=list)  # packet id, checksum
    repeated: int = 0  # what is stored already; nothing to write
    passed: int = 0  # further copies of a message, and what the platform itself says
    undeclared: int = 0  # on topics of no dialect, beyond the one that is a dead letter
    cleared: int = 0  # empty messages, by which a retained one is removed from the broker
    dropped: int = 0  # dead letters past the budget of their sender
    retained: list[Retained] = field(default_factory=list)  # for ``settle``
    not_numbers: int = 0  # values such as NaN that were left out
    keep_bytes: int = 65_536  # of a payload, in a dead letter


class Planner:
    """Plans batches.

    Args:
        routes: where topics lead; replaced by its owner when devices or dialects change.
        ledger: what has been committed lately.
        limits: what a payload may be.
        keep_bytes: how much of a bad payload a dead letter keeps.
        first_unique: where the numbers for messages without time and sequence start;
            random, so that two processes do not meet.
    """

    def __init__(
        self,
        routes: RouteTable,
        ledger: Ledger,
        limits: PayloadLimits,
        *,
        keep_bytes: int = 65_536,
        first_unique: int | None = None,
    ) -> None:
        self.routes = routes
        self.ledger = ledger
        self._limits = limits
        self._keep_bytes = keep_bytes
        self._budget = DeadBudget()
        self._unique = secrets.randbits(62) if first_unique is None else first_unique
        self._noted: dict[str, int] = {}  # undeclared topic → its newest dead letter
        self._counts: dict[int, tuple[int, int]] = {}  # device → its last number, which count

    def plan(  # noqa: PLR0912, PLR0915 - one function on purpose: a call costs as much as a step
        self, packets: list[PublishPacket], received_at: int, broken: list[Broken] | None = None
    ) -> Plan:
        """What to write for these packets, received at this time (epoch milliseconds)."""
        plan = Plan(keep_bytes=self._keep_bytes)
        known, find = self.routes.get, self.routes.find
        messages, routed, newest, acknowledgeable = (
            plan.messages,
            plan.routes,
            plan.newest,
            plan.packets,
        )
        device_time, event, has = TimeSource.DEVICE, Kind.EVENT, self.ledger.has
        unique = self._unique
        for packet in packets:
            payload = packet.payload
            number = packet.packet_id
            if number is not None:
                checksum = crc32(payload)
                acknowledgeable.append((number, checksum))
                if packet.duplicate and has(number, checksum):
                    plan.repeated += 1
                    continue
            try:
                topic = packet.topic
                route = known(topic) or find(topic)
                if route.later:
                    # One copy for each subscription that matches: see ``ingest.filters``.
                    brought_by = packet.subscription_ids
                    if brought_by and route.later.issuperset(brought_by):
                        plan.passed += 1
                        continue
                if isinstance(route, Unroutable):
                    self._unroutable(plan, packet, route, received_at)
                    continue
                decoded = route.decode(payload, received_at)
                if isinstance(decoded, BadPayload):
                    self._bad(plan, packet, route, decoded, received_at)
                    continue
                seq = decoded.seq
                timed = decoded.time_source is device_time
                source = 0 if timed else TIME_SOURCES[decoded.time_source]
                if seq is None:
                    # Nothing says that it is the same as an equal one: both are meant.
                    unique = (unique + 1) & 0x7FFF_FFFF_FFFF_FFFF
                    mark = unique
                elif timed:
                    mark = xxh3_64_intdigest(payload, route.seed) >> 1
                else:
                    mark = self._counted(payload, route, seq)
                ts = decoded.time_ms
                row = (
                    route.device_id,
                    route.channel_id,
                    ts,
                    received_at,
                    seq,
                    source,
                    mark,
                    decoded.text,
                )
                if packet.retain:
                    plan.retained.append(Retained(row, route, decoded))
                    continue
                lost = None
                if route.kind is event and decoded.body is not None and "lost" in decoded.body:
                    lost = parse_ranges(decoded.body["lost"])
            except Exception as fault:  # noqa: BLE001 - see below
                # A fault of ours. Raised, it would come again with the same packet after every
                # start, and nobody's messages would be stored any more.
                self._failed(plan, packet, fault, received_at)
                continue
            if decoded.not_numbers:
                plan.not_numbers += decoded.not_numbers
            messages.append(row)
            routed.append(route)
            before = newest.get(route)
            if before is None:
                newest[route] = (row, decoded)
            elif is_newer(row, before[0]):
                del newest[route]  # in the order in which they were said, for ``_states``
                newest[route] = (row, decoded)
            if seq is not None:
                plan.sequences.setdefault(route.device_id, []).append(seq)
            if lost:
                self._lost(plan, route.device_id, lost)
        self._unique = unique
        for one in broken or ():
            self._unreadable(plan, one, received_at)
        self._states(plan)
        return plan

    def settle(self, plan: Plan, known: Mapping[tuple[int, int], str]) -> None:
        """Adds those retained messages to a plan that are news.

        Args:
            known: (device, channel) → the newest payload that is stored.
        """
        for row, route, decoded in plan.retained:
            if known.get((row[0], row[1])) == row[7]:
                plan.repeated += 1
                continue
            plan.not_numbers += decoded.not_numbers
            plan.messages.append(row)
            plan.routes.append(route)
            if route in plan.newest:  # the device itself has said something since
                continue
            plan.newest[route] = (row, decoded)
            kept = State(row[3], heard=False)
            self._try_said(kept, route, decoded)
            state = plan.states.setdefault(row[0], kept)
            # What the device itself has said in this batch is newer.
            state.online = kept.online if state.online is None else state.online
            state.firmware = state.firmware or kept.firmware
            if kept.metadata:
                state.metadata = {**kept.metadata, **(state.metadata or {})}
        plan.retained.clear()

    # ------------------------------------------------------------------ inside

    def _counted(self, payload: bytes, route: Route, seq: int) -> int:
        """The fingerprint of a message with a number and no time that can be believed.

        Equal numbers are compared within one count. A device that begins again with 0 or 1 has
        restarted, and means what it says.
        """
        last, count = self._counts.get(route.device_id, (seq, 0))
        if seq <= FIRST_MAX and seq <= last:
            count = secrets.randbits(62)
        self._counts[route.device_id] = (seq, count)
        return xxh3_64_intdigest(payload, route.seed ^ count) >> 1

    def _lost(self, plan: Plan, device_id: int, lost: list[Range]) -> None:
        gone = plan.lost.setdefault(device_id, [])
        gone += lost
        if len(gone) > LOST_MAX:
            gone[:] = narrowed(gone)

    def _states(self, plan: Plan) -> None:
        for route, (row, decoded) in plan.newest.items():
            state = plan.states.get(route.device_id)
            if state is None:
                state = plan.states[route.device_id] = State(row[3])
            self._try_said(state, route, decoded)

    def _try_said(self, state: State, route: Route, decoded: Decoded) -> None:
        try:
            self._said(state, route, decoded)
        except Exception:
            log.exception("what a message on %r says of its device is passed over", route.topic)

    def _said(self, state: State, route: Route, decoded: Decoded) -> None:
        """Adds what this message says of its device."""
        shape = route.channel.payload
        there = self._online(route, decoded)
        if there is not None:
            state.online = there
        version = firmware(shape, decoded.body)
        if version:
            state.firmware = version
        about = metadata(shape, decoded.body, self._limits)
        if about:
            state.metadata = {**(state.metadata or {}), **about}

    def _online(self, route: Route, decoded: Decoded) -> bool | None:
        match route.kind:
            case Kind.OFFLINE:
                return False
            case Kind.HEARTBEAT | Kind.ONLINE | Kind.STATUS:
                if decoded.body is None:
                    said = online_text(decoded.text)
                else:
                    said = online(route.channel.payload, decoded.body)
                return True if said is None and route.kind is not Kind.STATUS else said
            case _:
                return None

    def _dead(self, plan: Plan, owner: Hashable, letter: DeadLetter) -> None:
        match self._budget.take(owner, len(letter.payload), letter.received_at):
            case Keep.WHOLE:
                plan.dead.append(letter)
            case Keep.WITHOUT_PAYLOAD:
                plan.dead.append(replace(letter, payload=b""))
            case Keep.COUNT_ONLY:
                plan.dropped += 1

    def _unroutable(
        self, plan: Plan, packet: PublishPacket, why: Unroutable, received_at: int
    ) -> None:
        if not why.declared and not self._noteworthy(plan, packet, why, received_at):
            return
        self._dead(
            plan,
            why.stranger,
            DeadLetter(
                received_at,
                why.reason,
                why.detail,
                packet.topic,
                why.tenant,
                None,
                len(packet.payload),
                packet.payload[: self._keep_bytes],
            ),
        )
        if why.stranger is None:
            return
        stranger = plan.strangers.get(why.stranger)
        if stranger is None:
            dialect, tenant, name = why.stranger
            plan.strangers[why.stranger] = Stranger(
                dialect, tenant, name, received_at, 1, packet.topic
            )
        else:
            stranger.messages += 1
            stranger.last_topic = packet.topic

    def _noteworthy(
        self, plan: Plan, packet: PublishPacket, why: Unroutable, received_at: int
    ) -> bool:
        """Whether a message on a topic of no dialect becomes a dead letter. Only a login that is
        no device can send it, and such a login may use the broker for purposes of its own: one
        a topic and minute is kept, all are counted."""
        if why.ours:  # it came through a broad filter: a command, or our own word
            plan.passed += 1
            return False
        if packet.retain or self._noted.get(packet.topic, 0) > received_at - UNDECLARED_MS:
            plan.undeclared += 1
            return False
        if len(self._noted) >= UNDECLARED_MAX:
            self._noted.clear()
        self._noted[packet.topic] = received_at
        return True

    def _bad(
        self,
        plan: Plan,
        packet: PublishPacket,
        route: Route,
        bad: BadPayload,
        received_at: int,
    ) -> None:
        if not packet.payload and (route.channel.retain or route.kind in _PRESENCE):
            plan.cleared += 1
            return
        self._dead(
            plan,
            route.device_id,
            DeadLetter(
                received_at,
                str(bad.reason),
                bad.detail,
                packet.topic,
                route.tenant,
                route.device_id,
                len(packet.payload),
                packet.payload[: self._keep_bytes],
            ),
        )
        # It is kept here and will not get better: the device need not send it again.
        seq = sequence_of(packet.payload, route.channel.payload.sequence)
        if seq is not None:
            plan.sequences.setdefault(route.device_id, []).append(seq)
        if not packet.retain:  # it spoke, so it is there, whatever it said
            plan.states.setdefault(route.device_id, State(received_at))

    def _failed(
        self, plan: Plan, packet: PublishPacket, fault: Exception, received_at: int
    ) -> None:
        log.error("a message on %r cannot be handled", packet.topic, exc_info=fault)
        self._dead(
            plan,
            None,
            DeadLetter(
                received_at,
                "not_handled",
                f"Mooring failed on it, which is a fault of Mooring: {type(fault).__name__}."[:500],
                packet.topic,
                None,
                None,
                len(packet.payload),
                packet.payload[: self._keep_bytes],
            ),
        )

    def _unreadable(self, plan: Plan, broken: Broken, received_at: int) -> None:
        """It is kept and acknowledged: the broker would repeat it indefinitely."""
        if broken.qos:
            # Without its first byte, which is another one in a repetition.
            identity = (broken.packet_id, crc32(broken.raw[1:]))
            plan.packets.append(identity)
            if broken.raw[0] & _DUP and self.ledger.has(*identity):
                plan.repeated += 1
                return
        self._dead(
            plan,
            None,
            DeadLetter(
                received_at,
                "malformed_packet",
                f"The MQTT packet cannot be read: {broken.why}.",
                broken.topic,
                None,
                None,
                len(broken.raw),
                broken.raw[: self._keep_bytes],
            ),
        )


def sequence_of(payload: bytes, path: tuple[str, ...] | None) -> int | None:
    """The sequence number of a payload that is otherwise bad, where it can be read at all."""
    if path is None or len(path) != 1:
        return None
    try:
        raw = msgspec.json.decode(payload, type=dict[str, msgspec.Raw]).get(path[0])
        return None if raw is None else msgspec.json.decode(raw, type=_SequenceNumber)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def metadata_text(state: State) -> str | None:
    """The metadata of a state as JSON text for the database."""
    return None if state.metadata is None else msgspec.json.encode(state.metadata).decode()
