"""How much each tenant stores: counted with each change, never by reading what is stored."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from mooring.store.schema.base import BigId, metadata

__all__ = ["removed_devices", "tenant_dead_letters", "tenant_usage", "tenant_usage_days"]

# No foreign keys: nothing that is known of a tenant may keep a batch from committing.
tenant_usage = Table(
    "tenant_usage",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("messages", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),  # see ``mooring.store.usage``
    # What was deleted because of the tenant's limit.
    Column("displaced_messages", BigInteger, nullable=False, server_default="0"),
    Column("displaced_bytes", BigInteger, nullable=False, server_default="0"),
    Column("displaced_at", BigInteger),
)

tenant_usage_days = Table(
    "tenant_usage_days",
    metadata,
    # The same by the day of the messages' time: which history is the oldest.
    Column("tenant", String(128), primary_key=True),
    Column("day", Integer, primary_key=True),  # since 1970, UTC
    Column("messages", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("ix_tenant_usage_days_day", tenant_usage_days.c.day)

tenant_dead_letters = Table(
    "tenant_dead_letters",
    metadata,
    # Written by triggers on ``dead_letters``.
    Column("tenant", String(128), primary_key=True),
    Column("bytes", BigInteger, nullable=False),  # of payloads
    sqlite_with_rowid=False,
)

removed_devices = Table(
    "removed_devices",
    metadata,
    # Whose the messages are that a removed device has left.
    Column("device_id", BigId, primary_key=True, autoincrement=False),
    Column("tenant", String(128), nullable=False),
    Column("removed_at", BigInteger, nullable=False),
)
Index("ix_removed_devices_tenant", removed_devices.c.tenant)
