"""The platform's own figures, processes and work."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from mooring.store.schema.base import POSTGRESQL_ONLY, BigId, Shown, ShownText, metadata

__all__ = [
    "broker_events",
    "clocks",
    "counters",
    "ingest_attempts",
    "ingest_filters",
    "ingest_ledger",
    "leases",
    "processes",
    "traffic",
    "versions",
]

counters = Table(
    "counters",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

traffic = Table(
    "traffic",
    metadata,
    # What the counters of messages were: by the minute for two days, then by the hour.
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("received", BigInteger, nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
)

ingest_ledger = Table(
    "ingest_ledger",
    metadata,
    # Which packet ids the newest batches held: a packet the broker repeats because our
    # acknowledgement did not reach it is recognised by its id and content.
    Column("client_id", String(128), primary_key=True),
    Column("batch", BigInteger, primary_key=True, autoincrement=False),
    Column("packets", LargeBinary, nullable=False),
)

ingest_filters = Table(
    "ingest_filters",
    metadata,
    # What a session of ingest is subscribed to, numbered in the order in which it was: of
    # several subscriptions that bring a message, the lowest number counts.
    Column("client_id", String(128), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("filter", Text, nullable=False),
)

ingest_attempts = Table(
    "ingest_attempts",
    metadata,
    # The mark of the newest batch committed for a client id, written in its transaction. When
    # the connection breaks during COMMIT, a process that tries the batch again learns from it
    # whether
    # that commit was done. SQLite has no connection that could break.
    Column("client_id", String(128), primary_key=True),
    Column("token", BigInteger, nullable=False),
    info=POSTGRESQL_ONLY,
)

broker_events = Table(
    "broker_events",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("event", String(32), nullable=False),
    Column("username", Shown(300)),
    Column("client_id", Shown(300)),
    Column("address", Shown(64)),
    Column("detail", ShownText, nullable=False, server_default=""),
    Column("keepalive", Integer),  # of a connect, seconds; 0: none; NULL: not known
    sqlite_autoincrement=True,
)
Index("ix_broker_events_username_id", broker_events.c.username, broker_events.c.id)
REFUSED = text("broker_events.event = 'refused'")
"""Rejected logins, which are looked for by their time."""
Index(
    "ix_broker_events_refused_at",
    broker_events.c.at,
    sqlite_where=text("event = 'refused'"),
    postgresql_where=text("event = 'refused'"),
)

OVER_LIMIT = text("broker_events.event = 'limited'")
"""Devices that exceeded a limit, which are looked for every second."""
Index(
    "ix_broker_events_limited",
    broker_events.c.id,
    sqlite_where=text("event = 'limited'"),
    postgresql_where=text("event = 'limited'"),
)

leases = Table(
    "leases",
    metadata,
    # Work that one process at a time does; the process that holds the row may, until it ends.
    Column("name", String(64), primary_key=True),
    Column("holder", String(128), nullable=False),
    Column("until", BigInteger, nullable=False),
)

processes = Table(
    "processes",
    metadata,
    # What runs: each process says so every few seconds, so that `status` can tell.
    Column("name", String(128), primary_key=True),
    Column("role", String(32), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("host", String(255), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("beat_at", BigInteger, nullable=False),
    Column("detail", Text, nullable=False, server_default="{}"),  # JSON, figures of its own
)

versions = Table(
    "versions",
    metadata,
    # A number that grows when a kind of thing changes, so that caches know (devices, dialects).
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

clocks = Table(
    "clocks",
    metadata,
    # One row a boot: what its wall clock is compared with. See ``mooring.clock``.
    Column("boot", String(64), primary_key=True),
    Column("wall", BigInteger, nullable=False),
    Column("steady", BigInteger, nullable=False),  # milliseconds of the monotonic clock
    Column("trust", String(16), nullable=False),  # unset | settling | settled
    Column("floor", BigInteger, nullable=False),
    Column("off", BigInteger, nullable=False),  # milliseconds
    Column("since", BigInteger, nullable=False),  # of the monotonic clock
    Column("lag", BigInteger, nullable=False),  # milliseconds
    Column("lag_since", BigInteger, nullable=False),  # of the monotonic clock
)
