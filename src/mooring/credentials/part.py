"""The part credentials: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part, noun
from mooring.supervisor.registry import Entry

with later():
    from mooring.credentials import api
    from mooring.credentials.claims import api as claims_api
    from mooring.credentials.rotation import api as rotation_api
    from mooring.credentials.rotation import jobs as rotation_jobs
    from mooring.credentials.tokens import api as tokens_api
    from mooring.credentials.tokens import service as tokens
    from mooring.credentials.tokens import worker as tokens_worker
    from mooring.settings import credentials as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "credentials",
    routers=lambda: (
        claims_api.router,
        rotation_api.router,
        api.router,
        tokens_api.router,
    ),
    scope=Scope.DEVICES,
    services=lambda: {
        tokens.DevicePasswords: lambda app: tokens.DevicePasswords(
            app.database, app.devices, app.settings, app.throttles.devices, app.tally
        ),
    },
    tables=lambda: (
        schema.claim_codes,
        schema.rotations,
    ),
    jobs=lambda app: (rotation_jobs.RotationJobs(app.rotations),),
    workers=(
        Entry("rotations", "worker", "runs password rotations"),
        Entry(
            "temporary passwords",
            "worker",
            "ends passwords that devices got for tokens",
            lambda app: tokens_worker.run(app.database),
        ),
    ),
    counters=(
        "claims_refused",
        "claims_throttled",
        "device_tokens_refused",
        "recoveries_refused",
        "recoveries_throttled",
    ),
    settings=lambda: settings.CredentialSettings,
    nouns=(noun("claim"),),
)
