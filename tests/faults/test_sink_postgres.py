"""PostgreSQL under faults: what a plan says is written once, whatever breaks and when."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from mooring.errors import DatabaseUnavailable
from mooring.ingest import postgres_connection
from mooring.ingest.ledger import pack
from mooring.ingest.plan import Plan
from mooring.ingest.sink import Committed
from mooring.ingest.sink_postgres import PostgresSink
from mooring.store import partitions
from mooring.store.engine import Database, now_ms, open_database
from mooring.store.migrate import upgrade
from mooring.store.schema import (
    counters,
    dead_letters,
    ingest_ledger,
    message_numbers,
    messages,
    rollup_queue,
    strangers,
)
from tests.conformance.sink.planning import DAY, plan, row, unknown_device, with_unknown
from tests.support.postgres import Postgres
from tests.support.tcp import Wire


@pytest.fixture
def database(postgres_server: Postgres, migrated_postgres: str) -> Iterator[Database]:
    postgres_server.empty_tables(migrated_postgres)
    opened = open_database(migrated_postgres)
    yield opened
    opened.close()


@pytest.fixture
def wire(postgres_server: Postgres) -> Iterator[Wire]:
    with Wire(postgres_server.port) as wire:
        yield wire


@pytest.fixture
def sink(database: Database, postgres_server: Postgres, wire: Wire) -> Iterator[PostgresSink]:
    """Reaches the database over the wire."""
    url = database.engine.url.set(port=wire.port)
    sink = PostgresSink(url.render_as_string(hide_password=False))
    sink.versions()  # connected: what follows is the batch alone
    yield sink
    sink.close()


def a_plan(many: int) -> Plan:
    """Messages with a time, with a number, with neither; a dead letter of an unknown device."""
    now = now_ms()
    made = plan(
        [row(n, ts=now, source=n % 2, seq=n if n % 4 == 1 else None) for n in range(many)],
        packets=[(n + 1, n) for n in range(many)],
    )
    extra = with_unknown(unknown_device("nobody", 2))
    made.dead, made.unknown = extra.dead, extra.unknown
    return made


def held(database: Database) -> dict[str, Any]:
    with database.read() as connection:

        def count(table: sa.Table) -> int:
            return int(
                connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            )

        return {
            "messages": count(messages),
            "dead": count(dead_letters),
            "numbers": count(message_numbers),
            "heard": connection.execute(sa.select(strangers.c.messages)).scalar(),
            "ledger": count(ingest_ledger),
            "queued": count(rollup_queue),
            "counters": dict(
                connection.execute(sa.select(counters.c.name, counters.c.value)).all()
            ),  # type: ignore[arg-type]
        }


def once(many: int) -> dict[str, Any]:
    return {
        "messages": many,
        "dead": 1,
        "numbers": (many + 2) // 4,
        "heard": 2,
        "ledger": 1,
        "queued": 1,
        "counters": {"batches": 1, "messages_stored": many, "dead_letters": 1},
    }


def persistently(commit: Callable[[], Committed], *, most: int = 200) -> tuple[Committed, int]:
    """As ingest does; the result and how often it had to be tried."""
    for tries in range(1, most):
        try:
            return commit(), tries
        except DatabaseUnavailable:
            time.sleep(0.05)
    raise AssertionError("the database did not come back")


@pytest.mark.parametrize("many", [8, 400], ids=["few", "many"])
class TestBrokenConnection:
    def test_the_answer_to_commit_is_lost(
        self, database: Database, sink: PostgresSink, wire: Wire, many: int
    ) -> None:
        made = a_plan(many)
        wire.cut_at(b"COMMIT", answered=True)
        with pytest.raises(DatabaseUnavailable):
            sink.commit(made, "c", 1, 0)
        assert wire.cuts == 1
        assert held(database) == once(many), "it was committed, and we do not know"
        assert sink.commit(made, "c", 1, 0) == Committed(many, 0)
        assert held(database) == once(many)

    @pytest.mark.parametrize("word", [b"BEGIN", b"messages", b"ingest_ledger", b"COMMIT"])
    def test_it_breaks_before(
        self, database: Database, sink: PostgresSink, wire: Wire, many: int, word: bytes
    ) -> None:
        made = a_plan(many)
        wire.cut_at(word)
        with pytest.raises(DatabaseUnavailable):
            sink.commit(made, "c", 1, 0)
        assert wire.cuts == 1
        assert held(database)["messages"] == 0
        assert persistently(lambda: sink.commit(made, "c", 1, 0))[0] == Committed(many, 0)
        assert held(database) == once(many)

    def test_the_server_has_not_noticed(
        self,
        database: Database,
        sink: PostgresSink,
        wire: Wire,
        many: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Our old transaction lives on at the server, holding its locks, until it is ended."""
        monkeypatch.setattr(postgres_connection, "IDLE_WAIT", "2s")
        monkeypatch.setattr(postgres_connection, "LOCK_WAIT", "300ms")
        sink.close()
        sink.versions()
        made = a_plan(many)
        wire.cut_at(b" messages (id", hang=True)
        with pytest.raises(DatabaseUnavailable):
            sink.commit(made, "c", 1, 0)
        with pytest.raises(DatabaseUnavailable):
            sink.commit(made, "c", 1, 0)
        assert held(database)["messages"] == 0
        done, _ = persistently(lambda: sink.commit(made, "c", 1, 0))
        assert done == Committed(many, 0)
        assert held(database) == once(many)


