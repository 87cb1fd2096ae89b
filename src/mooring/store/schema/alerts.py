"""Alerts, rules, and where the evaluation of rules is."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from mooring.store.schema.base import BigId, Shown, ShownText, metadata

__all__ = ["alert_history", "alerts", "rule_queue", "rule_states", "rules"]

alerts = Table(
    "alerts",
    metadata,
    # States and what leads from one to another: mooring.alerts.states.
    Column("id", BigId, primary_key=True, autoincrement=True),
    # What it is about: rule or name, and device. One of a key is open at a time.
    Column("key", String(120), nullable=False),
    Column("tenant", String(128)),  # NULL: the platform's
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE")),
    Column("source", String(16), nullable=False),  # rule | device | platform
    Column("rule_id", BigInteger),  # which may be gone
    Column("name", Shown(200), nullable=False),
    Column("severity", SmallInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("message", ShownText, nullable=False, server_default=""),
    Column("value", Shown(100), nullable=False, server_default=""),
    Column("late", Boolean, nullable=False, server_default=text("false")),
    Column("count", BigInteger, nullable=False, server_default="1"),  # times it was raised
    Column("raised_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("acknowledged_at", BigInteger),
    Column("acknowledged_by", Shown(200), nullable=False, server_default=""),
    Column("cleared_at", BigInteger),
    Column("cleared_by", Shown(200), nullable=False, server_default=""),  # '': by its source
    Column("assignee", Shown(200), nullable=False, server_default=""),
    Column("snoozed_until", BigInteger),
    Column("entries", Integer, nullable=False, server_default="0"),  # rows of its history
    # The name of its device once that is removed; ``device_id`` is NULL then.
    Column("removed_device", Shown(128), nullable=False, server_default=""),
    # A number is never given to another alert: links to it must stay true.
    sqlite_autoincrement=True,
)
_OPEN = text("cleared_at IS NULL")
Index("uq_alerts_open", alerts.c.key, unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("ix_alerts_key", alerts.c.key, alerts.c.id)
Index("ix_alerts_device_id", alerts.c.device_id, alerts.c.id)
Index("ix_alerts_tenant", alerts.c.tenant, alerts.c.id)
Index(
    "ix_alerts_open_tenant",
    alerts.c.tenant,
    alerts.c.severity,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
Index("ix_alerts_open_device", alerts.c.device_id, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("ix_alerts_rule_id", alerts.c.rule_id)
Index("ix_alerts_cleared_at", alerts.c.cleared_at)

alert_history = Table(
    "alert_history",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("alert_id", BigId, ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("event", String(16), nullable=False),
    Column("actor", Shown(200), nullable=False, server_default=""),  # '': its source
    Column("severity", SmallInteger, nullable=False),
    Column("detail", ShownText, nullable=False, server_default=""),
    Column("late", Boolean, nullable=False, server_default=text("false")),
    sqlite_autoincrement=True,
)
Index("ix_alert_history_alert_id", alert_history.c.alert_id, alert_history.c.id)

rules = Table(
    "rules",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("tenant", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("definition", Text, nullable=False),  # JSON, checked: mooring.alerts.rules.parse
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("tenant", "name"),
    # States and alerts of a removed rule must not come to another one.
    sqlite_autoincrement=True,
)

rule_states = Table(
    "rule_states",
    metadata,
    # Where a rule is with a device, unless nothing it says is true of the device.
    Column("rule_id", BigId, ForeignKey("rules.id", ondelete="CASCADE"), primary_key=True),
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
    Column("record", Text, nullable=False),  # JSON: mooring.alerts.rules.evaluate.State
    # Its alert was cleared by a person: the next reading may raise another one.
    Column("rearmed", Boolean, nullable=False, server_default=text("false")),
)
Index("ix_rule_states_device_id", rule_states.c.device_id)
Index(
    "ix_rule_states_rearmed",
    rule_states.c.rule_id,
    sqlite_where=text("rearmed"),
    postgresql_where=text("rearmed"),
)

rule_queue = Table(
    "rule_queue",
    metadata,
    # Committed messages that no rule has seen: each batch adds a row while there are rules.
    Column("first_id", BigInteger, primary_key=True, autoincrement=False),
    Column("last_id", BigInteger, nullable=False),
    Column("first_ts", BigInteger, nullable=False),
    Column("last_ts", BigInteger, nullable=False),
)
