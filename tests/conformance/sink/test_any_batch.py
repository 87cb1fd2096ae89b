"""Whatever devices send, in whatever batches: every message is stored, kept as a dead letter or
counted as a repetition, and no device can touch another's rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from mqtt5 import PublishPacket, QoS

from mooring.devices.index import DeviceIndex
from mooring.devices.model import Device
from mooring.dialects import load_all
from mooring.dialects.payload import PayloadLimits
from mooring.ingest.ledger import Ledger
from mooring.ingest.planner import Planner
from mooring.ingest.projections import Projections
from mooring.ingest.routing import RouteTable
from mooring.ingest.sink import Sink
from mooring.sequences.numbers import NUMBER_MAX
from mooring.store.engine import Database
from mooring.store.schema import (
    counters,
    dead_letters,
    device_state,
    ingest_ledger,
    latest,
    messages,
    rollup_queue,
    sequences,
)
from tests.conformance.sink.conftest import OpenSink
from tests.conformance.sink.planning import NOW
from tests.support.projecting import registered

CATALOGUE = load_all(None)
PROJECTIONS = Projections(registered())
IDS = {
    (dialect.name, channel.name): number
    for number, (dialect, channel) in enumerate(
        ((d, c) for d in CATALOGUE.all() for c in d.channels), start=1
    )
}
MINE, OTHER = 1, 2
DEVICES = [
    Device(MINE, "acme", "a", "", "mooring", None, "u1", "c1", True, 0, ()),
    Device(OTHER, "rival", "b", "", "mooring", None, "u2", "c2", True, 0, ()),
]
TOPICS = {
    device.id: [
        topic
        for channel in CATALOGUE.get("mooring").ups()
        for topic in channel.addresses(device.identity)
        if "+" not in topic
    ]
    for device in DEVICES
}
TABLES = (messages, latest, device_state, sequences, dead_letters, counters, rollup_queue)

number = st.one_of(
    st.integers(-2, 9),
    st.sampled_from([2**31, 2**53, 2**63 - 2, NUMBER_MAX, NUMBER_MAX + 1, 2**64, -(2**63) - 1]),
    st.floats(),
)
text = st.one_of(st.text(max_size=6), st.sampled_from(["\0", "\ud800", "x" * 200, "1.0", "online"]))
value = st.recursive(
    st.one_of(st.none(), st.booleans(), number, text),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(text, below, max_size=4),
    max_leaves=8,
)
ranges = st.lists(
    st.one_of(st.lists(number, min_size=2, max_size=2), st.just([1, NUMBER_MAX]), value), max_size=6
)
body = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "seq": number,
            "ts": st.one_of(st.sampled_from([NOW, NOW - 1, 0, "now"]), number),
            "values": value,
            "event": text,
            "lost": st.one_of(ranges, value),
            "online": value,
            "firmware": value,
            "meta": value,
            "metadata": value,
        },
    ),
    value,
)


def encoded(what: Any) -> bytes:
    return json.dumps(what).encode("utf-8", "surrogatepass")


payload = st.one_of(body.map(encoded), st.binary(max_size=20))
message = st.tuples(st.sampled_from([MINE, OTHER]), st.integers(0, 20), payload)
batches = st.lists(st.lists(message, max_size=36), min_size=1, max_size=3)


def planner(ledger: Ledger) -> Planner:
    limits = PayloadLimits()
    routes = RouteTable(
        CATALOGUE, DeviceIndex.of(DEVICES, CATALOGUE), IDS, limits, interests=PROJECTIONS
    )
    return Planner(routes, ledger, limits)


def packets_of(
    some: Sequence[tuple[int, int, bytes]], first: int, *, again: bool = False
) -> list[PublishPacket]:
    return [
        PublishPacket(
            TOPICS[device][topic % len(TOPICS[device])],
            content,
            qos=QoS.AT_LEAST_ONCE,
            packet_id=first + place,
            duplicate=again,
        )
        for place, (device, topic, content) in enumerate(some)
    ]


def run(
    sink: Sink, given_batches: Iterable[Sequence[tuple[int, int, bytes]]], *, again: bool = False
) -> None:
    """Everything that ingest does with these batches, or with the same ones once more."""
    ledger = Ledger(1000, sink.ledger("c"))
    plans = planner(ledger)
    first = 1
    for some in given_batches:
        plan = plans.plan(packets_of(some, first, again=again), NOW)
        first += len(some)
        batch = ledger.next_batch
        done = sink.commit(plan, "c", batch, 0)
        ledger.committed(batch, plan.packets)
        dead = len(plan.dead) + len(done.refused)
        assert done.stored + done.duplicates + dead + plan.repeated + plan.cleared == len(some)
        assert {effect.topic.split("/")[2] for effect in done.effects} <= {"a", "b"}


def of_device(database: Database, device: int) -> dict[str, list[tuple[Any, ...]]]:
    """What is kept of one device, without the numbers that depend on others' messages."""
    kept = {
        messages: ("ts", "channel_id", "seq", "time_source", "payload"),
        latest: ("channel_id", "ts", "payload"),
        device_state: ("last_seen_at", "online", "firmware", "metadata"),
        sequences: ("upto", "above", "lost"),
        dead_letters: ("reason", "topic", "tenant", "payload"),
    }
    found = {}
    with database.read() as connection:
        for table, names in kept.items():
            columns = [table.c[name] for name in names]
            rows = connection.execute(sa.select(*columns).where(table.c.device_id == device))
            found[table.name] = sorted((tuple(row) for row in rows), key=repr)
    return found


