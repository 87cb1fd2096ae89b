"""The part device settings: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part, noun
from mooring.supervisor.registry import Entry

with later():
    from mooring.device_settings import (
        api,
        api_levels,
        apply,
        jobs,
        levels,
        projection,
        service,
        worker,
    )
    from mooring.settings import device_settings as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "device_settings",
    routers=lambda: (api.router, api_levels.router),
    scope=Scope.COMMANDS,
    services=lambda: {
        apply.Applying: lambda app: apply.Applying(
            app.instance, app.settings, app.catalogue, app.desired, app.downlinks
        ),
        service.DeviceSettings: lambda app: service.DeviceSettings(
            app.database, app.devices, app.service(apply.Applying)
        ),
        levels.SettingsLevels: lambda app: levels.SettingsLevels(
            app.database, app.instance, app.settings, app.catalogue
        ),
    },
    tables=lambda: (
        schema.device_settings,
        schema.device_settings_history,
        schema.device_settings_levels,
        schema.device_settings_progress,
    ),
    projections=lambda app: (projection.SettingsReported(app.instance),),
    jobs=lambda app: (jobs.SettingsJobs(app.service(service.DeviceSettings)),),
    workers=(
        Entry(
            "device settings",
            "worker",
            "applies settings to devices",
            lambda app: worker.run(app),  # noqa: PLW0108 - imported when it is called
        ),
    ),
    counters=(
        "device_settings_versions",
        "device_settings_held_back",
        "device_settings_stopped",
        "device_settings_reverted",
    ),
    settings=lambda: settings.DeviceSettingsSettings,
    nouns=(noun("settings"),),
)
