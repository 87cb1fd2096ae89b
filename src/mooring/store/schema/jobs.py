"""Jobs: one action for many devices, and its targets."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from mooring.store.schema.base import BigId, Shown, ShownText, metadata

__all__ = ["job_targets", "jobs"]

jobs = Table(
    "jobs",
    metadata,
    # States and what leads from one to another: mooring.jobs.rules. Only the worker that holds
    # the lease writes counts, ``prepared_to``, ``wave…`` and ``paced_at``.
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("tenant", String(128), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("what", Text, nullable=False),  # JSON, sealed with the instance key
    Column("title", Shown(200), nullable=False),
    Column("selection", Text, nullable=False),  # JSON
    Column("actor", Shown(200), nullable=False),
    Column("origin", Shown(200), nullable=False),
    Column("reason", ShownText, nullable=False, server_default=""),
    Column("request_key", String(80)),  # of the request that made it
    Column("state", String(16), nullable=False),
    Column("why", ShownText, nullable=False, server_default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("due_at", BigInteger),  # NULL: nothing is due by time alone
    Column("pace", Float),  # a second; NULL: as fast as possible
    Column("at_once", Integer),
    Column("stop_after", Integer),
    Column("stop_share", Float),
    Column("waves", String(200), nullable=False),  # JSON, percent
    Column("gate_share", Float, nullable=False),
    Column("soak_ms", BigInteger, nullable=False),
    Column("gate_done", Float),  # NULL: every target of a wave needs an outcome
    Column("prepared_to", BigInteger, nullable=False, server_default="0"),
    Column("wave", Integer, nullable=False, server_default="0"),
    Column("wave_over_at", BigInteger),
    Column("paced_at", BigInteger, nullable=False, server_default="0"),  # microseconds
    Column("forgiven", Integer, nullable=False, server_default="0"),
    Column("forgiven_successes", Integer, nullable=False, server_default="0"),
    Column("retrying", Boolean, nullable=False, server_default=text("false")),
    Column("waiting", Integer, nullable=False, server_default="0"),
    Column("handed_over", Integer, nullable=False, server_default="0"),
    Column("succeeded", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("skipped", Integer, nullable=False, server_default="0"),
    Column("cancelled", Integer, nullable=False, server_default="0"),
    UniqueConstraint("request_key"),
    sqlite_autoincrement=True,
)
Index("ix_jobs_tenant_id", jobs.c.tenant, jobs.c.id)
Index("ix_jobs_tenant_finished_at", jobs.c.tenant, jobs.c.finished_at)
Index("ix_jobs_finished_at", jobs.c.finished_at)
Index("ix_jobs_due_at", jobs.c.due_at)

job_targets = Table(
    "job_targets",
    metadata,
    Column("job_id", BigInteger, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    # A removed device stays in the counts: no foreign key.
    Column("device_id", BigInteger, primary_key=True, autoincrement=False),
    Column("device", Shown(128), nullable=False),
    Column("rank", BigInteger, nullable=False),  # its place in the job
    Column("state", String(16), nullable=False),
    Column("counted", String(16), nullable=False),  # the state that the job has counted it in
    Column("cause", String(64), nullable=False, server_default=""),
    Column("words", ShownText, nullable=False, server_default=""),
    Column("reference", String(64)),  # what carries it out: command:12
    # An outcome with a lower mark belongs to something earlier with the same reference.
    Column("mark", BigInteger, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("handed_at", BigInteger),
    Column("finished_at", BigInteger),
    # When it is looked at again, where it waits or is skipped for some time.
    Column("not_before", BigInteger),
)
Index(
    "ix_job_targets_job_id_state_rank",
    job_targets.c.job_id,
    job_targets.c.state,
    job_targets.c.rank,
)
Index("ix_job_targets_reference", job_targets.c.reference)
_NOW = text("not_before IS NULL")
Index(  # the next targets, past all that wait for a time
    "ix_job_targets_now",
    job_targets.c.job_id,
    job_targets.c.state,
    job_targets.c.rank,
    sqlite_where=_NOW,
    postgresql_where=_NOW,
)
_LATER = text("not_before IS NOT NULL")
Index(  # with what counting them needs, without a look at the rows
    "ix_job_targets_not_before",
    job_targets.c.job_id,
    job_targets.c.not_before,
    job_targets.c.state,
    job_targets.c.counted,
    sqlite_where=_LATER,
    postgresql_where=_LATER,
)
_UNCOUNTED = text("state <> counted")
Index(
    "ix_job_targets_uncounted",
    job_targets.c.job_id,
    sqlite_where=_UNCOUNTED,
    postgresql_where=_UNCOUNTED,
)
