"""The table of commands."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from mooring.store.schema.base import BigId, Shown, ShownText, metadata

__all__ = ["commands"]

commands = Table(
    "commands",
    metadata,
    # A command to a device. States and what leads from one to another: mooring.commands.rules.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("device_id", BigInteger, ForeignKey("devices.id", ondelete="CASCADE"), nullable=False),
    Column("tenant", String(128), nullable=False),
    Column("uid", String(128), nullable=False),  # what the device is sent, and answers with
    Column("channel", String(64), nullable=False),
    Column("name", String(128), nullable=False),
    Column("parameters", Text, nullable=False),  # JSON
    Column("actor", Shown(200), nullable=False),
    Column("reason", ShownText, nullable=False, server_default=""),
    Column("topic", Text, nullable=False),
    Column("qos", Integer, nullable=False),
    Column("delivery", String(16), nullable=False),  # at_most_once | at_least_once
    Column("replies", Boolean, nullable=False),
    Column("done_when", String(16), nullable=False, server_default=""),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("late", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("reply_timeout_ms", BigInteger, nullable=False),
    Column("sent_at", BigInteger),
    Column("delivered_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("due_at", BigInteger),  # the deadline of its state; NULL once it is over
    Column("downlink_id", BigInteger),  # which is deleted before the command
    # In which session of the device it was handed over; NULL: that is not known.
    Column("session", String(64)),
    Column("result", Text),  # JSON, what the device answered
    Column("evidence", Text, nullable=False),  # JSON: [[at, state, kind, detail], …]
    UniqueConstraint("device_id", "uid"),
    # A number is never given to another command: a late reply must not find a new one.
    sqlite_autoincrement=True,
)
# Three versions of each row are written, and each is entered into every index that holds it.
_OPEN, _OVER = text("finished_at IS NULL"), text("finished_at IS NOT NULL")
Index("ix_commands_due_at", commands.c.due_at, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index(
    "ix_commands_state_device_id",
    commands.c.state,
    commands.c.device_id,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
Index("ix_commands_device_id_id", commands.c.device_id, commands.c.id)
Index("ix_commands_tenant_id", commands.c.tenant, commands.c.id)
Index("ix_commands_open_tenant", commands.c.tenant, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index(
    "ix_commands_finished_at",
    commands.c.finished_at,
    sqlite_where=_OVER,
    postgresql_where=_OVER,
)
# Lists of commands that failed, which are few among those that are done.
_NOT_DONE = text("finished_at IS NOT NULL AND state <> 'done'")
Index(
    "ix_commands_not_done",
    commands.c.state,
    commands.c.id,
    sqlite_where=_NOT_DONE,
    postgresql_where=_NOT_DONE,
)