def test_another_plan_after_one_that_failed(
    database: Database, sink: PostgresSink, wire: Wire
) -> None:
    """A mark belongs to one plan: the next one is not taken for the lost one."""
    wire.cut_at(b"COMMIT", answered=True)
    with pytest.raises(DatabaseUnavailable):
        sink.commit(plan([row()]), "c", 1, 0)
    assert sink.commit(plan([row()]), "c", 2, 0) == Committed(1, 0)
    assert held(database)["messages"] == 2


def test_a_partition_dropped_behind_our_back(database: Database, sink: PostgresSink) -> None:
    """A late message of a week that retention has taken: the week is made again."""
    now = now_ms()
    assert sink.commit(plan([row(ts=now)]), "c", 1, 0).stored == 1
    assert partitions.drop_before(database, now + 60 * DAY)
    late = plan([row(ts=now), row(ts=now - 400 * DAY)])
    assert persistently(lambda: sink.commit(late, "c", 2, 0)) == (Committed(2, 0), 2)
    assert held(database)["messages"] == 2


def numbers_of(database: Database) -> list[int]:
    with database.read() as connection:
        return [int(p) for p in connection.execute(sa.select(messages.c.payload)).scalars()]


def test_backends_terminated_during_load(
    database: Database, migrated_postgres: str, postgres_server: Postgres
) -> None:
    """Messages with neither time nor number, so that only the sink itself keeps them single."""
    sink = PostgresSink(migrated_postgres)
    stop = threading.Event()
    killed = 0

    def kill() -> None:
        nonlocal killed
        with psycopg.connect(postgres_server.url, autocommit=True) as connection:
            while not stop.is_set():
                time.sleep(random.uniform(0.03, 0.15))
                killed += len(
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE application_name = 'mooring ingest' AND datname = %s"
                        " AND xact_start IS NOT NULL",
                        (migrated_postgres.rpartition("/")[2],),
                    ).fetchall()
                )

    killer = threading.Thread(target=kill)
    killer.start()
    tries = sent = batches = 0
    deadline = time.monotonic() + 30
    try:
        while killed < 25 and time.monotonic() < deadline:
            many = (5, 300)[batches % 2]
            rows = [row(1, ts=now_ms(), source=1, payload=str(sent + n)) for n in range(many)]
            made = plan(rows, packets=[(1, 1)])
            batches += 1
            forget = max(0, batches - 3)
            done, again = persistently(partial(sink.commit, made, "c", batches, forget))
            assert done == Committed(many, 0)
            sent, tries = sent + many, tries + again
    finally:
        stop.set()
        killer.join()
        sink.close()
    assert killed >= 25
    assert tries > batches, "no batch had to be tried again"
    print(f"terminated {killed}, batches {batches}, tries {tries}, sent {sent}, twice 0, lost 0")
    assert sorted(numbers_of(database)) == list(range(sent))
    found = held(database)
    assert found["counters"] == {"batches": batches, "messages_stored": sent}
    assert found["ledger"] <= 4


def test_server_killed_during_load() -> None:
    """kill -9 of every PostgreSQL process, three times: what was committed is there once."""
    with Postgres() as server:
        url = server.create_database()
        database = open_database(url)
        upgrade(database)
        sink = PostgresSink(url)
        sent = 0
        stop = threading.Event()
        problems: list[BaseException] = []

        def write() -> None:
            nonlocal sent
            batch = 0
            try:
                while not stop.is_set():
                    rows = [
                        row(1, ts=now_ms(), source=1, payload=str(sent + n)) for n in range(200)
                    ]
                    made = plan(rows, packets=[(1, 1)])
                    batch += 1
                    done, _ = persistently(
                        partial(sink.commit, made, "c", batch, batch - 1),
                        most=1000,
                    )
                    assert done == Committed(200, 0)
                    sent += 200
            except BaseException as exc:  # noqa: BLE001 - told to the test's own thread
                problems.append(exc)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(3):
                before = sent
                time.sleep(0.7)
                server.crash()
                server.restart()
                assert sent > before
        finally:
            stop.set()
            writer.join()
            sink.close()
        assert not problems, problems
        assert sorted(numbers_of(database)) == list(range(sent))
        with database.read() as connection:
            (_, packets), *others = connection.execute(
                sa.select(ingest_ledger.c.batch, ingest_ledger.c.packets)
            ).all()
        assert packets == pack([(1, 1)])
        assert not others
        print(f"killed 3 times, sent {sent}, stored {sent}, twice 0")
        database.close()
