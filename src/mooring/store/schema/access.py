"""People, keys, other logins of the broker, and the pending changes of the broker."""

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
    UniqueConstraint,
    text,
)

from mooring.store.schema.base import BigId, Shown, ShownText, metadata

__all__ = [
    "api_keys",
    "audit",
    "broker_changes",
    "broker_requests",
    "broker_users",
    "leftovers",
    "saved_views",
    "sessions",
    "users",
]

broker_changes = Table(
    "broker_changes",
    metadata,
    # What the broker has not applied yet. Written in the transaction of the change itself.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("action", String(16), nullable=False),  # put | remove | kick | replace
    Column("username", String(300), nullable=False),
    Column("sealed_secret", LargeBinary),  # encrypted with the instance key; gone once applied
    Column("created_at", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("error", ShownText),
    sqlite_autoincrement=True,
)
Index("ix_broker_changes_username", broker_changes.c.username)

leftovers = Table(
    "leftovers",
    metadata,
    # What a removed login left on the broker: sessions with their queues, retained messages.
    # Until they are cleared no login of that name is accepted again.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("username", String(300), nullable=False),
    Column("client_id", String(300)),  # the one it had; NULL: it was not a device
    Column("scope", String(260)),
    Column("name", String(128)),
    Column("client_ids", Text, nullable=False),  # JSON: under which it was seen, too
    Column("filters", Text, nullable=False),  # JSON: topics of its own and of nobody else
    Column("created_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
# A device that is added asks for each of the three; with the broker away there may be many.
Index("ix_leftovers_username", leftovers.c.username)
Index("ix_leftovers_client_id", leftovers.c.client_id)
Index("ix_leftovers_name", leftovers.c.name, leftovers.c.scope)

broker_users = Table(
    "broker_users",
    metadata,
    # Logins of the broker that are not devices: bridges, dashboards, accounts taken over from
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
    Column("actor", Shown(200), nullable=False),
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
    # Who it is at a sign-in provider; NULL: somebody with a password here.
    Column("issuer", String(300)),
    Column("subject", String(255)),
)
Index("ux_users_issuer_subject", users.c.issuer, users.c.subject, unique=True)

sessions = Table(
    "sessions",
    metadata,
    # One login of a person. A token names its session and is valid while the row exists: a
    # logout deletes one row; a new password, disabling and removing delete all of the user's.
    # Bounded: the oldest of a user's are deleted, and every login deletes what has expired.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("token_id", String(32), nullable=False, unique=True),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("origin", Shown(64), nullable=False, server_default=""),
    # How often it was renewed, and when last: only the newest refresh token is valid.
    Column("renewals", BigInteger, nullable=False, server_default="0"),
    Column("renewed_at", BigInteger, nullable=False, server_default="0"),
)
Index("ix_sessions_user_id", sessions.c.user_id)
Index("ix_sessions_expires_at", sessions.c.expires_at)

saved_views = Table(
    "saved_views",
    metadata,
    # Lists of devices that a person has given a name; nobody else sees them.
    Column("id", BigId, primary_key=True),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("query", Text, nullable=False),  # of the address of the page Devices
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("user_id", "name"),
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
    # Words between spaces: what it may be used for. NULL: whatever its role allows.
    Column("scopes", String(100)),
)

audit = Table(
    "audit",
    metadata,
    # Append-only: nothing updates a row, and only the sweep deletes the oldest ones.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Shown(200), nullable=False),
    Column("origin", Shown(200), nullable=False, server_default=""),
    Column("action", String(64), nullable=False),
    Column("subject", Shown(300), nullable=False),
    Column("tenant", String(128)),
    Column("reason", ShownText, nullable=False, server_default=""),
    sqlite_autoincrement=True,
)
Index("ix_audit_tenant_id", audit.c.tenant, audit.c.id)
Index("ix_audit_action_id", audit.c.action, audit.c.id)
