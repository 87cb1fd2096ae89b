"""What holds for every projection, the platform's and a made-up one, on each database."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mqtt5 import PublishPacket
from sqlalchemy import event
from sqlalchemy.engine import Connection

from mooring.dialects.model import Channel
from mooring.ingest.facts import Fact
from mooring.ingest.ledger import Ledger
from mooring.ingest.projection import Effect, Keys, Projection
from mooring.store import upsert
from mooring.store.engine import Database
from mooring.store.schema import (
    dead_letters,
    device_attributes,
    device_settings,
    device_state,
    firmware_changes,
    messages,
    sequences,
    versions,
)
from tests.conformance.projections.conftest import OpenDesk
from tests.conformance.projections.made_up import Bells, bells
from tests.support.projecting import NOW, Desk, add_devices, packet, registered

EVERY = [*registered(), Bells()]
DERIVED = (device_state, firmware_changes, device_attributes, sequences, device_settings, bells)
OWN, SMART = "mooring/acme/a", "smarthome/1/ESP32_001"
OTHER, TRAP = "mooring/rival/b", "tenant/acme/device/trap"


@pytest.fixture(autouse=True)
def made_up_table(database: Database) -> Iterator[None]:
    bells.metadata.drop_all(database.engine)
    bells.metadata.create_all(database.engine)
    add_devices(database)
    yield
    bells.metadata.drop_all(database.engine)


def derived(database: Database) -> dict[str, list[Any]]:
    """Every row of every table that a projection writes, but for numbers given in passing."""
    found: dict[str, list[Any]] = {}
    with database.read() as connection:
        for table in DERIVED:
            columns = [c for c in table.c if c.name not in ("id", "gap_since", "reported")]
            rows = connection.execute(sa.select(*columns).order_by(*columns[:1])).all()
            found[table.name] = sorted((tuple(map(_parsed, row)) for row in rows), key=json.dumps)
    return found


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(("{", "[")):
        return json.loads(value)
    return value


def empty(database: Database) -> None:
    with database.write() as connection:
        for table in (*DERIVED, messages, dead_letters):
            connection.execute(sa.delete(table))


def count(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def letters(database: Database) -> list[tuple[Any, ...]]:
    c = dead_letters.c
    with database.read() as connection:
        return [
            tuple(row)
            for row in connection.execute(
                sa.select(c.reason, c.topic, c.tenant, c.device_id).order_by(c.id)
            )
        ]


# ------------------------------------------------------------------ what devices say

times = st.one_of(st.none(), st.sampled_from([NOW - 2000, NOW - 1000, NOW, NOW + 90_000]))
about = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(["firmware", "ip", "rssi", "board", "tags"]),
        st.one_of(
            st.none(), st.sampled_from(["1.0", "2.0"]), st.just({"deep": 1}), st.just(["a", "b"])
        ),
    ),
)
own = st.fixed_dictionaries(
    {},
    optional={
        "ts": times.filter(bool),
        "seq": st.integers(0, 6),
        "meta": about,
        "online": st.booleans(),
        "alert": st.sampled_from(["hot", "cold"]),
        "lost": st.just([[2, 4]]),
        "values": st.just({"t": 1}),
        "version": st.integers(0, 3),
        "ok": st.booleans(),
    },
)
smart = st.fixed_dictionaries(
    {"sensors": st.just({"t": 1})},
    optional={"metadata": about, "online": st.booleans(), "timestamp": times.filter(bool)},
)
CHANNELS = ("telemetry", "event", "status", "heartbeat", "alert", "config/reported")
message = st.one_of(
    st.tuples(st.sampled_from([f"{who}/{c}" for who in (OWN, OTHER) for c in CHANNELS]), own),
    st.tuples(st.sampled_from([f"{SMART}/telemetry", f"{SMART}/status"]), smart),
    st.tuples(
        st.just(f"{TRAP}/status"),
        st.sampled_from([b"offline", b"online", b"{", b"", {"online": True, "rssi": 1}]),
    ),
    st.tuples(st.sampled_from([f"{OWN}/telemetry"]), st.just(b'{"seq":3,"values":{"a":1e999}}')),
)
short = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def packets_of(some: Sequence[tuple[str, object]]) -> list[PublishPacket]:
    return [packet(topic, body, number=place) for place, (topic, body) in enumerate(some, 1)]


def ingest(desk: Desk, some: Sequence[PublishPacket], cuts: Sequence[int] = ()) -> list[Effect]:
    """As batches of a planner that has just started; what would be published."""
    desk.planner.ledger = Ledger(1000)
    desk.planner._unique = 1
    desk.planner._counts.clear()
    effects: list[Effect] = []
    places = [0, *sorted(cuts), len(some)]
    for first, last in itertools.pairwise(places):
        effects += desk.batch(some[first:last]).effects
    return effects


def test_what_was_given_up_and_sent_after_all_is_the_same_in_any_batch(
    database: Database, open_desk: OpenDesk
) -> None:
    desk = _shared(open_desk)
    said: list[tuple[str, object]] = [
        (f"{OTHER}/event", {"seq": 9, "lost": [[2, 4]]}),
        (f"{OTHER}/telemetry", {"seq": 3, "values": {"t": 1}}),
        (f"{OTHER}/telemetry", {"seq": 6, "values": {"t": 1}}),
        (f"{OTHER}/event", {"seq": 10, "lost": [[3, 7]]}),
    ]
    some = packets_of(said)
    found = []
    for cuts in ((), (1,), (2,), (1, 2, 3)):
        empty(database)
        ingest(desk, some, cuts)
        found.append(derived(database)["sequences"])
    assert found == [found[0]] * 4
    assert found[0][0][3] == 5  # 2, 3 and 4, then 5 and 7


@short
@given(data=st.data())
def test_a_batch_cut_anywhere_gives_the_same_tables(
    database: Database, open_desk: OpenDesk, data: st.DataObject
) -> None:
    desk = _shared(open_desk)
    some = packets_of(data.draw(st.lists(message, max_size=14)))
    cuts = data.draw(st.lists(st.integers(0, len(some)), max_size=3))
    empty(database)
    ingest(desk, some)
    whole = derived(database)
    empty(database)
    ingest(desk, some, cuts)
    assert derived(database) == whole


@short
@given(some=st.lists(message, max_size=14))
def test_the_same_batch_twice_gives_the_same_tables(
    database: Database, open_desk: OpenDesk, some: list[tuple[str, object]]
) -> None:
    desk = _shared(open_desk)
    empty(database)
    plan = desk.plan(packets_of(some))
    desk.commit(plan)
    once, stored = derived(database), count(database, messages)
    desk.commit(plan)
    assert (derived(database), count(database, messages)) == (once, stored)


_desks: dict[int, Desk] = {}


def _shared(open_desk: OpenDesk) -> Desk:
    """One for all examples of a test."""
    key = id(open_desk)
    if key not in _desks:
        _desks.clear()
        _desks[key] = open_desk(*EVERY)
    return _desks[key]


# ------------------------------------------------------------------ what fails


class Poisoned:
    """A projection that fails on messages with the word ``poison``."""

    def __init__(self, inner: Projection, way: str) -> None:
        self.inner, self.way = inner, way
        self.name, self.sees = inner.name, inner.sees

    def wants(self, channel: Channel) -> Keys:
        return self.inner.wants(channel)

    def plan(self, facts: Sequence[Fact]) -> Any:
        bad = any("poison" in fact.text for fact in facts)
        if bad and self.way == "plan":
            raise KeyError("poison")
        rows = self.inner.plan(facts)
        return None if rows is None else (rows, bad)

    def apply(self, connection: Connection, rows: Any) -> Sequence[Effect]:
        effects = self.inner.apply(connection, rows[0])
        if rows[1] and self.way == "apply":
            raise RuntimeError("poison")
        if rows[1]:
            connection.execute(sa.insert(versions).values(name="poison", value=None))
        return effects


SAID = [
    (f"{OWN}/status", {"online": True, "seq": 1, "meta": {"firmware": "1.0"}}),
    (f"{OTHER}/alert", {"alert": "hot", "seq": 1}),
    (f"{OWN}/alert", {"alert": "hot", "seq": 2}),
]
POISON = {
    "online": True,
    "seq": 9,
    "alert": "hot",
    "state": "rebooting",
    "meta": {"poison": "x", "board": "x", "firmware": "9.9"},
}


WANTED = {
    "alerts": "alert",
    "bells": "alert",
    "command replies": "alert_cleared",
    "settings reported": "config/reported",
    "announced absence": "firmware/progress",
    "firmware progress": "firmware/progress",
}
"""Projection → a channel of which it wants every message, where that is not the status."""


@pytest.mark.parametrize("way", ["database", "plan", "apply"])
@pytest.mark.parametrize("projection", EVERY, ids=lambda one: one.name)
def test_what_fails_costs_only_itself(
    database: Database, open_desk: OpenDesk, projection: Projection, way: str
) -> None:
    topic = f"{OTHER}/{WANTED.get(projection.name, 'status')}"
    good = packets_of(SAID)
    bad = packet(topic, POISON, number=900)
    others = [one for one in EVERY if one is not projection]
    ingest(open_desk(projection), good)
    alone = derived(database)
    empty(database)
    ingest(open_desk(*others), [good[0], bad, *good[1:]])
    without = derived(database)
    empty(database)
    desk = open_desk(*others, Poisoned(projection, way))
    ingest(desk, [good[0], bad, *good[1:]])
    assert letters(database) == [
        ("not_storable" if way == "database" else "not_handled", topic, "rival", 2)
    ]
    assert count(database, messages) == 4
    # What the others write is all there, and of this one everything but the poison.
    found = derived(database)
    for name, rows in found.items():
        assert len(rows) == max(len(alone[name]), len(without[name]))
    if projection.name == "bells":
        assert found["made_up_bells"] == alone["made_up_bells"]
    if projection.name == "sequence numbers":
        assert found["sequences"] == alone["sequences"]


# ------------------------------------------------------------------ what it costs


def statements(desk: Desk, work: Callable[[], object]) -> list[str]:
    """Those that projections send meanwhile, by Core or to SQLite's driver."""
    sink: Any = desk.sink
    sink.versions()  # connects
    engine = getattr(sink, "_core", None) or sink.connection
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    driver_of = upsert.driver_of

    def noting(connection: Any) -> Any:
        def sends(name: str) -> Callable[..., Any]:
            def send(statement: str, *values: Any) -> Any:
                seen.append(statement)
                return getattr(driver_of(connection), name)(statement, *values)

            return send

        return SimpleNamespace(execute=sends("execute"), executemany=sends("executemany"))

    event.listen(engine.engine, "before_cursor_execute", note)
    try:
        with patch.object(upsert, "driver_of", noting):
            work()
    finally:
        event.remove(engine.engine, "before_cursor_execute", note)
    return seen


