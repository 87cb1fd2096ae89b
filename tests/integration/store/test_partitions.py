"""Weeks of messages on PostgreSQL: made, found, dropped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import DatabaseUnavailable
from mooring.store import partitions
from mooring.store.engine import Database, now_ms, open_database
from mooring.store.migrate import upgrade
from mooring.store.partitions import BEFORE, WEEK_MS, Partitions, name_of, week_of
from mooring.store.schema import message_numbers, messages

DAY = 86_400_000
NOW = now_ms()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url)
    upgrade(opened)
    yield opened
    opened.close()


def store(database: Database, *times: int, seq: int | None = None) -> None:
    with database.write() as connection:
        connection.execute(
            sa.insert(messages),
            [
                {
                    "device_id": 1,
                    "channel_id": 1,
                    "ts": ts,
                    "received_at": ts,
                    "seq": seq,
                    "time_source": 1,
                    "fingerprint": ts,
                    "payload": "{}",
                }
                for ts in times
            ],
        )


def parts(database: Database) -> dict[str, int]:
    """Partition → how many rows are in it."""
    with database.read() as connection:
        there = partitions.listed(connection)
        names = [BEFORE, *(name_of(week) for week in sorted(there.weeks))]
        return {
            name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()  # noqa: S608
            for name in names
        }


@given(st.integers(0, 4_000_000_000_000))
def test_a_week_begins_on_monday(ts: int) -> None:
    start = week_of(ts)
    assert start <= ts < start + WEEK_MS
    assert datetime.fromtimestamp(start / 1000, UTC).strftime("%a %H:%M:%S") == "Mon 00:00:00"
    assert week_of(start) == start
    assert partitions.is_partition(name_of(start))
    # Names say all: what is read back is what was made.
    listed = [(BEFORE, "FOR VALUES FROM (MINVALUE) TO ('5')"), (name_of(start), "…")]
    assert Partitions.of(listed) == Partitions(5, frozenset({start}))


def test_missing() -> None:
    monday = week_of(NOW)
    there = Partitions(monday, frozenset({monday}))
    assert there.missing([NOW, 0, monday - 1]) == set()
    assert there.missing([monday + WEEK_MS, NOW + 3 * WEEK_MS]) == {
        monday + WEEK_MS,
        week_of(NOW) + 3 * WEEK_MS,
    }


def test_made_ahead(database: Database) -> None:
    assert parts(database) == {BEFORE: 0}
    made = partitions.create_ahead(database, NOW)
    assert made == [name_of(week_of(NOW) + n * WEEK_MS) for n in range(3)]
    assert partitions.create_ahead(database, NOW) == []
    assert partitions.create_ahead(database, NOW + WEEK_MS) == [name_of(week_of(NOW) + 3 * WEEK_MS)]
    store(database, NOW, NOW + WEEK_MS, NOW - 400 * DAY)
    assert parts(database) == {BEFORE: 1, made[0]: 1, made[1]: 1, made[2]: 0} | {
        name_of(week_of(NOW) + 3 * WEEK_MS): 0
    }


def test_dropped(database: Database) -> None:
    monday = week_of(NOW)
    partitions.create_ahead(database, NOW)
    store(database, monday - 1, monday, monday + WEEK_MS - 1, monday + WEEK_MS)
    assert partitions.drop_before(database, monday - 1) == []
    assert parts(database)[BEFORE] == 1
    # All that is before the floor is old now; the week itself is not yet.
    assert partitions.drop_before(database, monday + DAY) == [BEFORE]
    assert partitions.drop_before(database, monday + DAY) == []
    assert partitions.drop_before(database, monday + WEEK_MS) == [name_of(monday)]
    assert parts(database) == {
        BEFORE: 0,
        name_of(monday + WEEK_MS): 1,
        name_of(monday + 2 * WEEK_MS): 0,
    }


def test_weeks_are_dropped_while_others_write(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No writer of other tables waits for it, and it waits for none."""
    monday = week_of(NOW)
    monkeypatch.setattr(partitions, "NUMBERS_AT_ONCE", 1)
    with database.write() as writer:
        writer.execute(sa.text("SELECT 1"))
        made = partitions.create_ahead(database, NOW)
    store(database, monday - 1, monday)
    with database.write() as connection:
        connection.execute(
            sa.insert(message_numbers),
            [{"device_id": 1, "seq": n, "fingerprint": n, "ts": monday - n} for n in (1, 2, 3)],
        )
    with database.write() as writer:
        writer.execute(sa.text("SELECT 1"))
        gone = partitions.drop_before(database, monday + WEEK_MS)
    assert gone == [made[0], BEFORE]
    with database.read() as connection:
        assert connection.execute(sa.select(message_numbers.c.ts)).all() == []


def test_numbers_go_with_their_messages(database: Database) -> None:
    monday = week_of(NOW)
    partitions.create_ahead(database, NOW)
    times = [monday - 1, monday + 1, monday + WEEK_MS]
    store(database, *times, seq=7)
    with database.write() as connection:
        connection.execute(
            sa.insert(message_numbers),
            [{"device_id": 1, "seq": 7, "fingerprint": ts, "ts": ts} for ts in times],
        )

    def left() -> list[int]:
        with database.read() as connection:
            return sorted(connection.execute(sa.select(message_numbers.c.ts)).scalars())

    partitions.drop_before(database, monday + DAY)
    assert left() == times[1:]
    with database.write() as connection:
        connection.execute(sa.delete(messages).where(messages.c.ts == times[1]))
    assert left() == times[2:]


def test_readers_are_not_waited_for_for_ever(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "LOCK_WAIT", "100ms")
    partitions.create_ahead(database, NOW)
    store(database, NOW)
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM messages").fetchone()
        # Making one waits for nobody …
        assert partitions.create_ahead(database, NOW + WEEK_MS)
        # … and dropping does not hold up others behind its own wait.
        with pytest.raises(DatabaseUnavailable):
            partitions.drop_before(database, NOW + 60 * DAY)
    assert sum(parts(database).values()) == 1
    assert len(partitions.drop_before(database, NOW + 60 * DAY)) == 4


def test_the_floor(database: Database) -> None:
    old = week_of(NOW - 100 * DAY)
    partitions.create_ahead(database, NOW)
    with database.write() as connection:
        partitions.lay_floor(connection, NOW - 100 * DAY)
        assert partitions.listed(connection) == Partitions(old, frozenset())
    partitions.create_ahead(database, NOW)
    store(database, old - 1, NOW)
    assert parts(database)[BEFORE] == 1


def test_nothing_of_it_on_sqlite(tmp_path: object) -> None:
    database = open_database(f"sqlite:///{tmp_path}/mooring.db")
    assert partitions.create_ahead(database) == []
    assert partitions.drop_before(database, NOW) == []
    database.close()


def test_history_reads_only_the_weeks_it_needs(database: Database) -> None:
    partitions.create_ahead(database, NOW)
    with database.read() as connection:
        plan = "\n".join(
            connection.exec_driver_sql(
                f"EXPLAIN SELECT * FROM messages WHERE device_id = 1 AND ts >= {NOW}"  # noqa: S608
                f" AND ts < {NOW + 1} ORDER BY ts LIMIT 10"
            ).scalars()
        )
    assert name_of(week_of(NOW)) in plan
    assert BEFORE not in plan
    assert name_of(week_of(NOW) + WEEK_MS) not in plan
    assert "Index Scan" in plan
