"""From SQLite to PostgreSQL with nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.devices.model import NewDevice
from mooring.errors import Conflict, Internal, Invalid
from mooring.identity.actor import SYSTEM
from mooring.ingest.sink import Committed
from mooring.ingest.sink_postgres import PostgresSink
from mooring.ingest.sink_sqlite import SqliteSink
from mooring.settings import Settings
from mooring.store import copy, partitions
from mooring.store.copy import copy_database, count_rows
from mooring.store.engine import Database, now_ms, open_database
from mooring.store.processes import Heartbeat
from mooring.store.schema import (
    audit,
    dead_letters,
    device_state,
    devices,
    message_numbers,
    messages,
    processes,
)
from tests.conformance.sink.planning import DAY, dead, plan, row, unknown_device, with_unknown
from tests.support.cli import Cli
from tests.support.migrated import copy_migrated

NOW = now_ms()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def lived_in(data_dir: Path) -> Iterator[App]:
    """An installation on SQLite with something in every place."""
    copy_migrated(data_dir)
    with open_app(Settings(data_dir=data_dir), upgrade=True) as app:
        for number in range(3):
            app.devices.add(SYSTEM, NewDevice(f"d{number}", "smarthome", "home", label="Küche 🌡"))
        app.devices.remove(SYSTEM, "home:d2")
        sink = SqliteSink(app.settings.sqlite_path)
        installed = NOW - 200 * DAY
        text = '{"path":"C:\\\\ü","n":%d}'
        rows = [
            row(1, ts=NOW - n * 3 * DAY, received_at=installed, payload=text % n)
            for n in range(150)
        ]
        rows += [
            row(2, seq=n, source=1, fingerprint=n, ts=NOW + n, received_at=NOW) for n in range(20)
        ]
        sink.commit(plan(rows, packets=[(1, 1)]), "mooring-ingest", 1, 0)
        letters = with_unknown(unknown_device("nobody"))
        letters.dead.append(dead(2, topic="a\0b"))
        sink.commit(letters, "mooring-ingest", 2, 0)
        sink.close()
        with app.database.write() as connection:
            connection.execute(
                sa.insert(device_state),
                [
                    {"device_id": 1, "last_seen_at": NOW, "online": True, "metadata": '{"a":1}'},
                    {"device_id": 2, "last_seen_at": NOW, "online": False, "metadata": None},
                ],
            )
        yield app


@pytest.fixture
def target(database_url: str) -> Iterator[Database]:
    database = open_database(database_url)
    yield database
    database.close()


def every_row(database: Database, table: sa.Table) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return sorted((tuple(r) for r in connection.execute(sa.select(table))), key=repr)


def test_everything_is_there(lived_in: App, target: Database) -> None:
    source = lived_in.database
    done: list[int] = []
    copied = {c.table: c.rows for c in copy_database(source, target, done.append)}
    assert copied["messages"] == 170
    assert copied["devices"] == 2
    assert copied["dead_letters"] == 2
    assert done[-1] == 2 * count_rows(source)
    assert done == sorted(done)
    for table in (devices, messages, device_state, audit):
        assert every_row(target, table) == every_row(source, table)
    assert {r[4] for r in every_row(target, dead_letters)} == {"nobody/knows", "a\ufffdb"}
    # Rows are in the weeks they belong to, and clocks far behind in the one place for them.
    with target.read() as connection:
        there = partitions.listed(connection)
    assert there.floor == partitions.week_of(NOW - 200 * DAY)
    assert len(there.weeks) >= 28


def test_numbers_go_on(lived_in: App, target: Database, database_url: str) -> None:
    """No number is given twice: also not one of a device that was removed."""
    copy_database(lived_in.database, target)
    with target.write() as connection:
        number = connection.execute(
            sa.insert(devices)
            .values(
                tenant="home",
                name="new",
                scope="s",
                dialect="d",
                username="u",
                client_id="c",
                created_at=1,
            )
            .returning(devices.c.id)
        ).scalar_one()
    assert number == 4
    newest = max(r[0] for r in every_row(target, messages))
    sink = PostgresSink(database_url)
    assert sink.commit(plan([row(9)]), "mooring-ingest", 4, 0) == Committed(1, 0)
    sink.close()
    assert max(r[0] for r in every_row(target, messages)) > newest


def test_repetitions_are_still_recognised(
    lived_in: App, target: Database, database_url: str
) -> None:
    copy_database(lived_in.database, target)
    assert len(every_row(target, message_numbers)) == 20
    sink = PostgresSink(database_url)
    again = [row(2, seq=n, source=1, fingerprint=n, ts=NOW + DAY + n) for n in range(20)]
    known = [tuple(r)[1:] for r in every_row(lived_in.database, messages) if r[1] == 1]
    assert sink.commit(plan([*again, *known]), "mooring-ingest", 4, 0) == Committed(0, 170)
    assert [batch for batch, _ in sink.ledger("mooring-ingest")] == [1]
    sink.close()


def test_nothing_is_overwritten(lived_in: App, target: Database) -> None:
    copy_database(lived_in.database, target)
    with pytest.raises(Conflict) as caught:
        copy_database(lived_in.database, target)
    assert caught.value.slug == "target_not_empty"
    assert len(every_row(target, messages)) == 170


def test_not_while_it_runs(lived_in: App, target: Database) -> None:
    Heartbeat(lived_in.database, "ingest").beat()
    with pytest.raises(Conflict, match="ingest@") as caught:
        copy_database(lived_in.database, target)
    assert caught.value.slug == "still_running"
    with lived_in.database.write() as connection:  # as after a crash, some time ago
        connection.execute(sa.update(processes).values(beat_at=now_ms() - 60_000))
    copy_database(lived_in.database, target)
    assert every_row(target, processes) == []


def test_nobody_writes_meanwhile(
    lived_in: App, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever tries has to wait, and is told so; nothing comes in unseen."""
    tried: list[str] = []

    def report(_done: int) -> None:
        if not tried:
            subprocess_writes(lived_in.settings.sqlite_path, tried)

    copy_database(lived_in.database, target, report)
    assert tried == ["database is locked"]


