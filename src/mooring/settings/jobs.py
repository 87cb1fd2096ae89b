"""Settings of jobs."""

from __future__ import annotations

from mooring.settings.field import Declared, setting

__all__ = ["JobSettings"]


class JobSettings(Declared):
    """How many jobs there may be, how large they are, and how long they last."""

    jobs_max_per_tenant: int = setting(
        20, "Jobs of one tenant that are not over; one more is rejected.", ge=1
    )
    job_targets_max: int = setting(
        200_000, "Devices of one job; a job with more of them is cancelled.", ge=1
    )
    jobs_kept_per_tenant: int = setting(
        50, "Finished jobs kept of one tenant; the oldest go first.", ge=1
    )
    job_expiry_seconds: int = setting(
        604_800,
        "How long a job may take; targets without an outcome are failed then.",
        ge=60,
        le=31_536_000,
    )
