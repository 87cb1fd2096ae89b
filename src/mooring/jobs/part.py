"""The part jobs: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part, noun
from mooring.supervisor.registry import Entry

with later():
    from mooring.jobs import api, service
    from mooring.settings import jobs as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "jobs",
    routers=lambda: (api.router,),
    scopes={
        "POST /api/v1/jobs": "inside",
        "PATCH /api/v1/jobs/{number}": "inside",
        "POST /api/v1/jobs/{number}/pause": "inside",
        "POST /api/v1/jobs/{number}/resume": "inside",
        "POST /api/v1/jobs/{number}/cancel": "inside",
        "POST /api/v1/jobs/{number}/retry": "inside",
    },
    services=lambda: {
        service.Jobs: lambda app: service.Jobs(
            app.database, app.instance, app.settings, app.job_kinds()
        ),
    },
    tables=lambda: (schema.jobs, schema.job_targets),
    workers=(Entry("jobs", "worker", "starts what is done for many devices"),),
    counters=("jobs_started", "jobs_done", "jobs_stopped", "jobs_cancelled", "jobs_expired"),
    settings=lambda: settings.JobSettings,
    nouns=(noun("job"),),
)