def subprocess_writes(path: Path, said: list[str]) -> None:
    program = (
        "import sqlite3, sys\n"
        "try: sqlite3.connect(sys.argv[1], timeout=0.1).execute('DELETE FROM messages')\n"
        "except sqlite3.OperationalError as exc: print(exc)"
    )
    answer = subprocess.run(
        ["python3", "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    said.append(answer.stdout.strip())


def test_a_difference_keeps_nothing(
    lived_in: App, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were a single value another one when it is read back, all would be taken back."""
    honest = copy._rows_of

    def lying(connection: Any, table: sa.Table) -> Iterator[Any]:
        for values in honest(connection, table):
            changed = connection.dialect.name == "postgresql" and table is messages
            yield (*values[:-1], values[-1] + " ") if changed else values

    monkeypatch.setattr(copy, "_rows_of", lying)
    with pytest.raises(Internal, match="messages"):
        copy_database(lived_in.database, target)
    monkeypatch.undo()
    assert every_row(target, devices) == []
    copy_database(lived_in.database, target)


def test_only_from_sqlite_to_postgresql(lived_in: App, target: Database) -> None:
    with pytest.raises(Invalid):
        copy_database(lived_in.database, lived_in.database)
    with pytest.raises(Invalid):
        copy_database(target, target)


class TestCommand:
    def test_moved(self, lived_in: App, data_dir: Path, database_url: str) -> None:
        cli = Cli(data_dir)
        ran = cli("db", "copy", "--json", env={"MOORING_COPY_TO": database_url})
        rows = {entry["table"]: entry["rows"] for entry in ran.json()}
        assert rows["messages"] == 170
        assert ran.stderr == ""
        on_postgres = {"MOORING_DATABASE_URL": database_url}
        listed = cli("device", "list", "--json", env=on_postgres).json()
        assert sorted(d["device"] for d in listed["devices"]) == ["d0", "d1"]
        again = cli("db", "copy", expect=4, env={"MOORING_COPY_TO": database_url})
        assert "not empty" in again.stderr
        twice = cli("db", "copy", expect=2, env=on_postgres | {"MOORING_COPY_TO": database_url})
        assert "already" in twice.stderr

    def test_for_people(self, lived_in: App, data_dir: Path, database_url: str) -> None:
        url = psycopg.conninfo.conninfo_to_dict(database_url)
        bare = f"postgresql://{url['user']}@{url['host']}:{url['port']}/{url['dbname']}"
        ran = Cli(data_dir)("db", "copy", "--to", bare, env={"PGPASSWORD": str(url["password"])})
        assert "messages" in ran.stdout
        assert "MOORING_DATABASE_URL" in ran.stderr
        assert json.dumps(url["password"]) not in ran.stdout + ran.stderr

    def test_a_password_is_not_taken_from_the_command_line(
        self, lived_in: App, data_dir: Path, database_url: str
    ) -> None:
        ran = Cli(data_dir)("db", "copy", "--to", database_url, expect=2)
        assert "list of processes" in ran.stderr
        assert "MOORING_COPY_TO" in Cli(data_dir)("db", "copy", expect=2).stderr

    def test_nothing_to_copy(self, tmp_path: Path, database_url: str) -> None:
        empty = Cli(tmp_path / "none")
        assert (
            "Mooring database" in empty("db", "copy", "--to", "postgresql://h/d", expect=3).stderr
        )
        assert not os.path.exists(tmp_path / "none" / "mooring.db")  # noqa: PTH110
