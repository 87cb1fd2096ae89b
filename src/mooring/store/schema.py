"""Every table, declared once for both engines (SQLAlchemy Core).

Times are integers: milliseconds since 1970 in UTC. Booleans are real booleans. JSON is kept
as text: it is written and read whole, and stays exactly as a device sent it.

What only one engine has says so in ``info["engine"]``; ``declared_for`` knows. On PostgreSQL
``messages`` is partitioned (``mooring.store.partitions``), which the migration 0002 does.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.schema import SchemaItem

__all__ = ["declared_for", "metadata"]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

SQLITE_ONLY = {"engine": "sqlite"}
POSTGRESQL_ONLY = {"engine": "postgresql"}


def declared_for(item: SchemaItem, engine: str) -> bool:
    """Whether a table or an index is part of the schema on this engine."""
    return bool(item.info.get("engine", engine) == engine)


# SQLite makes only INTEGER PRIMARY KEY the row's own number; PostgreSQL wants 64 bits.
BigId = BigInteger().with_variant(Integer(), "sqlite")

# ------------------------------------------------------------------ who there is

tenants = Table(
    "tenants",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
)

devices = Table(
    "devices",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("tenant", String(128), ForeignKey("tenants.name"), nullable=False),
    # The device's id in topics. Unique inside its tenant; where the dialect's topics name no
    # tenant, unique among all devices of the dialect (``scope`` carries which it is).
    Column("name", String(128), nullable=False),
    Column("scope", String(260), nullable=False),
    Column("label", String(200), nullable=False, server_default=""),
    Column("dialect", String(64), nullable=False),
    Column("mac", String(64)),  # as the firmware writes it
    Column("mac_key", String(12)),  # twelve hex digits, for comparison
    Column("username", String(300), nullable=False, unique=True),
    Column("client_id", String(300), nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("tenant", "name"),
    UniqueConstraint("scope", "name"),
    UniqueConstraint("mac_key", "dialect", "tenant"),
    # A device's number is never given to another one: old rows must not change owner.
    sqlite_autoincrement=True,
)

device_groups = Table(
    "device_groups",
    metadata,
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
    Column("group_name", String(128), primary_key=True),
)

credentials = Table(
    "credentials",
    metadata,
    # One row a device: what the broker is to accept now.
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
    Column("verifier", String(200)),  # $7$…; NULL: by certificate only
    Column("created_at", BigInteger, nullable=False),
    Column("proved_at", BigInteger),  # first login seen with this password
    # The password itself, encrypted with the instance key, until it has proved itself: a
    # device that lost the answer asks again and gets the same one.
    Column("sealed_secret", LargeBinary),
    Column("since_event", BigInteger, nullable=False, server_default="0"),  # newest log event then
    # A mark in the broker's log, made when the password was in force: who is connected at
    # that place in the log, or connects behind it, uses this password.
    Column("mark", String(32)),
    Column("mark_event", BigInteger),
)
Index(
    "ix_credentials_unproved",
    credentials.c.mark,
    sqlite_where=text("proved_at IS NULL"),
    postgresql_where=text("proved_at IS NULL"),
)

former_verifiers = Table(
    "former_verifiers",
    metadata,
    # Passwords that were given up, and those of removed devices: with one of them a device
    # can ask for fresh credentials, or learn that it was removed, until ``until``.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("device_id", BigId, nullable=False),  # which may be gone
    Column("username", String(300), nullable=False),
    Column("tenant", String(128), nullable=False),
    Column("verifier", String(200), nullable=False),
    Column("removed", Boolean, nullable=False, server_default=text("false")),
    Column("until", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
Index("ix_former_verifiers_username", former_verifiers.c.username)
Index("ix_former_verifiers_until", former_verifiers.c.until)

claim_codes = Table(
    "claim_codes",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    # HMAC-SHA256 under the instance key: forty random bits alone could be searched.
    Column("digest", String(64), nullable=False, unique=True),
    Column("tenant", String(128), ForeignKey("tenants.name"), nullable=False),
    Column("dialect", String(64), nullable=False),
    Column("label", String(200), nullable=False, server_default=""),
    Column("name", String(128)),  # the device's; NULL: made from the hardware id
    Column("groups", Text, nullable=False, server_default="[]"),  # JSON
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("claimed_at", BigInteger),
    Column("hardware_id", String(128)),  # who used it
    Column("device_id", BigId),  # which may be gone
    sqlite_autoincrement=True,
)

rotations = Table(
    "rotations",
    metadata,
    # A new password on its way to a device. One a device at a time.
    Column("id", String(32), primary_key=True),  # the command's id, too
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("origin", String(200), nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("keep_old", Boolean, nullable=False, server_default=text("true")),
    # Erased when it is settled or rolled back.
    Column("sealed_secret", LargeBinary),
    Column("old_verifier", String(200)),
    Column("new_verifier", String(200)),
    Column("old_created_at", BigInteger, nullable=False),
    Column("sends", Integer, nullable=False, server_default="0"),
    Column("first_sent_at", BigInteger),
    Column("last_sent_at", BigInteger),
    Column("sent_event", BigInteger),  # newest log event when it was first sent
    Column("flips", Integer, nullable=False, server_default="0"),  # changes of side
    Column("in_force_at", BigInteger),  # since when the broker holds the side it is on
    Column("finished_at", BigInteger),
    Column("outcome", Text, nullable=False, server_default=""),
)
Index(
    "uq_rotations_active",
    rotations.c.device_id,
    unique=True,
    sqlite_where=text("finished_at IS NULL"),
    postgresql_where=text("finished_at IS NULL"),
)
Index("ix_rotations_device_id_created_at", rotations.c.device_id, rotations.c.created_at)

throttles = Table(
    "throttles",
    metadata,
    # Failed attempts of strangers, one row an address and minute; shared by every ``serve``.
    Column("scope", String(16), primary_key=True),  # claim | recover
    Column("address", String(64), primary_key=True),
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("failed", Integer, nullable=False),
)

certificates = Table(
    "certificates",
    metadata,
    # Every certificate a device was given. Rows stay: the serial must never come again, and a
    # revocation list is made from them.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("serial", String(40), nullable=False, unique=True),  # lower-case hex, up to 160 bits
    Column("username", String(300), nullable=False),
    Column("device_id", BigId),  # whose it was when it was issued; which may be gone
    Column("fingerprint", String(64), nullable=False),  # SHA-256, hex
    Column("authority", String(64), nullable=False),  # the CA's fingerprint
    Column("key_type", String(32), nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("pem", Text, nullable=False),
    Column("own_key", Boolean, nullable=False),  # made on the device
    Column("revoked_at", BigInteger),
    Column("reason", String(32)),
    # Since when the broker has refused it and no session of its device is left from before.
    Column("enforced_at", BigInteger),
    sqlite_autoincrement=True,
)
Index("ix_certificates_username", certificates.c.username)
Index(
    "ix_certificates_unenforced",
    certificates.c.revoked_at,
    sqlite_where=text("revoked_at IS NOT NULL AND enforced_at IS NULL"),
    postgresql_where=text("revoked_at IS NOT NULL AND enforced_at IS NULL"),
)

sightings = Table(
    "sightings",
    metadata,
    # The newest CA a device has been seen to rely on.
    Column("username", String(300), primary_key=True),
    Column("authority", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    # What the broker still has to be told. Written in the transaction of the change itself.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("action", String(16), nullable=False),  # put | remove | kick | replace
    Column("username", String(300), nullable=False),
    Column("sealed_secret", LargeBinary),  # encrypted with the instance key; gone once applied
    Column("created_at", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    sqlite_autoincrement=True,
)
Index("ix_outbox_username", outbox.c.username)

broker_users = Table(
    "broker_users",
    metadata,
    # Logins of the broker that are no devices: bridges, dashboards, accounts taken over from
    # another broker. Their names are not those of devices.
    Column("username", String(300), primary_key=True),
    Column("verifier", String(200)),  # $7$…; NULL: nobody gets in until it has a password
    Column("publish", Text, nullable=False, server_default="[]"),  # JSON: topic filters
    Column("subscribe", Text, nullable=False, server_default="[]"),
    Column("note", String(200), nullable=False, server_default=""),
    Column("created_at", BigInteger, nullable=False),
)

broker_requests = Table(
    "broker_requests",
    metadata,
    # What only the process that runs the broker can do: asked for by others, done by it.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("action", String(16), nullable=False),  # compare | sync | reload | migrate
    Column("argument", Text, nullable=False, server_default="{}"),  # JSON
    Column("actor", String(200), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False, server_default="waiting"),
    Column("result", Text, nullable=False, server_default="{}"),  # JSON
    sqlite_autoincrement=True,
)

users = Table(
    "users",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("password_hash", String(300), nullable=False),  # Argon2id
    Column("role", String(16), nullable=False),  # admin | operator | viewer
    Column("tenant", String(128), ForeignKey("tenants.name")),  # NULL: every tenant
    Column("disabled", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("prefix", String(16), nullable=False, unique=True),
    Column("digest", String(64), nullable=False),  # SHA-256 of a 256-bit random secret
    Column("name", String(128), nullable=False),
    Column("role", String(16), nullable=False),
    Column("tenant", String(128), ForeignKey("tenants.name")),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
)

audit = Table(
    "audit",
    metadata,
    # Append-only: no statement in Mooring updates or deletes a row.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("origin", String(200), nullable=False, server_default=""),
    Column("action", String(64), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("tenant", String(128)),
    Column("reason", Text, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)

# ------------------------------------------------------------------ what they said

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
    # 63 bits over channel and payload; for a message with neither time nor sequence number it
    # is a number of its own, because two equal ones may both be meant.
    Column("fingerprint", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),
)
# Stored once: the same device, device time and payload is the same message.
Index("uq_messages_once", messages.c.device_id, messages.c.ts, messages.c.fingerprint, unique=True)
# The same for a device that counts but has no clock.
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
    Column("metadata", Text),  # JSON, the newest the device sent
    Column("metadata_at", BigInteger),
    Column("connected", Boolean),  # what the broker's log says
    Column("connected_at", BigInteger),
    Column("address", String(64)),
)

# ------------------------------------------------------------------ roll-ups

rollup_queue = Table(
    "rollup_queue",
    metadata,
    # One row a batch, written in the batch's own transaction: which rows it added that no
    # roll-up holds yet. Between first_id and last_id there must be no row of another batch: a
    # sink that runs beside others takes its numbers in blocks. A larger span may be written
    # for rows that were brought in by other ways (a copy, a load in bulk).
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
    Column("days", Integer, nullable=False),  # 0: for ever
)

retention_progress = Table(
    "retention_progress",
    metadata,
    # How far each term has been worked off, so that no row is looked at twice for it.
    Column("days", Integer, primary_key=True, autoincrement=False),
    Column("done_id", BigInteger, nullable=False),
)

sequences = Table(
    "sequences",
    metadata,
    # The gap ledger: which of a device's numbers are committed (mooring.ingest.sequences).
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
    Column("detail", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("tenant", String(128)),  # NULL: not known; only people who see every tenant see it
    Column("device_id", BigId),
    Column("size", BigInteger, nullable=False),  # bytes as sent
    Column("payload", LargeBinary, nullable=False),  # the first dead_letter_max_bytes
    sqlite_autoincrement=True,
)

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
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
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

ingest_attempts = Table(
    "ingest_attempts",
    metadata,
    # The mark of the newest batch committed for a client id, written in its transaction. When
    # the connection breaks during COMMIT, whoever tries the batch again learns from it whether
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
    Column("username", String(300)),
    Column("client_id", String(300)),
    Column("address", String(64)),
    Column("detail", Text, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)
Index("ix_broker_events_username_id", broker_events.c.username, broker_events.c.id)

leases = Table(
    "leases",
    metadata,
    # Work that one process at a time does; whoever holds the row may, until it ends.
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
