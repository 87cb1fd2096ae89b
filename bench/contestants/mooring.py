"""Mooring's own ingest process, on both databases, as ``mooring up`` runs it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from bench.contestants.model import Contestant, Ground, Running, wait_for
from mooring.store.engine import Database, open_database
from mooring.store.schema import counters, messages, processes

__all__ = ["POSTGRESQL", "SQLITE", "WITH_KEEPER", "committed", "ended", "ready", "size_of"]

_COMMITTED = sa.select(counters.c.value).where(counters.c.name == "messages_stored")


def committed(database: Database) -> int:
    """Messages that are stored, by Mooring's own counter: part of each batch's transaction."""
    with database.read() as connection:
        return int(connection.execute(_COMMITTED).scalar() or 0)


def size_of(database: Database) -> int:
    """Bytes the whole database takes on disk, without free pages."""
    with database.read() as connection:

        def ask(statement: str) -> int:
            return int(connection.exec_driver_sql(statement).scalar_one())

        if database.is_sqlite:
            pages = ask("PRAGMA page_count") - ask("PRAGMA freelist_count")
            return pages * ask("PRAGMA page_size")
        return ask("SELECT pg_database_size(current_database())")


def _rows(database: Database) -> int:
    with database.read() as connection:
        return int(
            connection.execute(sa.select(sa.func.count()).select_from(messages)).scalar_one()
        )


def ready(database: Database, role: str, pid: int) -> bool:
    """Whether a process says that it does its work."""
    statement = sa.select(processes.c.detail).where(processes.c.role == role)
    with database.read() as connection:
        detail = connection.execute(statement.where(processes.c.pid == pid)).scalar()
    return detail is not None and json.loads(detail).get("connected", True) is True


def ended(process: subprocess.Popen[Any]) -> None:
    """Ends a process, gently first."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    if process.returncode is None:
        process.kill()
        process.wait()


@contextmanager
def _mooring(ground: Ground, *others: str) -> Iterator[Running]:
    arena = ground.arena
    database = open_database(arena.settings.effective_database_url)
    with contextlib.ExitStack() as stack:
        stack.callback(database.close)
        pids = {}
        for name in ("ingest", *others):
            process = arena.process(name)
            stack.callback(ended, process)
            pids[name] = process.pid

            def is_ready(role: str = name, pid: int = process.pid) -> bool:
                return ready(database, role, pid)

            def said(role: str = name) -> str:
                return arena.said(role)

            wait_for(is_ready, f"{name} to be ready", said)
        if ground.server is not None:
            pids["database"] = ground.server.pid
        yield Running(
            pids,
            lambda: committed(database),
            lambda: size_of(database),
            lambda: _rows(database),
        )


SQLITE = Contestant("sqlite", "Mooring, SQLite (synchronous=FULL)", 40_000, _mooring)
POSTGRESQL = Contestant(
    "postgres", "Mooring, PostgreSQL (COPY)", 40_000, _mooring, postgresql=True, is_mooring=True
)
WITH_KEEPER = Contestant(
    "sqlite+keeper",
    "Mooring, SQLite, roll-ups in parallel",
    30_000,
    lambda ground: _mooring(ground, "keeper"),
)
