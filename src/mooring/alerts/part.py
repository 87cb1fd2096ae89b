"""The part alerts: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part, noun
from mooring.supervisor.registry import Entry

with later():
    from mooring.alerts import api, projection, removal, service
    from mooring.alerts.platform import worker as platform_worker
    from mooring.alerts.rules import api as rules_api
    from mooring.alerts.rules import service as rules_service
    from mooring.alerts.rules import trying
    from mooring.alerts.rules import worker as rules_worker
    from mooring.settings import alerts as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "alerts",
    routers=lambda: (api.router, rules_api.router),
    scope=Scope.DEVICES,
    scopes={
        "POST /api/v1/rules/trial": Scope.READ,
    },
    services=lambda: {
        service.Alerts: lambda app: service.Alerts(app.database, app.devices),
        rules_service.Rules: lambda app: rules_service.Rules(
            app.database,
            app.devices,
            app.catalogue,
            app.settings.rules_max_per_tenant,
            rules_worker.bounds_of(app.settings),
        ),
        trying.Trials: lambda app: trying.Trials(
            app.service(rules_service.Rules), app.payload_limits
        ),
    },
    tables=lambda: (
        schema.alerts,
        schema.alert_history,
        schema.rules,
        schema.rule_states,
        schema.rule_queue,
    ),
    projections=lambda app: (projection.DeviceAlerts(rules_worker.bounds_of(app.settings)),),
    workers=(
        Entry(
            "rules",
            "worker",
            "evaluates rules",
            lambda app: rules_worker.RuleWorker.of(
                app.database, app.settings, app.catalogue, app.payload_limits
            ).run(),
        ),
        Entry(
            "platform alerts",
            "worker",
            "raises alerts about devices and the platform",
            lambda app: platform_worker.PlatformAlerts(
                app.database, app.settings, rules_worker.bounds_of(app.settings)
            ).run(),
        ),
    ),
    counters=(
        "alerts_raised",
        "alerts_cleared",
        "alerts_late",
        "alerts_not_raised",
        "rule_evaluations",
        "rule_readings_late",
    ),
    removals=lambda: (removal.device_removed,),
    settings=lambda: settings.AlertSettings,
    nouns=(noun("rule"), noun("alert")),
)
