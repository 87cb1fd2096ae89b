"""A PostgreSQL that answers and cannot be used: a sentence with the remedy, and no end."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from mooring.errors import DatabaseUnavailable, DatabaseUnusable, Invalid, InvalidSetting
from mooring.ingest.plan import Plan
from mooring.ingest.sink_postgres import PostgresSink
from mooring.store.engine import open_database
from mooring.store.migrate import upgrade
from mooring.store.schema import counters, tenants
from tests.support.postgres import Postgres

ODD = "pa ss'wö\"rd\\@/:?#%20"


def administer(url: str, statement: str, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]


@pytest.fixture
def role(postgres_server: Postgres, database_url: str) -> Iterator[sa.URL]:
    """The URL of a role that may do nothing but connect; its password is odd."""
    name = "weak"
    administer(postgres_server.url, "CREATE ROLE {} LOGIN", name)
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(ODD))
        )
    administer(database_url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield sa.make_url(database_url).set(username=name, password=ODD)
    administer(database_url, "DROP OWNED BY {}", name)
    administer(postgres_server.url, "DROP ROLE {}", name)


def test_a_read_only_database_at_the_first_start(
    postgres_server: Postgres, database_url: str
) -> None:
    postgres_server.read_only(database_url, on=True)
    database = open_database(database_url)
    with pytest.raises(DatabaseUnavailable, match="read-only") as caught:
        upgrade(database)
    assert "primary" in caught.value.hint
    database.close()


def test_read_only_for_a_while(postgres_server: Postgres, database_url: str) -> None:
    database = open_database(database_url)
    upgrade(database)
    sink = PostgresSink(database_url)
    postgres_server.read_only(database_url, on=True)
    with pytest.raises(DatabaseUnavailable), database.write() as connection:
        connection.execute(sa.insert(counters).values(name="a", value=1))
    with pytest.raises(DatabaseUnavailable):
        sink.commit(Plan(), "c", 1, 0)
    postgres_server.read_only(database_url, on=False)
    with database.write() as connection:
        connection.execute(sa.insert(counters).values(name="a", value=1))
    sink.commit(Plan(), "c", 1, 0)
    sink.close()
    database.close()


def test_a_role_without_rights(role: sa.URL) -> None:
    database = open_database(role.render_as_string(hide_password=False))
    with pytest.raises(DatabaseUnusable, match="permission denied") as caught:
        upgrade(database)
    assert "GRANT" in caught.value.hint
    database.close()


def test_ingest_connects_with_an_odd_password(role: sa.URL, database_url: str) -> None:
    database = open_database(database_url)
    upgrade(database)
    administer(database_url, "GRANT ALL ON SCHEMA public TO {}", "weak")
    administer(database_url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO {}", "weak")
    administer(database_url, "ALTER TABLE messages OWNER TO {}", "weak")
    sink = PostgresSink(role.render_as_string(hide_password=False))
    assert sink.versions() == (0, 0)
    sink.close()
    wrong = PostgresSink(role.set(password=ODD + "x").render_as_string(hide_password=False))
    with pytest.raises(DatabaseUnusable) as caught:
        wrong.versions()
    assert not any(part in f"{caught.value}" for part in ODD.split() if len(part) > 2)
    database.close()


def test_a_database_that_stores_sql_ascii(postgres_server: Postgres) -> None:
    name = "ascii"
    administer(
        postgres_server.url, "CREATE DATABASE {} ENCODING 'SQL_ASCII' TEMPLATE template0", name
    )
    url = sa.make_url(postgres_server.url).set(database=name)
    database = open_database(url.render_as_string(hide_password=False))
    with pytest.raises(InvalidSetting, match="SQL_ASCII") as caught:
        upgrade(database)
    assert "UTF8" in caught.value.hint
    database.close()
    administer(postgres_server.url, "DROP DATABASE {}", name)


@pytest.mark.parametrize("value", ["a\0b", "x" * 100_000, "\ud800"])
def test_a_value_is_refused_in_one_place(migrated_url: str, value: str) -> None:
    database = open_database(migrated_url)
    refused = not database.is_sqlite or value == "\ud800"
    insert = sa.insert(tenants).values(name=value, created_at=0)
    if refused:
        with pytest.raises(Invalid) as caught, database.write() as connection:
            connection.execute(insert)
        assert caught.value.slug == "value_not_storable"
    else:
        with database.write() as connection:  # SQLite knows no lengths
            connection.execute(insert)
    database.close()
