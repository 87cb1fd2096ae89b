"""The part notify: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part, noun
from mooring.supervisor.registry import Entry

with later():
    from mooring.notify import api, service, worker
    from mooring.settings import notify as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "notify",
    routers=lambda: (api.router,),
    scopes={"POST /api/v1/recipients/{recipient}/test": Scope.DEVICES},
    services=lambda: {
        service.Recipients: lambda app: service.Recipients(
            app.database, app.instance, app.settings
        ),
    },
    tables=lambda: (schema.recipients, schema.notification_items, schema.notifications),
    workers=(
        Entry(
            "notifications",
            "worker",
            "notifies people and programs of alerts",
            lambda app: worker.Notifier(app.database, app.instance, app.settings).run(),
        ),
    ),
    counters=(
        "notifications_made",
        "notifications_sent",
        "notifications_given_up",
        "notifications_delayed",
        "notification_attempts_failed",
    ),
    settings=lambda: settings.NotifySettings,
    nouns=(noun("notify"),),
)
