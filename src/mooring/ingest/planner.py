"""From packets to what one transaction has to write: pure, no I/O.

``Planner.plan`` looks at every packet once. It does not write, acknowledge or publish anything.
What a projection wants to know becomes a fact; a message that none wants makes none.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from mqtt5 import PublishPacket
from xxhash import xxh3_64_intdigest

from mooring.dialects.numbered import sequence_of
from mooring.dialects.payload import BadPayload, Decoded, PayloadLimits, TimeSource
from mooring.ingest.dead_letters import DeadLetters
from mooring.ingest.facts import Fact, Standing
from mooring.ingest.ledger import Ledger
from mooring.ingest.limiter import Limiter
from mooring.ingest.plan import Plan, Retained
from mooring.ingest.routing import Route, RouteTable, Unroutable
from mooring.ingest.rows import AHEAD_MS, TIME_SOURCES, MessageRow, is_newer
from mooring.link.protocol import Broken

__all__ = ["FIRST_MAX", "Planner"]

FIRST_MAX = 1  # a count begins with 0 or 1

_DUP = 0x08  # of a PUBLISH packet's first byte [MQTT-3.3.1.1]
_PLAIN = frozenset({str, int, float})
_NOTHING = Decoded("", 0, TimeSource.RECEIVED, None, None)

# Whether all values are plain, topic, what it says, row, time source, payload.
Repeated = tuple[bool, Route, Any, MessageRow, int, Decoded]


class Planner:
    """Plans batches.

    Args:
        routes: where topics lead; replaced by its owner when dialects change.
        ledger: what has been committed lately.
        limits: what a payload may be.
        keep_bytes: how much of a bad payload a dead letter keeps.
        first_unique: where the numbers for messages without time and sequence start;
            random, so that two processes do not meet.
        limiter: limits that the broker does not keep.
    """

    def __init__(
        self,
        routes: RouteTable,
        ledger: Ledger,
        limits: PayloadLimits,
        *,
        keep_bytes: int = 65_536,
        first_unique: int | None = None,
        limiter: Limiter | None = None,
    ) -> None:
        self.routes = routes
        self.ledger = ledger
        self._keep_bytes = keep_bytes
        self._limiter = limiter
        self._dead = DeadLetters(keep_bytes)
        self._unique = secrets.randbits(62) if first_unique is None else first_unique
        self._counts: dict[int, tuple[int, int]] = {}  # device → its last number, which count

    def plan(  # noqa: PLR0912, PLR0915 - one function on purpose: a call costs as much as a step
        self, packets: list[PublishPacket], received_at: int, broken: list[Broken] | None = None
    ) -> Plan:
        """What to write for these packets, received at this time (epoch milliseconds)."""
        facts: list[list[Fact]] = [[] for _ in range(self.routes.projections)]
        plan = Plan(facts=facts, keep_bytes=self._keep_bytes)
        spoken: dict[int, Repeated] = {}  # device → what it said last, if that may be replaced
        known, find = self.routes.get, self.routes.find
        messages, routed, newest, acknowledgeable = (
            plan.messages,
            plan.routes,
            plan.newest,
            plan.packets,
        )
        device_time, has = TimeSource.DEVICE, self.ledger.has
        latest_time = received_at + AHEAD_MS
        unique = self._unique
        limiter = self._limiter
        if limiter is not None and not limiter.active:
            limiter = None
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
                    self._dead.unroutable(plan, packet, route, received_at)
                    continue
                decoded = route.decode(payload, received_at)
                if isinstance(decoded, BadPayload):
                    self._bad(plan, packet, route, decoded, received_at)
                    continue
                if limiter is not None and not packet.retain:
                    exceeded = limiter.refuses(
                        route.device_id,
                        route.device.tenant,
                        len(topic) + len(payload),
                        age=received_at - decoded.time_ms,
                        now=received_at,
                    )
                    if exceeded is not None:
                        self._dead.limited(plan, packet, route, exceeded, received_at)
                        continue
                seq = decoded.seq
                timed = decoded.time_source is device_time
                source = 0 if timed else TIME_SOURCES[decoded.time_source]
                if seq is None:
                    # Nothing shows that it is the same as an equal one: both are meant.
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
                if route.repeat is not None and (body := decoded.body) is not None:
                    said = body.get(route.repeat.key)
                    if said is not None:
                        plain = type(said) is dict and _PLAIN.issuperset(map(type, said.values()))
                        last = spoken.get(route.device_id)
                        # Mostly a device sends the same names again, with other values.
                        if last is not None and not (
                            plain
                            and last[0]
                            and last[1] is route
                            and said.keys() == last[2].keys()
                            and last[4] == source
                            and (source or last[3][2] <= ts <= latest_time)
                        ):
                            self._say(plan, last)
                        spoken[route.device_id] = (plain, route, said, row, source, decoded)
                if route.each:
                    last = spoken.get(route.device_id)
                    # What one projection gets of a device comes to it in the order of arrival.
                    if (
                        last is not None
                        and (repeat := last[1].repeat) is not None
                        and not route.interest.slots.isdisjoint(repeat.slots)
                    ):
                        del spoken[route.device_id]
                        self._say(plan, last)
                    self._note(plan, Fact(row, route, decoded), len(messages))
            except Exception as fault:  # noqa: BLE001 - see below
                # A fault of ours. Raised, it would come again with the same packet after every
                # start, and nobody's messages would be stored any more.
                self._dead.failed(plan, packet, fault, received_at)
                continue
            if decoded.not_numbers:
                plan.not_numbers += decoded.not_numbers
            messages.append(row)
            routed.append(route)
            before = newest.get(route)
            # Mostly the times grow, and no further look is needed.
            if before is None or before[0][2] <= ts <= latest_time or is_newer(row, before[0]):
                newest[route] = (row, decoded)
        self._unique = unique
        for last in spoken.values():
            self._say(plan, last)
        for one in broken or ():
            self._unreadable(plan, one, received_at)
        for route, (row, decoded) in newest.items():
            for slot in route.interest.newest:
                facts[slot].append(Fact(row, route, decoded))
        return plan

    def settle(self, plan: Plan, known: Mapping[tuple[int, int], str]) -> None:
        """Adds those retained messages to a plan that are news.

        Args:
            known: (device, channel) → the newest payload that is stored.
        """
        live, plan.facts = plan.facts, [[] for _ in plan.facts]
        for row, route, decoded in plan.retained:
            if known.get((row[0], row[1])) == row[7]:
                plan.repeated += 1
                continue
            plan.not_numbers += decoded.not_numbers
            fact = Fact(row, route, decoded, Standing.RETAINED)
            self._note(plan, fact, len(plan.messages))
            if route.repeat is not None and route.repeat.key in (decoded.body or ()):
                for slot in route.repeat.slots:
                    plan.facts[slot].append(fact)
            plan.messages.append(row)
            plan.routes.append(route)
            if route not in plan.newest:  # else the device itself has reported something since
                plan.newest[route] = (row, decoded)
        plan.retained.clear()
        # What the devices themselves have reported in this batch is newer.
        plan.facts = [[*kept, *said] for kept, said in zip(plan.facts, live, strict=True)]

    # ------------------------------------------------------------------ inside

    def _say(self, plan: Plan, said: Repeated) -> None:
        """Keeps a message for the projections to which its device may repeat itself."""
        _, route, _, row, _, decoded = said
        if route.repeat is not None:
            fact = Fact(row, route, decoded)
            for slot in route.repeat.slots:
                plan.facts[slot].append(fact)

    def _note(self, plan: Plan, fact: Fact, place: int) -> None:
        """Keeps a message for the projections that want it."""
        body = fact.decoded.body
        live = fact.standing is Standing.LIVE
        wanted = False
        for slot, keys, also_retained in fact.route.each:
            if not (live or also_retained):
                continue
            if keys is not None:
                if body is None:
                    continue
                for key in keys:
                    if key in body:
                        break
                else:
                    continue
            plan.facts[slot].append(fact)
            wanted = True
        if wanted and fact.route.interest.watched:
            plan.watched.append(place)

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

    def _bad(
        self, plan: Plan, packet: PublishPacket, route: Route, bad: BadPayload, received_at: int
    ) -> None:
        if not self._dead.bad(plan, packet, route, bad, received_at) or packet.retain:
            return
        # It spoke, so it is there, whatever it said. The payload is kept and will not become
        # valid: the device need not send it again.
        seq = sequence_of(packet.payload, route.channel.payload.sequence)
        row: MessageRow = (
            route.device_id,
            route.channel_id,
            received_at,
            received_at,
            seq,
            1,
            0,
            "",
        )
        fact = Fact(row, route, _NOTHING, Standing.UNREADABLE)
        for slot in route.interest.heard:
            plan.facts[slot].append(fact)

    def _unreadable(self, plan: Plan, broken: Broken, received_at: int) -> None:
        """It is kept and acknowledged: the broker would repeat it indefinitely."""
        if broken.qos:
            # Without its first byte, which is another one in a repetition.
            identity = (broken.packet_id, crc32(broken.raw[1:]))
            plan.packets.append(identity)
            if broken.raw[0] & _DUP and self.ledger.has(*identity):
                plan.repeated += 1
                return
        self._dead.broken(plan, broken, received_at)
