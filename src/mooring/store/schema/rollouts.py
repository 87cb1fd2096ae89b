"""What a rollout has beyond its job, and what is announced to every device."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, String, Table, Text, text

from mooring.store.schema.base import BigId, Shown, ShownText, metadata

__all__ = ["firmware_latest", "firmware_rollouts"]

firmware_rollouts = Table(
    "firmware_rollouts",
    metadata,
    Column(
        "job_id",
        BigInteger,
        ForeignKey("jobs.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("tenant", String(128), nullable=False),
    Column("release_id", BigInteger, ForeignKey("firmware_releases.id"), nullable=False),
    Column("kind", String(16), nullable=False),  # of the release
    Column("approval", Boolean, nullable=False),  # whether a second person has to agree
    Column("changed_by", Shown(200), nullable=False),  # that person is another one than this
    Column("changed_at", BigInteger, nullable=False),
    Column("approved_by", Shown(200), nullable=False, server_default=""),
    Column("approved_at", BigInteger),  # NULL: not since the last change
    # Since when its release is announced to every device; NULL: it is not.
    Column("latest_at", BigInteger),
)
# Which newer rollout has a device.
Index(
    "ix_firmware_rollouts_tenant",
    firmware_rollouts.c.tenant,
    firmware_rollouts.c.kind,
    firmware_rollouts.c.job_id,
)
Index("ix_firmware_rollouts_release_id", firmware_rollouts.c.release_id)

firmware_latest = Table(
    "firmware_latest",
    metadata,
    # A release on a retained topic that devices of all tenants read. The document itself is in
    # ``desired``, under this number as its version.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("topic", String(1024), nullable=False),
    Column("dialects", Text, nullable=False),  # JSON list
    Column("kind", String(16), nullable=False),
    # No foreign key: the announcement outlives the rollout.
    Column("job_id", BigInteger, nullable=False),
    Column("release_id", BigInteger, ForeignKey("firmware_releases.id"), nullable=False),
    Column("artifact_id", BigInteger, ForeignKey("firmware_artifacts.id"), nullable=False),
    # The SHA-256 of the 22 characters of its link, which is valid until it is over.
    Column("verifier", String(64), nullable=False, unique=True),
    Column("actor", Shown(200), nullable=False),
    Column("reason", ShownText, nullable=False, server_default=""),
    Column("at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_why", String(16), nullable=False, server_default=""),
    # The version of a document on a topic only grows.
    sqlite_autoincrement=True,
)
_ANNOUNCED = text("ended_at IS NULL")
Index(  # one release on a topic
    "uq_firmware_latest_topic",
    firmware_latest.c.topic,
    unique=True,
    sqlite_where=_ANNOUNCED,
    postgresql_where=_ANNOUNCED,
)
Index("ix_firmware_latest_job_id", firmware_latest.c.job_id)
Index("ix_firmware_latest_release_id", firmware_latest.c.release_id)
Index("ix_firmware_latest_artifact_id", firmware_latest.c.artifact_id)
