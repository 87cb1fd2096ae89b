"""Devices, what they log in with, and how they came by it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from mooring.store.schema.base import BigId, Ordered, Shown, ShownText, metadata

__all__ = [
    "certificates",
    "claim_codes",
    "credentials",
    "device_attributes",
    "device_changes",
    "device_groups",
    "device_limits",
    "devices",
    "former_verifiers",
    "groups",
    "limit_disconnects",
    "rotations",
    "sightings",
    "tenant_limits",
    "tenants",
]

tenants = Table(
    "tenants",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    # How many devices it has; counted with each one, so that the limit costs nothing to check.
    Column("devices", BigInteger, nullable=False, server_default="0"),
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

# A login with a client id ends the session that has it, so no two devices share one.
Index("ix_devices_client_id", devices.c.client_id, unique=True)

# The list of a tenant, in the order in which its devices were added.
Index("ix_devices_tenant", devices.c.tenant, devices.c.id)

# Most commands name a device by its name alone.
Index("ix_devices_name", devices.c.name)

device_changes = Table(
    "device_changes",
    metadata,
    # Each change of devices, by its version: which numbers it concerns (mooring.devices.changes).
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("first_id", BigInteger, nullable=False),
    Column("last_id", BigInteger, nullable=False),
)

groups = Table(
    "groups",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("tenant", String(128), ForeignKey("tenants.name"), nullable=False),
    Column("name", String(128), nullable=False),
    # Of a dynamic group (mooring.devices.attributes.language); NULL: it is static.
    Column("query", Text),
    Column("description", Shown(200), nullable=False, server_default=""),
    # Among the groups of a device: whose settings win.
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Shown(200), nullable=False),
    UniqueConstraint("tenant", "name"),
)

device_groups = Table(
    "device_groups",
    metadata,
    # Members of static groups. Written by mooring.devices.group_store alone.
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
    Column("group_name", String(128), primary_key=True),
    Column("tenant", String(128), nullable=False),  # the device's
    ForeignKeyConstraint(["tenant", "group_name"], ["groups.tenant", "groups.name"]),
)
Index(
    "ix_device_groups_group_name",
    device_groups.c.group_name,
    device_groups.c.tenant,
    device_groups.c.device_id,
)

device_attributes = Table(
    "device_attributes",
    metadata,
    # What is known of a device; one row a value, so a device with two tags has two rows "tags".
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Ordered(64), primary_key=True),
    # The value as it is compared and sorted (mooring.devices.attributes.keys).
    Column("key", Ordered(260), primary_key=True),
    Column("tenant", String(128), nullable=False),  # the device's
    Column("value", Text, nullable=False),  # JSON
    Column("source", String(16), nullable=False),
    Column("actor", Shown(200), nullable=False, server_default=""),
    Column("at", BigInteger, nullable=False),
)
Index(
    "ix_device_attributes_name",
    device_attributes.c.name,
    device_attributes.c.key,
    device_attributes.c.device_id,
)
Index(
    "ix_device_attributes_tenant",
    device_attributes.c.tenant,
    device_attributes.c.name,
    device_attributes.c.key,
    device_attributes.c.device_id,
)

# What one device may take of the broker, and all devices of a tenant together. NULL: as the
# settings say; 0: no limit. Most have no row.
device_limits = Table(
    "device_limits",
    metadata,
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
    Column("connections", BigInteger),
    Column("messages", BigInteger),  # a second
    Column("bytes", BigInteger),  # a second
)

tenant_limits = Table(
    "tenant_limits",
    metadata,
    Column("tenant", String(128), ForeignKey("tenants.name", ondelete="CASCADE"), primary_key=True),
    Column("connections", BigInteger),
    Column("messages", BigInteger),
    Column("bytes", BigInteger),
    # What the platform keeps of it, whatever the broker enforces.
    Column("stored_bytes", BigInteger),
    Column("dead_letter_bytes", BigInteger),
    # How long a device above a limit is disconnected; NULL: as the setting says, 0: not.
    Column("disconnect_seconds", BigInteger),
)

# Devices that are disconnected for a time because they sent more than a limit allows.
limit_disconnects = Table(
    "limit_disconnects",
    metadata,
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
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
    # Until when the password is accepted: one that a device got for a token; NULL: without an end.
    Column("expires_at", BigInteger),
)
Index("ix_credentials_expires_at", credentials.c.expires_at)
Index(
    "ix_credentials_unproved",
    credentials.c.mark,
    sqlite_where=text("proved_at IS NULL"),
    postgresql_where=text("proved_at IS NULL"),
)

device_keys = Table(
    "device_keys",
    metadata,
    # Public keys with which devices sign tokens.
    Column("id", BigId, primary_key=True),
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), nullable=False),
    Column("key", String(32), nullable=False),  # hex, of its SHA-256
    Column("algorithm", String(8), nullable=False),  # RS256 | ES256 | EdDSA
    Column("pem", Text, nullable=False),
    Column("label", Shown(200), nullable=False, server_default=""),
    Column("created_at", BigInteger, nullable=False),
    # Of the newest token that was exchanged for a password: an older one is not any more.
    Column("issued_at", BigInteger),
    UniqueConstraint("device_id", "key"),
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
Index("ix_former_verifiers_device_id", former_verifiers.c.device_id)

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
    Column("attributes", Text, nullable=False, server_default="{}"),  # JSON
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Shown(200), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("claimed_at", BigInteger),
    Column("hardware_id", String(128)),  # who used it
    Column("device_id", BigId),  # which may be gone
    sqlite_autoincrement=True,
)
Index("ix_claim_codes_tenant_expires_at", claim_codes.c.tenant, claim_codes.c.expires_at)

rotations = Table(
    "rotations",
    metadata,
    # A new password on its way to a device. One a device at a time.
    Column("id", String(32), primary_key=True),  # the command's id, too
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), nullable=False),
    Column("phase", String(16), nullable=False),
    Column("actor", Shown(200), nullable=False),
    Column("origin", Shown(200), nullable=False, server_default=""),
    Column("reason", ShownText, nullable=False, server_default=""),
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
    Column("outcome", ShownText, nullable=False, server_default=""),
    # The newest login with each password, where the broker accepts both and says which.
    Column("used_new_at", BigInteger),
    Column("used_old_at", BigInteger),
)
Index(
    "uq_rotations_active",
    rotations.c.device_id,
    unique=True,
    sqlite_where=text("finished_at IS NULL"),
    postgresql_where=text("finished_at IS NULL"),
)
Index("ix_rotations_device_id_created_at", rotations.c.device_id, rotations.c.created_at)
Index("ix_rotations_created_at", rotations.c.created_at)
Index("ix_rotations_finished_at", rotations.c.finished_at)

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
    # Since when the broker has rejected it and no session of its device is left from before.
    Column("enforced_at", BigInteger),
    sqlite_autoincrement=True,
)
Index("ix_certificates_username", certificates.c.username)
Index("ix_certificates_not_after", certificates.c.not_after)
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
