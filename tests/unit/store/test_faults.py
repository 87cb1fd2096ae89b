"""Every class of error of both drivers has a judgement."""

from __future__ import annotations

import inspect
import sqlite3
import traceback
from collections.abc import Callable

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from psycopg import errors

from mooring.errors import DatabaseUnavailable, DatabaseUnusable, Internal, Invalid, InvalidSetting
from mooring.store.engine import open_database
from mooring.store.faults import POSTGRESQL, SQLITE, Judgement, judge, translated
from mooring.store.urls import parse_url, postgres_arguments

RETRY, REFUSE, FATAL, OURS = Judgement.RETRY, Judgement.REFUSE, Judgement.FATAL, Judgement.OURS

STATES = {
    one.sqlstate: one
    for _, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, psycopg.Error) and one.sqlstate
}


def test_every_class_of_sqlstate_is_in_the_table() -> None:
    assert {state[:2] for state in STATES} - {"00"} <= set(POSTGRESQL)
    unknown = {code for code in POSTGRESQL if len(code) == 5 and code not in STATES}
    assert unknown == set()


def test_every_result_code_of_sqlite_is_in_the_table() -> None:
    # SQLite has had 28 of them since 2013; higher numbers are no errors, or extended codes.
    assert sorted(SQLITE) == list(range(1, 29))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("25006", RETRY),  # a failover
        ("25P03", RETRY),
        ("40P01", RETRY),
        ("53100", RETRY),  # disk full
        ("53300", RETRY),  # too many connections
        ("57P01", RETRY),
        ("57P03", RETRY),
        ("55P03", RETRY),
        ("23514", RETRY),  # no partition
        ("22001", REFUSE),  # too long
        ("22021", REFUSE),  # NUL
        ("23505", REFUSE),
        ("54000", REFUSE),
        ("28P01", FATAL),
        ("3D000", FATAL),
        ("42501", FATAL),
        ("42P01", FATAL),
        ("XX001", FATAL),
        ("42601", OURS),
    ],
)
def test_postgresql(state: str, expected: Judgement) -> None:
    assert judge(STATES[state]("words")).judgement is expected
    wrapped = sa.exc.DBAPIError("SELECT 1", {}, STATES[state]("words"))
    assert judge(wrapped).judgement is expected


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (psycopg.OperationalError("connection failed"), RETRY),
        (psycopg.InterfaceError("the connection is closed"), RETRY),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), REFUSE),
        (psycopg.ProgrammingError("cannot adapt type"), OURS),
        (sqlite3.ProgrammingError("Cannot operate on a closed database."), OURS),
        (OverflowError("Python int too large to convert to SQLite INTEGER"), REFUSE),
        ("\ud800", REFUSE),
        (sa.exc.TimeoutError("QueuePool limit"), RETRY),
        (KeyError("x"), OURS),
    ],
)
def test_before_anything_was_sent(fault: Exception | str, expected: Judgement) -> None:
    if isinstance(fault, str):
        with pytest.raises(UnicodeEncodeError) as caught:
            fault.encode()
        fault = caught.value
    assert judge(fault).judgement is expected


@pytest.mark.parametrize(
    ("provoke", "expected"),
    [
        (lambda c: c.execute("SELECT * FROM absent"), FATAL),
        (lambda c: c.execute("SELEKT"), OURS),
        (lambda c: c.execute("INSERT INTO t VALUES (?)", (1 << 70,)), REFUSE),
        (lambda c: c.execute("INSERT INTO t VALUES (NULL)"), REFUSE),
        (lambda c: c.execute("INSERT INTO t VALUES (zeroblob(2000000000))"), REFUSE),
        (lambda c: c.execute("PRAGMA query_only = 1") and c.execute("DELETE FROM t"), FATAL),
    ],
)
def test_sqlite(provoke: Callable[[sqlite3.Connection], object], expected: Judgement) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (n NOT NULL)")
    with pytest.raises((sqlite3.Error, OverflowError)) as caught:
        provoke(connection)
    assert judge(caught.value).judgement is expected


def test_what_becomes_of_each_judgement() -> None:
    assert type(translated(errors.ReadOnlySqlTransaction("words"))) is DatabaseUnavailable
    assert "primary" in translated(errors.ReadOnlySqlTransaction("words")).hint
    assert isinstance(translated(errors.InsufficientPrivilege("words")), DatabaseUnusable)
    assert isinstance(translated(errors.StringDataRightTruncation("words")), Invalid)
    assert isinstance(translated(errors.SyntaxError("words")), Internal)
    for code, fault in [*POSTGRESQL.items(), *SQLITE.items()]:
        if fault.judgement in {RETRY, FATAL}:
            assert fault.remedy.endswith((".", ";")), code


# ---------------------------------------------------------------------- URLs

ODD = st.text(st.sampled_from("aZ9 @:/?#%&=+'\"\\\n\t[]é\u202e"), min_size=6, max_size=20)


@given(ODD)
def test_a_password_with_any_character_reaches_the_driver_as_it_is(password: str) -> None:
    url = sa.URL.create("postgresql", "user", password, "127.0.0.1", 1, "name")
    text = url.render_as_string(hide_password=False)
    assert postgres_arguments(parse_url(text))["password"] == password


@given(ODD)
def test_no_error_repeats_a_password_that_was_not_encoded(password: str) -> None:
    try:
        database = open_database(f"postgresql://user:{password}@127.0.0.1:1/name?connect_timeout=1")
        arguments = postgres_arguments(database.engine.url)
        database.close()
    except InvalidSetting as exc:
        text = "".join(traceback.format_exception(exc)) + exc.hint
        assert not any(word in text for word in {password, *password.split("@")} if len(word) > 3)
    else:
        # It connects where it should, so no error can name a part of it as host or database.
        assert arguments.get("host") in {"127.0.0.1", None}, arguments
        assert arguments.get("dbname") in {"name", None}, arguments
