"""What was decided about devices that are not known, and rules that decide."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, UniqueConstraint, text

from mooring.store.schema.base import BigId, Shown, ShownText, metadata

__all__ = ["discovery_decisions", "discovery_rules"]

discovery_decisions = Table(
    "discovery_decisions",
    metadata,
    # One for each unknown device (``strangers``) that a person accepted or refused.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("dialect", String(64), nullable=False),
    Column("tenant", String(128), nullable=False),
    Column("name", String(300), nullable=False),
    # The name as a claim finds it: the twelve digits of a MAC address, however it was written.
    Column("key", String(300), nullable=False),
    Column("state", String(16), nullable=False),  # accepted | refused
    Column("decided_at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),  # after this the device is pending again
    Column("actor", Shown(200), nullable=False),
    Column("reason", ShownText, nullable=False, server_default=""),
    Column("claim_id", BigInteger),  # the code it was accepted with
    UniqueConstraint("dialect", "tenant", "name"),
)
Index("ix_discovery_decisions_tenant", discovery_decisions.c.tenant, discovery_decisions.c.id)

discovery_rules = Table(
    "discovery_rules",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("tenant", String(128), nullable=False),
    Column("dialect", String(64), nullable=False),
    Column("pattern", String(128), nullable=False),
    Column("action", String(16), nullable=False),  # accept | refuse
    Column("digest", String(64), unique=True),  # of the fleet code of one that accepts
    Column("per_day", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Shown(200), nullable=False),
    Column("day", BigInteger, nullable=False, server_default=text("0")),  # UTC, of ``used_today``
    Column("used_today", Integer, nullable=False, server_default=text("0")),
    Column("used", BigInteger, nullable=False, server_default=text("0")),
    sqlite_autoincrement=True,
)
Index("ix_discovery_rules_tenant", discovery_rules.c.tenant, discovery_rules.c.id)
