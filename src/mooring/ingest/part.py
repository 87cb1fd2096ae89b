"""The part ingest: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part, verb
from mooring.supervisor.registry import Entry

with later():
    from mooring.ingest.resend import api as resend_api
    from mooring.ingest.resend import service as resend
    from mooring.settings import ingest as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "ingest",
    routers=lambda: (resend_api.router,),
    scope=Scope.DEVICES,
    services=lambda: {
        resend.Resending: lambda app: resend.Resending(
            app.database,
            app.catalogue,
            app.settings,
            app.devices,
            app.payload_limits,
            app.projections(),
        ),
    },
    tables=lambda: (
        schema.messages,
        schema.latest,
        schema.channels,
        schema.dead_letters,
        schema.message_numbers,
        schema.strangers,
        schema.ingest_attempts,
        schema.ingest_filters,
        schema.ingest_ledger,
    ),
    workers=(
        Entry("heartbeat", "ingest", "reports that the process runs"),
        Entry("dialects", "ingest", "follows changes of devices and dialects"),
        Entry("subscriptions", "ingest", "subscribes to the topics of changed dialects"),
        Entry("limits", "ingest", "follows changed limits, where the broker does not keep them"),
        Entry(
            "former session", "ingest", "stores messages queued in a session of an older version"
        ),
    ),
    counters=("messages_limited", "dead_letters_resent"),
    settings=lambda: settings.IngestSettings,
    nouns=(verb("ingest", "runtime"),),
)
