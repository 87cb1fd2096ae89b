"""The gap ledger from messages: which of a device's numbers are committed, and its receipts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mooring.clock import now_ms
from mooring.devices.reference import DeviceRef
from mooring.dialects.model import Channel, Kind
from mooring.ingest.facts import Fact
from mooring.ingest.projection import Effect, Keys, Sees
from mooring.sequences.numbers import (
    RANGES_MAX,
    Numbers,
    Range,
    add,
    holds,
    merge,
    pack_ranges,
    parse_ranges,
    receipt,
    unpack_ranges,
)
from mooring.store.schema import sequences
from mooring.store.upsert import Reading, Upsert

__all__ = ["LOST_MAX", "Heard", "SequenceNumbers"]

LOST_MAX = 4000  # ranges one device gave up, kept apart within a batch


@dataclass(slots=True)
class Heard:
    """What a batch says of one device's numbers.

    What a device gave up and sent after all counts as lost, in whatever batches it came: such
    numbers are left out of ``numbers``.
    """

    device: DeviceRef
    numbers: list[int] = field(default_factory=list)
    lost: list[Range] = field(default_factory=list)  # what it gave up: sorted, apart

    def number(self, seq: int) -> None:
        if not (self.lost and holds(self.lost, seq)):
            self.numbers.append(seq)

    def gave_up(self, lost: Iterable[Range]) -> None:
        for one in lost:
            add(self.lost, one)
        if len(self.lost) > LOST_MAX:
            del self.lost[RANGES_MAX:]


class SequenceNumbers:
    """Merges the numbers of a batch, and answers each device that numbers with a receipt.

    What a device repeats is answered again, and so is what became a dead letter: it is kept, and
    sending it again would not make it valid.

    Two ingest processes that both meet a device for the first time do not lock each other out;
    one then forgets what the other has. That claims less than is committed, and the device sends
    those readings again.
    """

    name = "sequence numbers"
    sees = Sees.HEARD

    def wants(self, channel: Channel) -> Keys:
        keys = {channel.payload.sequence[0]} if channel.payload.sequence else set()
        return frozenset(keys | {"lost"} if channel.kind is Kind.EVENT else keys)

    def plan(self, facts: Sequence[Fact]) -> list[Heard] | None:
        heard: dict[int, Heard] = {}
        for fact in facts:
            seq = fact.row[4]
            lost = _lost(fact) if fact.route.kind is Kind.EVENT else ()
            if seq is None and not lost:
                continue
            device = fact.route.device_id
            one = heard.get(device)
            if one is None:
                one = heard[device] = Heard(fact.route.device)
            if seq is not None:
                one.number(seq)
            if lost:
                one.gave_up(lost)
        return [heard[device] for device in sorted(heard)] or None

    def apply(self, connection: Connection, rows: list[Heard]) -> Sequence[Effect]:
        found = _READ.execute(connection, [one.device.id for one in rows])
        before = {row[0]: Numbers(row[1], unpack_ranges(row[2]), row[3]) for row in found}
        at = now_ms()
        changed, effects = [], []
        for one in rows:
            known = before.get(one.device.id)
            after = merge(known or Numbers(), one.numbers, one.lost)
            if after != known:
                since = at if after.above else None
                above = pack_ranges(after.above)
                changed.append((one.device.id, after.upto, above, after.lost, since))
            topic = one.device.down_topic(Kind.RECEIPT)
            if topic is not None:
                effects.append(Effect(topic, msgspec.json.encode(receipt(after))))
        if changed:
            _WRITE.execute(connection, changed)
        return effects


def _lost(fact: Fact) -> list[Range]:
    body = fact.body
    return parse_ranges(body["lost"]) if body is not None and "lost" in body else []


_READ = Reading(sequences, ("device_id", "upto", "above", "lost"), "device_id")
_WRITE = Upsert(
    sequences,
    ("device_id", "upto", "above", "lost", "gap_since"),
    "device_id",
    lambda new: {
        "upto": new.upto,
        "above": new.above,
        "lost": new.lost,
        "gap_since": sa.case(
            (new.gap_since.is_(None), sa.null()),
            else_=sa.func.coalesce(sequences.c.gap_since, new.gap_since),
        ),
    },
)
