"""Releases of firmware, their files and signatures, and the keys that devices trust."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from mooring.store.schema.base import BigId, Ordered, Shown, ShownText, metadata

__all__ = [
    "firmware_artifacts",
    "firmware_keys",
    "firmware_links",
    "firmware_releases",
    "firmware_signatures",
]

firmware_releases = Table(
    "firmware_releases",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("tenant", String(128), ForeignKey("tenants.name"), nullable=False),
    Column("product", String(128), nullable=False),
    Column("kind", String(16), nullable=False),  # firmware | filesystem | other
    Column("version", String(64), nullable=False),
    Column("version_key", Ordered(512), nullable=False),
    Column("hardware", Text, nullable=False),  # JSON list
    Column("requires", Text, nullable=False),  # JSON list of versions
    Column("security_version", BigInteger, nullable=False),
    Column("notes", ShownText, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Shown(200), nullable=False),
    Column("published_at", BigInteger),
    Column("ended_at", BigInteger),  # deprecated or withdrawn
    Column("reason", ShownText, nullable=False, server_default=""),
    # A version that was withdrawn is not used again: devices may run it.
    UniqueConstraint("tenant", "product", "kind", "version_key"),
    sqlite_autoincrement=True,
)

firmware_artifacts = Table(
    "firmware_artifacts",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("release_id", ForeignKey("firmware_releases.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes
    Column("sha256", String(64), nullable=False),
    Column("sha1", String(40), nullable=False),
    Column("md5", String(32), nullable=False),
    Column("from_sha256", String(64), nullable=False, server_default=""),
    Column("image", Shown(300), nullable=False, server_default=""),
    UniqueConstraint("release_id", "name"),
    sqlite_autoincrement=True,
)
Index("ix_firmware_artifacts_sha256", firmware_artifacts.c.sha256)

firmware_signatures = Table(
    "firmware_signatures",
    metadata,
    Column(
        "artifact_id",
        ForeignKey("firmware_artifacts.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("key", String(16), primary_key=True),
    Column("algorithm", String(32), nullable=False),
    Column("value", String(256), nullable=False),
)

firmware_keys = Table(
    "firmware_keys",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("tenant", String(128), ForeignKey("tenants.name"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("key", String(16), nullable=False),
    Column("algorithm", String(32), nullable=False),
    Column("pem", Text, nullable=False),
    Column("state", String(16), nullable=False),  # trusted | retired | revoked
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Shown(200), nullable=False),
    Column("ended_at", BigInteger),
    UniqueConstraint("tenant", "name"),
    UniqueConstraint("tenant", "key"),
    sqlite_autoincrement=True,
)

firmware_links = Table(
    "firmware_links",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    # The SHA-256 of the link's 22 characters.
    Column("verifier", String(64), nullable=False, unique=True),
    Column("update_id", BigInteger, nullable=False),
    Column("device_id", ForeignKey("devices.id", ondelete="CASCADE"), nullable=False),
    Column("artifact_id", ForeignKey("firmware_artifacts.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    # When its device asked with it after it had expired.
    Column("asked_at", BigInteger),
    # When another device used it last, and which one.
    Column("misused_at", BigInteger),
    Column("misused_by", BigInteger),
)
Index("ix_firmware_links_update_id", firmware_links.c.update_id)
Index("ix_firmware_links_device_id", firmware_links.c.device_id)
Index("ix_firmware_links_artifact_id", firmware_links.c.artifact_id)
Index("ix_firmware_links_expires_at", firmware_links.c.expires_at)
Index("ix_firmware_links_misused_at", firmware_links.c.misused_at)
