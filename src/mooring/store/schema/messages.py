"""What devices sent, and what follows from it."""

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

from mooring.store.schema.base import (
    POSTGRESQL_ONLY,
    SQLITE_ONLY,
    BigId,
    Ordered,
    Shown,
    ShownText,
    metadata,
)

__all__ = [
    "channels",
    "dead_letters",
    "device_state",
    "firmware_changes",
    "latest",
    "message_numbers",
    "messages",
    "presence",
    "presence_changes",
    "presence_marks",
    "sequences",
    "strangers",
]

channels = Table(
    "channels",
    metadata,
    # A small number for each channel of each dialect, so that a message row stays small.
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("dialect", String(64), nullable=False),
    Column("name", String(128), nullable=False),
    Column("kind", String(32), nullable=False),
    UniqueConstraint("dialect", "name"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("device_id", BigId, nullable=False),
    Column("channel_id", Integer, nullable=False),
    Column("ts", BigInteger, nullable=False),  # device time, or receive time where it has none
    Column("received_at", BigInteger, nullable=False),
    Column("seq", BigInteger),
    Column("time_source", SmallInteger, nullable=False),  # 0 device, 1 none given, 2 implausible
    # 63 bits over channel, free words of the topic and payload; for a message without a sequence
    # number it is a number of its own, because two equal ones may both be meant.
    Column("fingerprint", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),
)
# Stored once: the same device, device time, number and payload is the same message.
Index("uq_messages_once", messages.c.device_id, messages.c.ts, messages.c.fingerprint, unique=True)
# The same for a device that counts but has no clock, for a day (``ingest.sink``).
Index(
    "uq_messages_seq",
    messages.c.device_id,
    messages.c.seq,
    messages.c.fingerprint,
    unique=True,
    sqlite_where=text("time_source <> 0 AND seq IS NOT NULL"),
    info=SQLITE_ONLY,
)
# SQLite reads by id anyway. BRIN: a few bytes a megabyte, and rows lie in the order of their id.
Index(
    "ix_messages_id",
    messages.c.id,
    postgresql_using="brin",
    postgresql_with={"pages_per_range": 32},
    info=POSTGRESQL_ONLY,
)
# There a unique index must contain the time, by which ``messages`` is partitioned; a repeated
# message of a device without a clock has another one. So the numbers have a table of their own.

message_numbers = Table(
    "message_numbers",
    metadata,
    Column("device_id", BigId, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("fingerprint", BigInteger, primary_key=True, autoincrement=False),
    Column("ts", BigInteger, nullable=False),  # that of the message
    info=POSTGRESQL_ONLY,
)
# BRIN: a few bytes a megabyte, and the rows lie in the order of their time anyway.
Index("ix_message_numbers_ts", message_numbers.c.ts, postgresql_using="brin", info=POSTGRESQL_ONLY)

latest = Table(
    "latest",
    metadata,
    Column("device_id", BigId, primary_key=True, autoincrement=False),
    Column("channel_id", Integer, primary_key=True, autoincrement=False),
    Column("ts", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("time_source", SmallInteger, nullable=False),
    Column("payload", Text, nullable=False),
    sqlite_with_rowid=False,
)

device_state = Table(
    "device_state",
    metadata,
    Column("device_id", BigId, primary_key=True, autoincrement=False),
    Column("last_seen_at", BigInteger),
    Column("online", Boolean),  # NULL: never said
    Column("online_at", BigInteger),  # since when that is so
    Column("firmware", String(128)),
    # By which versions compare (mooring.store.version_key).
    Column("firmware_key", Ordered(512)),
    Column("metadata", Text),  # JSON, the newest the device sent
    Column("metadata_at", BigInteger),
    # The device's own time of the message that said it; NULL where it had none. A message that
    # the device made earlier and that arrives later changes nothing.
    Column("online_ts", BigInteger),
    Column("firmware_ts", BigInteger),
    Column("metadata_ts", BigInteger),
    Column("connected", Boolean),  # what the broker's log says
    Column("connected_at", BigInteger),
    Column("address", Shown(64)),
    Column("announced_at", BigInteger),  # when it last said that it is about to be away
)
# What changes rarely, and is looked for: who reported something of its presence since a time.
Index("ix_device_state_online_at", device_state.c.online_at)
Index("ix_device_state_announced_at", device_state.c.announced_at)

presence = Table(
    "presence",
    metadata,
    # Whether each device is there, from all evidence (mooring.presence.states).
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("record", Text, nullable=False),  # JSON: mooring.presence.states.machine.Record
    Column("interval_ms", BigInteger),  # how often it sends; NULL: not known
    Column("interval_at", BigInteger, nullable=False, server_default="0"),
)
Index("ix_presence_state", presence.c.state, presence.c.device_id)

presence_changes = Table(
    "presence_changes",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Shown(100), nullable=False, server_default=""),
    sqlite_autoincrement=True,
)
Index("ix_presence_changes_device_id", presence_changes.c.device_id, presence_changes.c.id)

firmware_changes = Table(
    "firmware_changes",
    metadata,
    # Versions of firmware that a device has reported, one after another.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("version", String(128), nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_firmware_changes_device_id", firmware_changes.c.device_id, firmware_changes.c.at)

presence_marks = Table(
    "presence_marks",
    metadata,
    # Up to where the evidence of each kind was looked at.
    Column("name", String(16), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

sequences = Table(
    "sequences",
    metadata,
    # The gap ledger: which of a device's numbers are committed (mooring.sequences.numbers).
    Column("device_id", BigId, primary_key=True, autoincrement=False),
    Column("upto", BigInteger, nullable=False),
    Column("above", Text, nullable=False, server_default="[]"),  # JSON: [[first, last], …]
    Column("lost", BigInteger, nullable=False, server_default="0"),
    Column("gap_since", BigInteger),  # since when something is missing; NULL: nothing is
    Column("asked_at", BigInteger),  # when the device was last asked for it
)
Index("ix_sequences_gap_since", sequences.c.gap_since)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("received_at", BigInteger, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("detail", ShownText, nullable=False),
    Column("topic", Text, nullable=False),
    Column("tenant", String(128)),  # NULL: not known; only people who see every tenant see it
    Column("device_id", BigId),
    Column("size", BigInteger, nullable=False),  # bytes as sent
    Column("payload", LargeBinary, nullable=False),  # the first dead_letter_max_bytes
    sqlite_autoincrement=True,
)
# With the size: what each device's dead letters take is read from the index alone.
Index(
    "ix_dead_letters_device_id",
    dead_letters.c.device_id,
    dead_letters.c.id,
    dead_letters.c.size,
)
Index("ix_dead_letters_tenant_id", dead_letters.c.tenant, dead_letters.c.id)
Index("ix_dead_letters_reason_id", dead_letters.c.reason, dead_letters.c.id)

strangers = Table(
    "strangers",
    metadata,
    # Devices that speak but are not known; their messages are dead letters until they are.
    Column("dialect", String(64), primary_key=True),
    Column("tenant", String(128), primary_key=True),
    Column("name", String(300), primary_key=True),
    Column("first_seen_at", BigInteger, nullable=False),
    Column("last_seen_at", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("last_topic", Text, nullable=False),
    # When it last asked to be registered, with what payload (none: too long to keep), and when
    # it was last answered (mooring.discovery).
    Column("registered_at", BigInteger),
    Column("registration", LargeBinary),
    Column("answered_at", BigInteger),
)
Index("ix_strangers_tenant", strangers.c.tenant, strangers.c.last_seen_at)
Index("ix_strangers_registered_at", strangers.c.registered_at)