def empty(database: Database) -> None:
    with database.write() as connection:
        for table in (*TABLES, ingest_ledger):
            connection.execute(sa.delete(table))


def total(database: Database) -> tuple[int, int]:
    with database.read() as connection:
        return tuple(  # type: ignore[return-value]
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in (messages, dead_letters)
        )


@pytest.fixture
def sink(open_sink: OpenSink) -> Sink:
    return open_sink(projections=PROJECTIONS)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(given_batches=batches)
def test_nothing_stops_it_and_nothing_is_lost(
    database: Database, sink: Sink, given_batches: list[list[tuple[int, int, bytes]]]
) -> None:
    empty(database)
    run(sink, given_batches)
    after = total(database)
    everything = [of_device(database, device) for device in (MINE, OTHER)]
    # The broker repeats all of it, cut otherwise: twice is as good as once.
    run(sink, [[one for some in given_batches for one in some]], again=True)
    assert total(database) == after
    assert [of_device(database, device) for device in (MINE, OTHER)] == everything


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(given_batches=batches)
def test_a_neighbour_changes_nothing(
    database: Database, sink: Sink, given_batches: list[list[tuple[int, int, bytes]]]
) -> None:
    """What is kept of one device is the same with and without the other's messages."""
    assume(any(one[0] == MINE for some in given_batches for one in some))
    empty(database)
    run(sink, given_batches)
    together = of_device(database, OTHER)
    empty(database)
    run(sink, [[one for one in some if one[0] == OTHER] for some in given_batches])
    assert of_device(database, OTHER) == together


def test_ranges_that_overlap_without_end(database: Database, sink: Sink) -> None:
    """One event, which ended ingest for every tenant."""
    empty(database)
    lost = encoded({"event": "lost", "lost": [[1, NUMBER_MAX], [1, NUMBER_MAX]]})
    event = next(n for n, topic in enumerate(TOPICS[MINE]) if topic.endswith("/event"))
    reading = encoded({"values": {"t": 1}})
    run(sink, [[(OTHER, 0, reading), (MINE, event, lost), (OTHER, 0, reading)]])
    run(sink, [[(MINE, event, lost)] * 3, [(OTHER, 0, reading)]])
    assert total(database) == (7, 0)
    assert len(of_device(database, OTHER)["messages"]) == 3
    assert of_device(database, MINE)["sequences"] == [(NUMBER_MAX, "[]", NUMBER_MAX)]