READING = {"sensors": {"t": 1}}


@pytest.mark.parametrize("projection", EVERY, ids=lambda one: one.name)
def test_telemetry_pays_nothing(open_desk: OpenDesk, projection: Projection) -> None:
    """Readings that say nothing of the device: no facts, no statement. That the device was heard
    costs one statement a batch, however many messages and devices."""
    desk = open_desk(projection)
    topics = [f"{SMART}/telemetry", f"{OWN}/telemetry", f"{OTHER}/telemetry"]
    for many in (1, 300):
        some = [packet(topics[n % 3], READING) for n in range(many)]
        plan = desk.plan(some)
        heard = projection.name == "last seen"
        assert len(plan.facts[0]) == (min(many, 3) if heard else 0)
        assert len(statements(desk, lambda plan=plan: desk.commit(plan))) == int(heard)


STATEMENTS = {"alerts": 11}
"""Projection → statements of a batch, where two are not enough: alerts have bounds of each device
and each tenant, a history, and counters."""


@pytest.mark.parametrize("projection", EVERY, ids=lambda one: one.name)
def test_statements_do_not_grow_with_the_batch(open_desk: OpenDesk, projection: Projection) -> None:
    desk = open_desk(projection)
    counts = set()
    for many in (1, 40):
        some = [
            packet(
                f"{who}/{channel}",
                {"online": many == 1, "seq": 100 * many + n, "alert": f"{many}-{n}"},
            )
            for n in range(many)
            for who in (OWN, OTHER)
            for channel in ("status", "alert")
        ]
        plan = desk.plan(some)
        counts.add(len(statements(desk, lambda plan=plan: desk.commit(plan))))
    assert len(counts) == 1
    assert counts.pop() <= STATEMENTS.get(projection.name, 2)
