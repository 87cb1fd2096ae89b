"""The part ota: what it brings to the processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part, noun
from mooring.supervisor.registry import Entry

with later():
    from mooring.jobs import service as jobs
    from mooring.ota.ddi import api as ddi_api
    from mooring.ota.ddi import polls
    from mooring.ota.ddi import service as ddi
    from mooring.ota.latest import api as latest_api
    from mooring.ota.latest import service as latest
    from mooring.ota.links import api as link_api
    from mooring.ota.links import downloads
    from mooring.ota.links import service as links
    from mooring.ota.releases import api, files, key_api, keys, service, tidying, turns
    from mooring.ota.rollouts import api as rollout_api
    from mooring.ota.rollouts import jobs as firmware_jobs
    from mooring.ota.rollouts import service as rollouts
    from mooring.ota.updates import api as update_api
    from mooring.ota.updates import projection
    from mooring.ota.updates import service as updates
    from mooring.settings import firmware as settings
    from mooring.store import schema

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

__all__ = ["PART"]


def _firmware_jobs(app: Any) -> firmware_jobs.FirmwareJobs:
    return firmware_jobs.FirmwareJobs(
        app.database,
        app.service(updates.Updates),
        approval=app.settings.rollout_approval == "required",
    )


def _on_withdrawn(app: Any) -> Callable[[Connection, int], None]:
    """What ends with a release, in the transaction that withdraws it."""
    updates_now, desired = app.service(updates.Updates), app.desired

    def end(connection: Connection, release: int) -> None:
        updates_now.of_release_withdrawn(connection, release)
        latest.end_of_release(connection, desired, release)

    return end


PART = Part(
    "ota",
    routers=lambda: (
        api.router,
        key_api.router,
        link_api.router,
        update_api.router,
        rollout_api.router,
        latest_api.router,
        ddi_api.router,
    ),
    scope=Scope.OTA,
    scopes={
        f"POST /api/v1/firmware-keys{rest}": Scope.ADMIN
        for rest in ("", "/{key}/retire", "/{key}/revoke")
    }
    | {f"POST /api/v1/rollouts/{{rollout}}/{word}": Scope.ADMIN for word in ("announce", "retract")}
    | dict.fromkeys(
        (
            f"{method} /{{tenant}}/controller/v1/{{controller}}{rest}"
            for method, rest in (
                ("GET", ""),
                ("PUT", "/configData"),
                ("GET", "/deploymentBase/{action}"),
                ("POST", "/deploymentBase/{action}/feedback"),
                ("GET", "/cancelAction/{action}"),
                ("POST", "/cancelAction/{action}/feedback"),
                ("GET", "/installedBase/{action}"),
                ("GET", "/softwaremodules/{module}/artifacts"),
                ("GET", "/softwaremodules/{module}/artifacts/{file}"),
            )
        ),
        Scope.DDI,
    ),
    services=lambda: {
        service.Releases: lambda app: service.Releases(
            app.database,
            app.settings,
            files.Files(app.settings.firmware_dir),
            _on_withdrawn(app),
        ),
        rollouts.Rollouts: lambda app: rollouts.Rollouts(
            app.database,
            app.settings,
            app.service(jobs.Jobs),
            _firmware_jobs(app),
        ),
        latest.Announcements: lambda app: latest.Announcements(
            app.database,
            app.settings,
            app.catalogue,
            app.desired,
            app.service(jobs.Jobs),
            app.service(rollouts.Rollouts),
        ),
        keys.Keys: lambda app: keys.Keys(app.database, app.settings),
        links.Links: lambda app: links.Links(app.settings),
        links.Opening: lambda app: links.Opening(
            app.database, app.tally, app.service(updates.Updates)
        ),
        ddi.Ddi: lambda app: ddi.Ddi(
            app.database, updates.waits_of(app.settings), app.devices.room
        ),
        updates.Updates: lambda app: updates.Updates(
            app.database, app.devices, app.downlinks, app.settings, links.Links(app.settings)
        ),
    },
    jobs=lambda app: (_firmware_jobs(app),),
    tables=lambda: (
        schema.firmware_rollouts,
        schema.firmware_latest,
        schema.firmware_releases,
        schema.firmware_artifacts,
        schema.firmware_signatures,
        schema.firmware_keys,
        schema.firmware_links,
        schema.firmware_updates,
        schema.ddi_controllers,
    ),
    projections=lambda app: (
        projection.FirmwareProgress(updates.waits_of(app.settings)),
        projection.FirmwareVersions(updates.waits_of(app.settings)),
    ),
    workers=(
        Entry(
            "firmware files",
            "worker",
            "deletes firmware files that no release refers to",
            lambda app: tidying.run(app),  # noqa: PLW0108 - imported when it is called
        ),
        Entry("firmware downloads", "serve", "notes how far downloads are"),
        Entry("polls for updates", "serve", "writes which devices have asked for updates"),
        Entry("firmware updates", "worker", "moves updates with time and connections"),
    ),
    settings=lambda: settings.FirmwareSettings,
    residents=lambda: {
        polls.Polls: lambda app, _current: polls.Polls(app.database, app.settings),
        turns.FileTurns: lambda _app, _current: turns.FileTurns(),
        downloads.Downloads: lambda app, _current: downloads.Downloads(
            app.database, app.settings, app.tally, app.service(updates.Updates)
        ),
    },
    counters=(
        "firmware_downloads_limited",
        "firmware_announced_downloads",
        "firmware_links_unknown",
        "firmware_offered",
        "firmware_confirmed",
        "firmware_unproved",
        "firmware_reverted",
        "firmware_regressed",
        "firmware_failed",
        "firmware_timed_out",
        "firmware_rejected",
        "firmware_cancelled",
        "firmware_superseded",
        "firmware_gone",
    ),
    nouns=(
        noun("firmware", "firmware_files", "firmware_keys", "firmware_updates", "firmware_latest"),
        noun("rollout", "rollout_announce"),
    ),
)
