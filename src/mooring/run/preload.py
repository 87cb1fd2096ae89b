"""Imports what the processes of a platform need, before they are forked.

A module that is imported here is in memory once for all of them. So is what Python and SQLAlchemy
remember of code that has run. Nothing stays open: no thread, no event loop, no connection and no
random state may exist when a process is forked.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec

from mooring.dialects import builtin
from mooring.parts import PARTS
from mooring.store import migrate, versions
from mooring.store.engine import open_database
from mooring.store.leases import Lease
from mooring.store.schema import leases
from mooring.store.schema import versions as versions_table

__all__ = ["preload"]

MODULES = (
    "mooring.app",
    "mooring.cli.runtime",
    "mooring.cli.simulate",
    "mooring.run.ingest",
    "mooring.run.keeper",
    "mooring.run.serve",
    "mooring.run.up",
    "mooring.run.worker",
    "mooring.simulate.enrol",
    "mooring.simulate.fleet",
    "argon2",
    "cryptography.fernet",
    "encodings.idna",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.ext.compiler",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.h11_impl",
    "uvloop",
)
ON_POSTGRESQL = ("mooring.ingest.sink_postgres", "sqlalchemy.dialects.postgresql.psycopg")
OF_DOMAINS = ("projection", "worker")
ROUNDS = 10
"""Python looks at how code is used for some calls until it keeps the quicker form of it."""


def preload(*, postgresql: bool) -> None:
    """Imports all of it.

    Args:
        postgresql: whether the database is PostgreSQL, whose driver is imported then too.
    """
    for name in (*MODULES, *(ON_POSTGRESQL if postgresql else ())):
        importlib.import_module(name)
    importlib.import_module("mooring.app").prepare_services()
    builtin()  # every process reads its dialects, and these are the same in all of them
    for part in PARTS:
        part.routers()
        for name in (f"mooring.{part.name}.{file}" for file in OF_DOMAINS):
            if find_spec(f"mooring.{part.name}") and find_spec(name):
                importlib.import_module(name)
    _warm_up()


def _warm_up() -> None:
    """Does what every process does first, on a database in memory: 3 MB less in each of them."""
    database = open_database("sqlite://")
    try:
        with database.write(news=False) as connection:
            for table in (leases, versions_table):
                table.create(connection)
        lease = Lease(database, "warm-up", lease_ms=0)  # never fresh
        for _ in range(ROUNDS):
            migrate.revision(database)
            with database.read() as connection:
                versions.version(connection, "dialects")
            lease.held()
    finally:
        database.close()
