"""What is older than its term goes, in small transactions; what is not stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from mooring.errors import Forbidden, Invalid, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.retention import store
from mooring.retention import sweep as sweeping
from mooring.retention.policy import MINUTES, ROLLUPS, Policy, Rule
from mooring.retention.service import Retention
from mooring.retention.sweep import Swept, sweep
from mooring.rollups.model import Level
from mooring.settings import Settings
from mooring.store import partitions
from mooring.store.engine import now_ms
from mooring.store.schema import devices, messages, rollups, tenants
from tests.integration.rollups.stand import DAY, HOUR, START, Stand

NOW = START + 100 * DAY


def run(stand: Stand, policy: Policy, now: int = NOW) -> Swept:
    (*_, last) = sweep(stand.database, policy, now)
    return last


def kept(stand: Stand) -> list[tuple[int, int, int]]:
    """(device, channel, day) of the messages there are."""
    with stand.database.read() as connection:
        rows = connection.execute(
            sa.select(messages.c.device_id, messages.c.channel_id, messages.c.ts).order_by(
                messages.c.ts, messages.c.device_id, messages.c.channel_id
            )
        )
        return [(row[0], row[1], (row[2] - START) // DAY) for row in rows]


def levels(stand: Stand) -> dict[int, int]:
    with stand.database.read() as connection:
        rows = connection.execute(
            sa.select(rollups.c.level, sa.func.count()).group_by(rollups.c.level)
        )
        return {row[0]: row[1] for row in rows}


@pytest.fixture
def fleet(stand: Stand) -> Iterator[Stand]:
    """Two devices of two tenants; a telemetry and an event message of each on every day."""
    with stand.database.write() as connection:
        for number, tenant in ((1, "acme"), (2, "home")):
            connection.execute(sa.insert(tenants).values(name=tenant, created_at=0))
            connection.execute(
                sa.insert(devices).values(
                    id=number,
                    tenant=tenant,
                    name=f"d{number}",
                    scope="s",
                    dialect="mooring",
                    username=f"u{number}",
                    client_id=f"c{number}",
                    created_at=0,
                )
            )
        if not stand.database.is_sqlite:
            partitions.lay_floor(connection, START)
            days = [START + n * DAY for n in range(101)]
            missing = partitions.listed(connection).missing(days)
            for statement in partitions.statements_for(missing):
                connection.exec_driver_sql(statement)
    for day in range(101):
        stand.batch([(d, c, START + day * DAY + 5, {"t": 1.0}) for d in (1, 2) for c in (1, 2)])
    yield stand
    stand.clear()
    with stand.database.write() as connection:
        if not stand.database.is_sqlite:
            partitions.lay_floor(connection, now_ms())
        connection.execute(sa.delete(devices))
        connection.execute(sa.delete(tenants))


def test_nothing_goes_that_no_rollup_holds(fleet: Stand) -> None:
    swept = run(fleet, Policy(10, 10, 10))
    assert (swept.messages, swept.partitions) == (0, 0)
    assert len(kept(fleet)) == 404


def test_what_is_older_goes(fleet: Stand) -> None:
    fleet.roller().catch_up(NOW)
    run(fleet, Policy(10, 0, 0))
    oldest = kept(fleet)[0][2]
    if fleet.database.is_sqlite:
        assert oldest == 90
    else:  # a week goes when all of it may
        assert 90 - 7 <= oldest <= 90
    assert kept(fleet)[-1][2] == 100
    assert levels(fleet)[0] == 2 * 101


def test_rules_of_kinds_and_tenants(fleet: Stand) -> None:
    fleet.roller().catch_up(NOW)
    policy = Policy(
        0, 0, 0, (Rule("", "event", 20), Rule("acme", "", 50), Rule("acme", "event", 5))
    )
    run(fleet, policy)
    first = {(d, c): day for d, c, day in reversed(kept(fleet))}
    assert first == {(1, 1): 50, (1, 2): 95, (2, 1): 0, (2, 2): 80}
    again = run(fleet, policy)
    assert again.messages == 0
    later = run(fleet, policy, NOW + DAY)
    assert later.messages == 3


def test_a_shorter_rule_looks_at_everything_once_more(fleet: Stand) -> None:
    fleet.roller().catch_up(NOW)
    retention = Retention(fleet.database, Settings(retention_days=0))
    for days in (50, 20):
        retention.set(SYSTEM, days=days, kind="event")
        run(fleet, retention.policy())
        first = {c: day for _, c, day in reversed(kept(fleet))}
        assert first == {1: 0, 2: 100 - days}


def test_others_have_their_turn_while_nothing_is_deleted(
    fleet: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking at every device takes a minute in a large fleet."""
    fleet.roller().catch_up(NOW + 2 * DAY)
    looked: list[tuple[int, int]] = []
    following = store.next_pair

    def next_pair(connection: sa.Connection, pair: tuple[int, int]) -> tuple[int, int] | None:
        looked.append(pair)
        return following(connection, pair)

    monkeypatch.setattr(store, "next_pair", next_pair)
    monkeypatch.setattr(sweeping, "PAIRS_AT_ONCE", 1)
    turns = [len(looked) for _ in sweep(fleet.database, Policy(0, 400, 400), NOW)]
    assert levels(fleet)[0] == 202
    assert len(looked) > 2
    assert set(range(len(looked))) <= set(turns), "two looks without a turn in between"


