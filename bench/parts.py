"""Where the microseconds of a message go: each step of ingest on its own, without a broker.

The same 230-byte messages run through the codec, the planner, a SQLite commit and the
acknowledgement; then the planner's steps one by one. Steps are timed with a bare loop around
them, whose own cost is taken off. It is CPU time that is taken, and the least of several passes
counts: what else the machine does can only add to it.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
from mqtt5 import PublishPacket, QoS
from xxhash import xxh3_64_intdigest

from bench.generator import payload
from mooring.devices.index import DeviceIndex
from mooring.devices.model import Device
from mooring.dialects import load_all
from mooring.dialects.payload import PayloadLimits, compile_decoder
from mooring.ingest import channels
from mooring.ingest.ledger import Ledger
from mooring.ingest.plan import Plan
from mooring.ingest.planner import Planner
from mooring.ingest.projections import Projections
from mooring.ingest.routing import Route, RouteTable
from mooring.ingest.sink_sqlite import SqliteSink
from mooring.link.connection import Connection
from mooring.link.mqtt import MqttLink
from mooring.link.protocol import Batch, Broken, Endpoint
from mooring.presence.projection import DeviceState, LastSeen
from mooring.sequences.projection import SequenceNumbers
from mooring.store.engine import now_ms, open_database
from mooring.store.migrate import upgrade

__all__ = ["measure"]

SIZE = 230
CHUNK = 262_144  # bytes of one socket read
Timed = Callable[[], object]


class _Owner:
    """Takes what a connection has read."""

    endpoint = Endpoint("127.0.0.1", 1, "", "", "bench")
    session_seconds = 0
    window = 8000

    def __init__(self) -> None:
        self.packets: list[PublishPacket] = []

    def arrived(self, packets: list[PublishPacket]) -> None:
        self.packets += packets

    def refused_by_codec(self, broken: Broken) -> None:
        raise AssertionError(broken.why)


def measure(*, messages: int = 20_000, batch: int = 1_000, passes: int = 5) -> dict[str, float]:
    """Step → microseconds a message.

    Args:
        messages: in each pass.
        batch: messages in one transaction.
        passes: of which the fastest counts.
    """
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as name:
        return asyncio.run(_measure(Path(name), messages, batch, passes))


async def _measure(directory: Path, count: int, size: int, passes: int) -> dict[str, float]:
    database = open_database(f"sqlite:///{directory / 'mooring.db'}")
    upgrade(database)
    catalogue = load_all(None)
    fleet = [
        Device(n, "home", f"d{n}", "", "smarthome", None, f"u{n}", f"c{n}", True, 0, ())
        for n in range(1, 21)
    ]
    limits = PayloadLimits()
    projections = Projections([LastSeen(), DeviceState(limits), SequenceNumbers()])
    table = RouteTable(
        catalogue,
        DeviceIndex.of(fleet, catalogue),
        channels.numbers(database, catalogue),
        limits,
        interests=projections,
    )
    sink = SqliteSink(directory / "mooring.db", projections=projections)
    best: dict[str, float] = {}
    number = 0
    try:
        for turn in range(passes):
            raw = b"".join(
                PublishPacket(
                    f"smarthome/home/d{n % 20 + 1}/telemetry",
                    payload(turn * count + n, SIZE),
                    qos=QoS.AT_LEAST_ONCE,
                    packet_id=n % 60_000 + 1,
                ).write()
                for n in range(count)
            )
            found: dict[str, float] = {}
            packets = _codec(raw, found, count)
            batches = [packets[n : n + size] for n in range(0, count, size)]
            planner = Planner(table, Ledger(8000), limits)
            planned: list[Plan] = []
            _timed(found, "plan", count, partial(_plan, planner, batches, planned))
            number = _commit(sink, planned, number, found, count)
            _timed(found, "remember packets", count, partial(_remember, planned))
            _timed(found, "acknowledge", count, partial(_acknowledge, batches))
            _steps(table, packets, found, count)
            for step, cost in found.items():
                best[step] = min(cost, best.get(step, cost))
    finally:
        sink.close()
        database.close()
    return {step: round(cost, 3) for step, cost in best.items()}


def _timed(found: dict[str, float], step: str, count: int, work: Timed) -> None:
    gc.collect()
    started = time.process_time()
    work()
    found[step] = (time.process_time() - started) / count * 1e6


def _codec(raw: bytes, found: dict[str, float], count: int) -> list[PublishPacket]:
    owner = _Owner()
    connection = Connection(owner)
    connection.opened(100)

    def read() -> None:
        for at in range(0, len(raw), CHUNK):
            connection.data_received(raw[at : at + CHUNK])

    _timed(found, "codec", count, read)
    connection.connection_lost(None)
    connection.lost.cancel()
    connection.greeting.exception()
    assert len(owner.packets) == count
    return owner.packets


def _plan(planner: Planner, batches: Iterable[list[PublishPacket]], to: list[Plan]) -> None:
    to += [planner.plan(packets, now_ms()) for packets in batches]


def _commit(
    sink: SqliteSink, planned: list[Plan], number: int, found: dict[str, float], count: int
) -> int:
    def commit() -> None:
        for at, plan in enumerate(planned, number + 1):
            done = sink.commit(plan, "bench", at, max(0, at - 16))
            assert done.stored == len(plan.messages)

    _timed(found, "commit", count, commit)
    return number + len(planned)


def _remember(planned: Iterable[Plan]) -> None:
    ledger = Ledger(8000)
    for number, plan in enumerate(planned, 1):
        ledger.expendable(len(plan.packets))
        ledger.committed(number, plan.packets)


def _acknowledge(batches: Iterable[list[PublishPacket]]) -> None:
    link = MqttLink(Endpoint("127.0.0.1", 1, "", "", "bench"))
    link._protocol = Connection(link)  # not connected: what it sends goes nowhere
    for packets in batches:
        link.acknowledge(Batch(packets, link.connections, []))


def _steps(
    table: RouteTable, packets: list[PublishPacket], found: dict[str, float], count: int
) -> None:
    """The planner's steps, each on its own, less the cost of a bare loop."""
    bodies = [packet.payload for packet in packets]
    topics = [packet.topic for packet in packets]
    route = table.find(topics[0])
    assert isinstance(route, Route)
    decode = compile_decoder(route.channel.payload, PayloadLimits())
    parse = msgspec.json.Decoder().decode
    at, channel, known = now_ms(), route.channel_id, table.get
    steps: list[tuple[str, Sequence[Any], Callable[[Any], object]]] = [
        ("bare loop", bodies, lambda _: None),
        ("plan: a packet's fields", packets, lambda p: (p.payload, p.packet_id, p.topic)),
        ("plan: checksum", bodies, crc32),
        ("plan: route", topics, known),
        ("plan: decode", bodies, lambda body: decode(body, at)),
        ("plan: decode: UTF-8 alone", bodies, lambda body: str(body, "utf-8")),
        ("plan: decode: JSON alone", bodies, parse),
        ("plan: fingerprint", bodies, lambda body: xxh3_64_intdigest(body, channel) >> 1),
    ]
    for step, items, work in steps:
        _timed(found, step, count, partial(_each, items, work))
    bare = found.pop("bare loop")
    for step, _, _ in steps[1:]:
        found[step] = max(0.0, found[step] - bare)


def _each(items: Iterable[Any], work: Callable[[Any], object]) -> None:
    for item in items:
        work(item)
