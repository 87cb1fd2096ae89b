"""Migrations give the declared schema, on both engines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from mooring.errors import Conflict, InvalidSetting
from mooring.store import migrate
from mooring.store.engine import Database, open_database
from mooring.store.schema import declared_for, metadata
from mooring.store.version_key import version_key
from tests.support.postgres import Postgres


@pytest.fixture
def empty(any_database_url: str) -> Iterator[Database]:
    database = open_database(any_database_url)
    yield database
    database.close()


def differences(database: Database) -> list[Any]:
    options = {"include_object": migrate.belongs(database.dialect), "compare_type": True}
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts=options)
        found: list[Any] = compare_metadata(context, metadata)
        return found


def test_give_the_declared_schema(empty: Database) -> None:
    assert migrate.revision(empty) is None
    steps = migrate.upgrade(empty)
    assert [step.revision for step in steps][:2] == ["0001", "0002"]
    assert migrate.revision(empty) == migrate.newest() == steps[-1].revision
    assert migrate.upgrade(empty) == []
    migrate.require_current(empty)
    assert differences(empty) == []


def test_a_difference_would_be_seen(empty: Database) -> None:
    migrate.upgrade(empty)
    with empty.write() as connection:
        connection.exec_driver_sql("ALTER TABLE tenants ADD COLUMN colour text")
        connection.exec_driver_sql("DROP INDEX uq_messages_once")
    assert {(d[0], d[-1].name) for d in differences(empty)} == {
        ("remove_column", "colour"),
        ("add_index", "uq_messages_once"),
    }


def test_columns_keys_and_nulls_are_those_declared(empty: Database) -> None:
    """What Alembic does not compare: primary keys, and the columns of partitioned tables."""
    migrate.upgrade(empty)
    found = sa.inspect(empty.engine)
    for table in metadata.sorted_tables:
        if not declared_for(table, empty.dialect):
            assert not found.has_table(table.name)
            continue
        columns = {c["name"]: c["nullable"] for c in found.get_columns(table.name)}
        assert columns == {c.name: c.nullable for c in table.columns}, table.name
        key = found.get_pk_constraint(table.name)["constrained_columns"]
        if table.name == "messages" and not empty.is_sqlite:
            assert key == [], "a key would have to hold ts, and cost 30 bytes a message"
        else:
            assert key == [c.name for c in table.primary_key], table.name


def test_two_at_once(empty: Database, any_database_url: str) -> None:
    """Two processes start on an empty database: one migrates, the other finds it done."""
    problems: list[BaseException] = []

    def run() -> None:
        database = open_database(any_database_url)
        try:
            migrate.upgrade(database)
        except BaseException as exc:  # noqa: BLE001 - told to the test's own thread
            problems.append(exc)
        finally:
            database.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems
    assert differences(empty) == []


def test_a_newer_schema_is_left_alone(empty: Database) -> None:
    migrate.upgrade(empty)
    with empty.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Conflict) as caught:
        migrate.upgrade(empty)
    assert caught.value.slug == "database_too_new"


def test_a_database_that_cannot_hold_every_text(postgres_server: Postgres) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        )
    url = postgres_server.url.replace("/postgres", "/latin")
    database = open_database(url)
    try:
        with pytest.raises(InvalidSetting, match="LATIN1"):
            migrate.upgrade(database)
        assert migrate.revision(database) is None
    finally:
        database.close()
        postgres_server.drop_database(url)


def test_of_devices_with_one_client_id_the_oldest_keeps_it(empty: Database) -> None:
    to(empty, "0002")
    with empty.write() as connection:
        connection.exec_driver_sql("INSERT INTO tenants (name, created_at) VALUES ('t', 0)")
        connection.execute(
            sa.text(
                "INSERT INTO devices (id, tenant, name, scope, dialect, username, client_id,"
                " created_at) VALUES (:id, 't', :name, 's', 'mousetrap', :name, :client_id, 0)"
            ),
            [
                {"id": number, "name": f"d{number}", "client_id": client_id}
                for number, client_id in ((1, "trap"), (2, "trap"), (3, "trap"), (4, "other"))
            ],
        )
    migrate.upgrade(empty)
    with empty.read() as connection:
        found = connection.exec_driver_sql("SELECT client_id FROM devices ORDER BY id").scalars()
        assert list(found) == ["trap", "mooring-twin-2", "mooring-twin-3", "other"]
    assert differences(empty) == []


def to(database: Database, revision: str) -> None:
    """Brings an empty database to an older schema."""
    config = migrate.script_config()
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_a_pending_change_survives_the_new_name_of_its_table(empty: Database) -> None:
    to(empty, "0010")
    values = "VALUES ('put', 'pump', 1, 1)"
    with empty.write() as connection:
        for _ in range(3):
            connection.exec_driver_sql(
                f"INSERT INTO outbox (action, username, created_at, next_at) {values}"
            )
        connection.exec_driver_sql("DELETE FROM outbox WHERE id IN (1, 3)")
    migrate.upgrade(empty)
    with empty.write() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO broker_changes (action, username, created_at, next_at) {values}"
        )
        rows = connection.exec_driver_sql("SELECT id FROM broker_changes ORDER BY id").scalars()
        assert list(rows) == [2, 4], "numbers are not given twice"


def test_words_of_devices_become_groups_of_their_tenant(empty: Database) -> None:
    to(empty, "0020")

    def put(table: str, **values: object) -> None:
        connection.execute(sa.insert(sa.table(table, *map(sa.column, values))).values(values))

    with empty.write() as connection:
        for tenant in ("a", "b"):
            put("tenants", name=tenant, created_at=1)
        for number, tenant in ((1, "a"), (2, "a"), (3, "b")):
            own = dict.fromkeys(("name", "username", "client_id"), f"d{number}")
            put("devices", id=number, tenant=tenant, scope=tenant, dialect="x", created_at=1, **own)
            put("device_state", device_id=number, firmware=f"1.{number}0.0")
        for number, group in ((1, "heat"), (2, "heat"), (2, "east"), (3, "heat")):
            put("device_groups", device_id=number, group_name=group)
        for group, priority in (("east", 5), ("alone", 7)):
            level = {"tenant": "a", "level": "group", "name": group, "priority": priority}
            said = {"document": "", "version": 1, "updated_at": 1, "updated_by": "ada"}
            put("device_settings_levels", **level, **said)
    migrate.upgrade(empty)
    with empty.read() as connection:
        groups = connection.exec_driver_sql(
            "SELECT tenant, name, priority, query FROM groups ORDER BY tenant, name"
        ).all()
        members = connection.exec_driver_sql(
            "SELECT device_id, tenant, group_name FROM device_groups ORDER BY device_id, group_name"
        ).all()
        keys = connection.exec_driver_sql(
            "SELECT firmware_key FROM device_state ORDER BY device_id"
        ).scalars()
        assert [version_key(f"1.{number}0") for number in (1, 2, 3)] == list(keys)
    assert [tuple(row) for row in groups] == [
        ("a", "alone", 7, None),
        ("a", "east", 5, None),
        ("a", "heat", 0, None),
        ("b", "heat", 0, None),
    ]
    assert [tuple(row) for row in members] == [
        (1, "a", "heat"),
        (2, "a", "east"),
        (2, "a", "heat"),
        (3, "b", "heat"),
    ]