def test_rollups_have_terms_of_their_own(fleet: Stand) -> None:
    fleet.roller().catch_up(NOW + 2 * DAY)
    assert levels(fleet) == {0: 202, 1: 202, 2: 202}
    policy = Policy(0, 30, 60, (Rule("acme", MINUTES, 0), Rule("acme", ROLLUPS, 10)))
    run(fleet, policy)
    with fleet.database.read() as connection:
        found = connection.execute(
            sa.select(
                rollups.c.device_id, rollups.c.level, sa.func.min(rollups.c.bucket), sa.func.count()
            ).group_by(rollups.c.device_id, rollups.c.level)
        ).all()
    oldest = {(row[0], row[1]): ((row[2] * 60_000 - START) // DAY, row[3]) for row in found}
    assert oldest == {
        (1, 0): (0, 101),
        (1, 1): (90, 11),
        (1, 2): (90, 11),
        (2, 0): (70, 31),
        (2, 1): (40, 61),
        (2, 2): (40, 61),
    }


def test_what_makes_up_an_open_hour_stays(stand: Stand) -> None:
    stand.batch([(1, 1, START, {"t": 1.0}), (1, 1, START + HOUR, {"t": 2.0})])
    roller = stand.roller()
    roller.catch_up(START)  # minutes only: no hour is over at that time
    assert levels(stand) == {0: 2}
    run(stand, Policy(0, 1, 1))
    assert levels(stand) == {0: 2}
    assert stand.read(1, Level.DAY, ["t"])[START // 60_000]["t"].total == 3.0
    roller.catch_up(NOW)
    run(stand, Policy(0, 1, 1))
    assert levels(stand) == {}


def test_on_sqlite_a_number_never_comes_twice(stand: Stand) -> None:
    if not stand.database.is_sqlite:
        return  # a sequence counts there
    stand.batch([(1, 1, START, {"t": 1.0}), (1, 1, START + 1, {"t": 1.0})])
    stand.roller().catch_up(NOW)
    run(stand, Policy(10, 0, 0))
    assert len(kept(stand)) == 1
    with stand.database.write() as connection:
        added = connection.execute(
            sa.insert(messages).values(
                device_id=1,
                channel_id=1,
                ts=1,
                received_at=1,
                time_source=0,
                fingerprint=9,
                payload="{}",
            )
        )
        assert added.inserted_primary_key == (3,)


def test_rules_are_kept_shown_and_taken_back(stand: Stand) -> None:
    retention = Retention(stand.database, Settings())
    retention.set(SYSTEM, days=30, tenant="acme")
    retention.set(SYSTEM, days=7, kind="heartbeat")
    retention.set(SYSTEM, days=9, kind="heartbeat")
    assert retention.rules(SYSTEM) == [Rule("", "heartbeat", 9), Rule("acme", "", 30)]
    mine = Actor("ada", Role.ADMIN, "acme")
    assert retention.rules(Actor("bob", Role.VIEWER, "home")) == [Rule("", "heartbeat", 9)]
    retention.set(mine, days=31, tenant="acme")
    with pytest.raises(Forbidden):
        retention.set(mine, days=1)
    with pytest.raises(NotFound):
        retention.set(mine, days=1, tenant="home")
    with pytest.raises(Forbidden):
        retention.set(Actor("op", Role.OPERATOR), days=1)
    with pytest.raises(Invalid):
        retention.set(SYSTEM, days=1, kind="nothing")
    retention.unset(SYSTEM, kind="heartbeat")
    with pytest.raises(NotFound):
        retention.unset(SYSTEM, kind="heartbeat")
    assert retention.policy() == Policy(400, 400, 1830, (Rule("acme", "", 31),))
