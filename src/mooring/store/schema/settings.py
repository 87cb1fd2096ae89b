"""Settings of devices: documents of levels, and what each device is to have and reports."""

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
    text,
)

from mooring.store.schema.base import BigId, Shown, ShownText, metadata

__all__ = [
    "device_settings",
    "device_settings_history",
    "device_settings_levels",
    "device_settings_progress",
]

# Documents are sealed with the instance key: any of them may have fields that are secret.

device_settings_levels = Table(
    "device_settings_levels",
    metadata,
    # What one level adds to the settings of its devices (mooring.device_settings.model.Level).
    Column("id", BigId, primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("level", String(16), nullable=False),
    # Of a dialect, type or group; of a device its number; empty for the tenant.
    Column("name", String(128), nullable=False),
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), index=True),
    Column("document", Text, nullable=False),
    Column("version", BigInteger, nullable=False),  # of this level alone
    Column("schema", Text),  # JSON Schema without references
    Column("updated_at", BigInteger, nullable=False),
    Column("updated_by", Shown(200), nullable=False),
    Column("reason", ShownText, nullable=False, server_default=""),
    # The last device that has the newest version of this level; NULL: all of them have it.
    Column("applied_upto", BigInteger),
    # A guarded change that the device has not confirmed yet.
    Column("guard_until", BigInteger),
    Column("guard_from", BigInteger),
    Column("guard_version", BigInteger),
    Column("guard_session", BigInteger),  # when the session began in which the device got it
    Column("guard_document", Text),  # what this level goes back to
)
Index(
    "uq_device_settings_levels_name",
    device_settings_levels.c.tenant,
    device_settings_levels.c.level,
    device_settings_levels.c.name,
    unique=True,
)
Index("ix_device_settings_levels_applied_upto", device_settings_levels.c.applied_upto)
Index("ix_device_settings_levels_guard_until", device_settings_levels.c.guard_until)

device_settings = Table(
    "device_settings",
    metadata,
    # One row for each device that has had settings or has reported some
    # (mooring.device_settings.rules.Record).
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
    Column("version", BigInteger, nullable=False, server_default="0"),
    Column("state", String(16), nullable=False, server_default="none"),
    Column("document", Text),  # merged
    Column("changed_at", BigInteger),
    Column("sent_at", BigInteger),
    Column("refusals", Integer, nullable=False, server_default="0"),
    Column("words", ShownText, nullable=False, server_default=""),  # the device's
    Column("reported_version", BigInteger),
    Column("reported_seq", BigInteger),
    Column("reported_at", BigInteger),
    Column("reported", Text),
    Column("too_large", Integer, nullable=False, server_default="0"),
    # Where the newest version was handed over: a retained topic, or a downlink.
    Column("topic", String(1024)),
    Column("downlink_id", BigInteger),
    Column("placed_version", BigInteger, nullable=False, server_default="0"),
    # Whether a report asks something of the platform: to stop sending, or to send again.
    Column("due", Boolean, nullable=False, server_default=text("false")),
    # Why a newer merged document is not sent.
    Column("problem", ShownText, nullable=False, server_default=""),
)
Index("ix_device_settings_state", device_settings.c.state, device_settings.c.device_id)
Index("ix_device_settings_due", device_settings.c.due, device_settings.c.device_id)

device_settings_history = Table(
    "device_settings_history",
    metadata,
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Shown(200), nullable=False),
    Column("cause", Shown(200), nullable=False),  # what was changed
    Column("reason", ShownText, nullable=False),
    Column("document", Text, nullable=False),
)

device_settings_progress = Table(
    "device_settings_progress",
    metadata,
    # One row: how far the worker has followed changes of devices and dialects.
    Column("id", BigId, primary_key=True),
    Column("devices_version", BigInteger, nullable=False),
    Column("dialects_version", BigInteger, nullable=False),
    Column("sweep_after", BigInteger),  # the last device of a pass over all of them
)
