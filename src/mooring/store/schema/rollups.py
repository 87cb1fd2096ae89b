"""Roll-ups over readings, and how long things are kept."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    text,
)

from mooring.store.schema.base import metadata

__all__ = [
    "device_metrics",
    "metrics",
    "metrics_refused",
    "retention",
    "retention_progress",
    "rollup_open",
    "rollup_queue",
    "rollup_state",
    "rollups",
]

rollup_queue = Table(
    "rollup_queue",
    metadata,
    # One row a batch, written in the batch's own transaction: which rows it added that no
    # roll-up holds yet. Between first_id and last_id there must be no row of another batch: a
    # sink that runs in parallel with others takes its numbers in blocks. A larger span may be
    # written for rows that were brought in by other ways (a copy, a load in bulk).
    Column("first_id", BigInteger, primary_key=True, autoincrement=False),
    Column("last_id", BigInteger, nullable=False),
    Column("first_ts", BigInteger, nullable=False),  # the device times lie between these
    Column("last_ts", BigInteger, nullable=False),
    Column("claimed", Boolean, nullable=False, server_default=text("false")),  # by the round
)

rollups = Table(
    "rollups",
    metadata,
    # Every metric of one channel of a device in one minute (level 0), hour (1) or day (2).
    Column("device_id", BigInteger, primary_key=True, autoincrement=False),
    Column("channel_id", Integer, primary_key=True, autoincrement=False),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("bucket", BigInteger, primary_key=True, autoincrement=False),  # minutes since 1970
    Column("data", LargeBinary, nullable=False),  # see mooring.rollups.packing
    sqlite_with_rowid=False,
)

rollup_open = Table(
    "rollup_open",
    metadata,
    # Hours and days that have no row yet: they are the sum of the level below.
    Column("device_id", BigInteger, primary_key=True, autoincrement=False),
    Column("channel_id", Integer, primary_key=True, autoincrement=False),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("bucket", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

rollup_state = Table(
    "rollup_state",
    metadata,
    # One row. A round merges minutes in the order of (device, channel, minute); ``done_*`` is
    # the last one that is in. ``revision`` grows with every transaction of the roller, so that
    # a second one that does not know of the first cannot count anything twice.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("done_device", BigInteger, nullable=False),
    Column("done_channel", Integer, nullable=False),
    Column("done_minute", BigInteger, nullable=False),
)

metrics = Table(
    "metrics",
    metadata,
    # A small number for each metric's name, so that a roll-up stays small.
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(256), nullable=False, unique=True),
)

device_metrics = Table(
    "device_metrics",
    metadata,
    # Which metrics a device has; at most ``metrics_max_per_device``.
    Column("device_id", BigInteger, primary_key=True, autoincrement=False),
    Column("metric_id", Integer, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
Index("ix_device_metrics_metric_id", device_metrics.c.metric_id)

metrics_refused = Table(
    "metrics_refused",
    metadata,
    # Devices that went over that limit: how many values are in no roll-up, and for instance
    # of which metric.
    Column("device_id", BigInteger, primary_key=True, autoincrement=False),
    Column("refused", BigInteger, nullable=False),
    Column("example", String(256), nullable=False),
    Column("at", BigInteger, nullable=False),
)

retention = Table(
    "retention",
    metadata,
    # How long messages and roll-ups are kept, where it is not what the settings say.
    Column("tenant", String(128), primary_key=True),  # '': every tenant
    Column("kind", String(32), primary_key=True),  # '': every kind of message
    Column("days", Integer, nullable=False),  # 0: indefinitely
)

retention_progress = Table(
    "retention_progress",
    metadata,
    # How far each term has been worked off, so that no row is looked at twice for it.
    Column("days", Integer, primary_key=True, autoincrement=False),
    Column("done_id", BigInteger, nullable=False),
)
