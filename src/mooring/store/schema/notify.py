"""Recipients of notifications, their outbox, and what was sent."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from mooring.store.schema.base import BigId, Shown, metadata

__all__ = ["notification_items", "notifications", "recipients"]

recipients = Table(
    "recipients",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("tenant", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("kind", String(16), nullable=False),  # mooring.notify.model.Kind
    Column("sealed_target", LargeBinary, nullable=False),  # with the instance key
    Column("sealed_secret", LargeBinary),  # that signs webhooks
    Column("target", Shown(300), nullable=False),  # without its secrets
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    # Set by an administrator of the whole installation alone.
    Column("private", Boolean, nullable=False, server_default=text("false")),
    Column("platform", Boolean, nullable=False, server_default=text("false")),
    Column("options", Text, nullable=False),  # JSON: mooring.notify.options
    Column("why_off", Shown(200), nullable=False, server_default=""),
    Column("failures", Integer, nullable=False, server_default="0"),  # in a row
    Column("last_error", Shown(300), nullable=False, server_default=""),
    Column("last_failed_at", BigInteger),
    Column("last_sent_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("tenant", "name"),
    sqlite_autoincrement=True,
)
_PLATFORM = text("platform")
Index(
    "ix_recipients_platform",
    recipients.c.id,
    sqlite_where=_PLATFORM,
    postgresql_where=_PLATFORM,
)

notification_items = Table(
    "notification_items",
    metadata,
    # The outbox: what a recipient knows of an alert, or is to be sent. Written in the
    # transaction that changes the alert; states: mooring.notify.grouping.
    Column(
        "recipient_id",
        BigId,
        ForeignKey("recipients.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column(
        "alert_id",
        BigId,
        ForeignKey("alerts.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("group_key", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("severity", SmallInteger, nullable=False),  # of the alert
    Column("told_severity", SmallInteger),  # when the recipient was notified last
    Column("told_at", BigInteger),
    Column("since", BigInteger, nullable=False),
    Column("due_at", BigInteger),  # when its group is looked at; NULL: nothing is due by time
)
_DUE = text("due_at IS NOT NULL")
Index(
    "ix_notification_items_due_at",
    notification_items.c.due_at,
    sqlite_where=_DUE,
    postgresql_where=_DUE,
)
Index(
    "ix_notification_items_group",
    notification_items.c.recipient_id,
    notification_items.c.group_key,
)
Index("ix_notification_items_alert_id", notification_items.c.alert_id)

notifications = Table(
    "notifications",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("recipient_id", BigId, ForeignKey("recipients.id", ondelete="CASCADE"), nullable=False),
    Column("message_id", String(40), nullable=False),  # the same in every attempt
    Column("state", String(16), nullable=False),  # mooring.notify.model.State
    Column("routine", Boolean, nullable=False, server_default=text("false")),
    Column("title", Shown(200), nullable=False),
    Column("body", Text, nullable=False),  # JSON; empty when it is over
    Column("alerts", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("next_at", BigInteger),  # NULL: it is over
    Column("finished_at", BigInteger),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("unanswered", Integer, nullable=False, server_default="0"),
    Column("last_error", Shown(300), nullable=False, server_default=""),
    sqlite_autoincrement=True,
)
Index("ix_notifications_recipient_id", notifications.c.recipient_id, notifications.c.id)
_WAITING = text("next_at IS NOT NULL")
Index(
    "ix_notifications_waiting",
    notifications.c.next_at,
    notifications.c.recipient_id,
    sqlite_where=_WAITING,
    postgresql_where=_WAITING,
)
