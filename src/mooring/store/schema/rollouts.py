"""What a rollout has beyond its job."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, String, Table

from mooring.store.schema.base import Shown, metadata

__all__ = ["firmware_rollouts"]

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
    # Retained for every device of every tenant; NULL: it is not.
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
