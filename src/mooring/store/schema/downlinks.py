"""What goes to devices: messages until they are over, and documents that stay on the broker."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from mooring.store.schema.base import BigId, Shown, ShownText, metadata

__all__ = ["desired", "downlinks"]

downlinks = Table(
    "downlinks",
    metadata,
    # A message to a device, written in the transaction that wants it. States and what leads from
    # one to another: ``mooring.downlink.rules``.
    Column("id", BigId, primary_key=True, autoincrement=True),
    # NULL: a topic that several devices share.
    Column("device_id", BigInteger, ForeignKey("devices.id", ondelete="CASCADE")),
    Column("tenant", String(128), nullable=False),  # '': of several tenants; whose turn it is
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary),  # NULL once it is over
    Column("sealed", Boolean, nullable=False, server_default=text("false")),
    Column("qos", Integer, nullable=False),
    Column("retain", Boolean, nullable=False, server_default=text("false")),
    Column("until", String(16), nullable=False),  # once | taken | confirmed
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("losses", Integer, nullable=False, server_default="0"),  # attempts without an answer
    Column("created_at", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),  # not sent before
    Column("expires_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger),  # the last attempt
    Column("answered_at", BigInteger),  # when the broker last took it
    Column("finished_at", BigInteger),
    Column("origin", String(32), nullable=False),  # the part that wrote it
    Column("dedupe", String(128)),
    # Device and ``dedupe`` while it is open: no two open ones have the same.
    Column("open_key", String(160), unique=True),
    Column("reason", ShownText, nullable=False, server_default=""),
    Column("error", ShownText),  # why it is not sent yet, or was not
    sqlite_autoincrement=True,
)
# Each attempt writes its row three times, and each version of it is entered into every index that
# holds it. So what is asked of open rows alone has no entries of those that are over.
_OPEN = text("finished_at IS NULL")
Index(
    "ix_downlinks_due",
    downlinks.c.state,
    downlinks.c.tenant,
    downlinks.c.next_at,
    downlinks.c.id,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
Index(
    "ix_downlinks_next_at",
    downlinks.c.state,
    downlinks.c.next_at,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
Index(
    "ix_downlinks_expires_at",
    downlinks.c.expires_at,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
_OVER = text("finished_at IS NOT NULL")
Index(
    "ix_downlinks_finished_at",
    downlinks.c.finished_at,
    sqlite_where=_OVER,
    postgresql_where=_OVER,
)
Index("ix_downlinks_device_id", downlinks.c.device_id, downlinks.c.finished_at, downlinks.c.id)

desired = Table(
    "desired",
    metadata,
    # Retained documents that the broker is to have. A row without a payload is to be cleared
    # there, and is deleted when that is done.
    Column("topic", String(1024), primary_key=True),
    # No foreign key: the document of a removed device is still to be cleared.
    Column("device_id", BigInteger),
    Column("tenant", String(128), nullable=False),
    Column("payload", LargeBinary),
    Column("sealed", Boolean, nullable=False, server_default=text("false")),
    Column("version", BigInteger, nullable=False),
    Column("qos", Integer, nullable=False, server_default="1"),
    Column("origin", Shown(32), nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("pending", Boolean, nullable=False),  # the broker has not confirmed this version
    Column("error", ShownText),
)
Index("ix_desired_pending", desired.c.pending, desired.c.topic)
Index("ix_desired_device_id", desired.c.device_id)
