"""The frame, with a made-up projection that is registered and known to nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from mooring.dialects.model import Kind
from mooring.ingest.facts import Standing
from mooring.ingest.projection import ALWAYS, Effect, Repeating, Sees
from mooring.store.engine import Database
from mooring.store.schema import messages
from tests.conformance.projections.conftest import OpenDesk
from tests.conformance.projections.made_up import Bells, bells
from tests.support.projecting import NOW, packet

ALERT, READING = "mooring/acme/a/alert", "mooring/acme/a/telemetry"


@pytest.fixture(autouse=True)
def made_up_table(database: Database) -> Any:
    bells.metadata.drop_all(database.engine)
    bells.metadata.create_all(database.engine)
    yield
    bells.metadata.drop_all(database.engine)


def rung(database: Database) -> list[tuple[int, str]]:
    with database.read() as connection:
        rows = connection.execute(sa.select(bells.c.device_id, bells.c.name).order_by(bells.c.id))
        return [tuple(row) for row in rows]


@pytest.mark.parametrize("others", [0, 60], ids=["few", "many"])
def test_it_is_told_of_what_is_really_stored(
    database: Database, open_desk: OpenDesk, others: int
) -> None:
    """An alert that comes again after it was cleared is not raised again."""
    desk = open_desk(Bells())

    def among(*some: Any) -> list[Any]:
        readings = [packet(READING, {"values": {"t": n}}) for n in range(others)]
        return [*readings[: others // 2], *some, *readings[others // 2 :]]

    hot = {"ts": NOW, "seq": 1, "alert": "hot"}
    cleared = {"ts": NOW + 1, "seq": 2, "alert": "hot"}
    done = desk.batch(among(packet(ALERT, hot), packet(f"{ALERT}_cleared", cleared)))
    assert done.effects == (Effect("bells/1", b"hot"),) * 2
    again = desk.batch(among(packet(ALERT, hot)), NOW + 9)
    assert (again.effects, again.duplicates) == ((), 1)
    cold = {"ts": NOW + 2, "seq": 3, "alert": "cold"}
    mixed = desk.batch(among(packet(ALERT, cold), packet(ALERT, hot), packet(ALERT, cold)))
    assert (mixed.effects, mixed.duplicates) == ((Effect("bells/1", b"cold"),), 2)
    assert rung(database) == [(1, "hot"), (1, "hot"), (1, "cold")]


def test_numbers_without_a_clock_are_stored_once_too(
    database: Database, open_desk: OpenDesk
) -> None:
    desk = open_desk(Bells())
    hot = {"seq": 7, "alert": "hot"}
    desk.batch([packet(ALERT, hot)])
    assert desk.batch([packet(ALERT, hot)], NOW + 5000).effects == ()
    assert rung(database) == [(1, "hot")]


def test_messages_keep_their_order_and_numbers_without_gaps(
    database: Database, open_desk: OpenDesk
) -> None:
    """Roll-ups rely on the numbers of a batch."""
    desk = open_desk(Bells())
    some = [
        packet(ALERT if n % 4 == 0 else READING, {"ts": NOW + n, "seq": n, "alert": f"a{n}"})
        for n in range(1, 60)
    ]
    desk.batch(some)
    with database.read() as connection:
        rows = connection.execute(
            sa.select(messages.c.id, messages.c.seq).order_by(messages.c.id)
        ).all()
    assert [row.seq for row in rows] == list(range(1, 60))
    assert [row.id for row in rows] == list(range(rows[0].id, rows[0].id + 59))


def test_what_the_broker_had_kept_is_marked(open_desk: OpenDesk) -> None:
    class Marks(Bells):
        sees = Sees.RECEIVED

    desk = open_desk(Marks())
    live, old = packet(ALERT, {"alert": "b"}), packet(ALERT, {"alert": "a"}, retain=True)
    [facts] = desk.plan([live, old]).facts
    assert [(fact.name, fact.standing) for fact in facts] == [
        ("a", Standing.RETAINED),
        ("b", Standing.LIVE),
    ]


def test_a_projection_that_always_fails_stops_nothing(
    database: Database, open_desk: OpenDesk
) -> None:
    class Broken(Bells):
        name = "broken"

        def apply(self, *_: Any) -> Any:
            raise RuntimeError("no")

    desk = open_desk(Bells(), Broken())
    done = desk.batch([packet(ALERT, {"alert": "hot"}), packet(READING, {"values": {}})])
    assert (done.stored, len(done.refused)) == (2, 1)
    assert done.refused[0].topic == ALERT
    assert rung(database) == [(1, "hot")]


def test_of_what_a_device_repeats_only_the_newest_is_a_fact(open_desk: OpenDesk) -> None:
    class Signals(Bells):
        name = "signals"
        sees = Sees.RECEIVED

        def wants(self, channel: Any) -> Any:
            return Repeating("meta")

    desk = open_desk(Signals())
    said: list[Any] = [
        {"signal": 1},
        {"signal": 2},
        None,
        {"signal": 3},
        {"signal": 4, "ip": "a"},
        {"signal": 5, "ip": None},
        {"signal": 6, "ip": "b"},
        {"signal": 7, "ip": "c"},
    ]
    some = [packet(READING, {"values": {}, "meta": one}) for one in said]
    other = packet("mooring/rival/b/telemetry", {"meta": {"signal": 9}})
    late = [
        packet(READING, {"ts": NOW - age, "values": {}, "meta": {"signal": age}})
        for age in (500, 900, 100)
    ]
    [facts] = desk.plan([*some[:2], other, *some[2:], *late]).facts
    mine = [fact.body["meta"]["signal"] for fact in facts if fact.body and fact.device.id == 1]
    # With other names, without a value, with another kind of time, or late: each is kept.
    assert mine == [3, 4, 5, 7, 500, 100]
    assert len(facts) == len(mine) + 1


def test_several_projections_share_what_a_device_repeats(open_desk: OpenDesk) -> None:
    class Signals(Bells):
        name = "signals"
        sees = Sees.RECEIVED

        def wants(self, channel: Any) -> Any:
            return Repeating("meta")

    class Others(Signals):
        name = "others"

    desk = open_desk(Signals(), Others())
    some = [packet(READING, {"values": {}, "meta": {"signal": n}}) for n in (1, 2, 3)]
    plan = desk.plan([*some, packet(READING, {"meta": {"signal": 0}}, retain=True)])
    said = [[fact.body["meta"]["signal"] for fact in facts if fact.body] for facts in plan.facts]
    assert said == [[0, 3], [0, 3]]


def test_another_projection_that_wants_each_message_leaves_the_newest_to_the_others(
    open_desk: OpenDesk,
) -> None:
    """Only where one projection gets both kinds of a device is their order kept."""

    class Signals(Bells):
        name = "signals"
        sees = Sees.RECEIVED

        def wants(self, channel: Any) -> Any:
            return ALWAYS if channel.kind is Kind.STATUS else Repeating("meta")

    class Numbers(Bells):
        name = "numbers"
        sees = Sees.HEARD

        def wants(self, channel: Any) -> Any:
            return frozenset({"seq"})

    desk = open_desk(Signals(), Numbers())
    some = [packet(READING, {"seq": n, "meta": {"signal": n}}) for n in (1, 2, 3)]
    status = packet("mooring/acme/a/status", {"online": True})
    signals, numbers = desk.plan([*some[:2], status, some[2]]).facts
    assert [fact.body and fact.body.get("seq") for fact in signals] == [2, None, 3]
    assert [fact.seq for fact in numbers] == [1, 2, 3]
