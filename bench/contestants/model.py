"""What the benchmark asks of who takes messages from a broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg

from bench.arena import SUBSCRIPTION, Arena
from tests.support.postgres import Postgres

__all__ = ["Contestant", "Ground", "NotHere", "Running", "until_subscribed", "wait_for"]

START_SECONDS = 60.0
T = TypeVar("T")


class NotHere(Exception):
    """It cannot be measured on this machine; the text says why."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a run is given.

    Attributes:
        arena: the installation with its broker.
        count: messages that will come; ``mosquitto_sub`` ends after so many.
        server: a PostgreSQL, where the contestant wants one.
        database_url: an empty database on it.
        filled: rows are there already, too many to be counted one by one.
    """

    arena: Arena
    count: int
    server: Postgres | None = None
    database_url: str = ""
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """A contestant that is subscribed and takes what comes.

    Attributes:
        pids: what it consists of: ``ingest``, and what else there is.
        stored: how many messages are committed; cheap, asked fifty times a second.
        size: bytes on disk, all indexes; ``None`` where nothing is kept.
        check: counts what is stored, row by row; ``None`` where nothing is.
    """

    pids: Mapping[str, int]
    stored: Callable[[], int]
    size: Callable[[], int | None] = lambda: None
    check: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to take messages.

    Attributes:
        name: as in ``--only``.
        title: in tables.
        usual: messages a second it takes about: a run of N seconds sends N times as many.
        open: starts it; ends it with the block.
        postgresql: whether it wants a database there.
        is_mooring: whether the installation itself lies in that database.
        prepare: installs what it needs, once.
    """

    name: str
    title: str
    usual: int
    open: Callable[[Ground], AbstractContextManager[Running]]
    postgresql: bool = False
    is_mooring: bool = False
    prepare: Callable[[], None] = field(default=lambda: None)


def wait_for(condition: Callable[[], T], what: str, said: Callable[[], str]) -> T:
    """Waits until it is true.

    Raises:
        AssertionError: it took too long; the text holds what the program has said.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {START_SECONDS:g} s for {what}: {said()}")
        time.sleep(0.05)


def until_subscribed(arena: Arena, client_id: str, said: Callable[[], str]) -> None:
    """Waits until the broker's log says that the client has its subscription."""
    log = arena.settings.logs_dir / "mosquitto.log"
    line = f"{client_id} 1 {SUBSCRIPTION}"
    wait_for(lambda: line in log.read_text(errors="replace"), f"{client_id} to subscribe", said)


_TABLE = """
CREATE TABLE telemetry (
    id bigserial PRIMARY KEY,
    device text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    payload jsonb NOT NULL
);
CREATE INDEX telemetry_device ON telemetry (device, received_at);
"""
_LAST = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM telemetry_id_seq"


@contextmanager
def plain_table(url: str) -> Iterator[psycopg.Connection]:
    """A table as a backend would have it, and a connection to look at it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLE)
        yield connection


def plain_running(pid: int, connection: psycopg.Connection, server: Postgres) -> Running:
    """A program that fills that table."""

    def ask(statement: str) -> int:
        row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return int(row[0])

    return Running(
        {"ingest": pid, "database": server.pid},
        lambda: ask(_LAST),
        lambda: ask("SELECT pg_total_relation_size('telemetry')"),
        lambda: ask("SELECT count(*) FROM telemetry"),
    )
