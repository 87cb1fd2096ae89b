"""Releases of firmware, their files and signatures, the keys that devices trust, and updates."""

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
    UniqueConstraint,
    text,
)

from mooring.store.schema.base import BigId, Ordered, Shown, ShownText, metadata

__all__ = [
    "ddi_controllers",
    "firmware_artifacts",
    "firmware_keys",
    "firmware_links",
    "firmware_releases",
    "firmware_signatures",
    "firmware_updates",
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

firmware_updates = Table(
    "firmware_updates",
    metadata,
    # One update of one device. States and what leads from one to another:
    # mooring.ota.updates.table; what each column means: mooring.ota.updates.model.Update.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("tenant", String(128), nullable=False),
    # No foreign key: the update of a removed device ends as "gone", and is kept with the others.
    Column("device_id", BigInteger, nullable=False),
    Column("device", String(128), nullable=False),
    Column("release_id", ForeignKey("firmware_releases.id"), nullable=False),
    Column("artifact_id", ForeignKey("firmware_artifacts.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("version", String(64), nullable=False),
    Column("from_version", Shown(128), nullable=False, server_default=""),
    Column("size", BigInteger, nullable=False),
    Column("job_id", BigInteger),
    Column("actor", Shown(200), nullable=False, server_default=""),
    Column("reason", ShownText, nullable=False, server_default=""),
    Column("state", String(16), nullable=False),
    Column("state_at", BigInteger, nullable=False),
    # The deadline of its state, or until when a confirmed one is watched. NULL: nothing that the
    # device does or says changes it any more.
    Column("due_at", BigInteger),
    Column("offers", Integer, nullable=False, server_default="0"),
    Column("offer_at", BigInteger, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("installs", Integer, nullable=False, server_default="0"),
    Column("percent", Integer),
    Column("served", BigInteger, nullable=False, server_default="0"),  # bytes
    Column("session_at", BigInteger),
    Column("linked", Boolean),
    Column("linked_at", BigInteger),
    Column("seen", String(8), nullable=False, server_default=""),  # new | old
    Column("seen_since", BigInteger),
    Column("seen_ts", BigInteger),
    Column("reported_ts", BigInteger),
    Column("progress_at", BigInteger),
    Column("download_at", BigInteger),
    Column("install_at", BigInteger),
    Column("until", BigInteger),
    Column("asked_at", BigInteger),
    Column("renewed_at", BigInteger),
    Column("interval_ms", BigInteger),
    Column("provable", Boolean, nullable=False, server_default=text("true")),
    Column("reports", Boolean, nullable=False, server_default=text("true")),
    Column("way", String(8), nullable=False, server_default="mqtt"),  # mqtt | ddi
    Column("install_in", Text, nullable=False, server_default=""),  # mooring.ota.rollouts.windows
    Column("downlink_id", BigInteger),
    Column("code", String(16), nullable=False, server_default=""),
    Column("words", Shown(4096), nullable=False, server_default=""),
    Column("log", Shown(65_536), nullable=False, server_default=""),
    Column("history", Text, nullable=False),  # JSON: [[at, state, event, words], …]
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    # A number is never given to another update: a late report must not find a new one.
    sqlite_autoincrement=True,
)
_UPDATE_OPEN = text("finished_at IS NULL")
_WATCHED = text("due_at IS NOT NULL")
Index(  # one update of a device and kind at a time
    "uq_firmware_updates_open",
    firmware_updates.c.device_id,
    firmware_updates.c.kind,
    unique=True,
    sqlite_where=_UPDATE_OPEN,
    postgresql_where=_UPDATE_OPEN,
)
Index(
    "ix_firmware_updates_watched",
    firmware_updates.c.device_id,
    sqlite_where=_WATCHED,
    postgresql_where=_WATCHED,
)
Index(  # what a rollout waits for: without a look at the rows
    "ix_firmware_updates_open_of_job",
    firmware_updates.c.job_id,
    firmware_updates.c.state,
    firmware_updates.c.linked,
    sqlite_where=_UPDATE_OPEN,
    postgresql_where=_UPDATE_OPEN,
)
Index("ix_firmware_updates_due_at", firmware_updates.c.due_at)
Index("ix_firmware_updates_job_id", firmware_updates.c.job_id, firmware_updates.c.id)
Index("ix_firmware_updates_release_id", firmware_updates.c.release_id, firmware_updates.c.id)
Index("ix_firmware_updates_device_id", firmware_updates.c.device_id, firmware_updates.c.id)
Index("ix_firmware_updates_tenant", firmware_updates.c.tenant, firmware_updates.c.id)
Index("ix_firmware_updates_finished_at", firmware_updates.c.finished_at)
Index("ix_firmware_updates_downlink_id", firmware_updates.c.downlink_id)
Index("ix_firmware_updates_artifact_id", firmware_updates.c.artifact_id)

ddi_controllers = Table(
    "ddi_controllers",
    metadata,
    # Devices that ask for updates over HTTP, as hawkBit's clients do. Times are epoch milliseconds.
    Column("device_id", BigId, ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
    Column("polled_at", BigInteger, nullable=False),
    Column("config_at", BigInteger),  # when it last described itself
    Column("version", Shown(128), nullable=False, server_default=""),  # as it named it there
)
