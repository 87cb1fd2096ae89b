"""The HTTP application: every domain's routes behind one guard."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse

from mooring import __version__
from mooring.alerts.service import Alerts
from mooring.app import App
from mooring.dashboard import routes as dashboard
from mooring.dashboard.live import resident as live
from mooring.downlink.gate import NUDGE, WORK, nudge_of
from mooring.errors import DatabaseUnavailable
from mooring.limits.tenants import TenantLimits
from mooring.notify.service import Recipients
from mooring.part import Part
from mooring.parts import PARTS
from mooring.serve import audit, health, metrics, openapi, scopes, system
from mooring.serve.alert_metrics import AlertFigures, NotificationFigures
from mooring.serve.certificate_metrics import CertificateFigures
from mooring.serve.current import Current
from mooring.serve.tenant_metrics import TenantFigures
from mooring.store.engine import Told
from mooring.store.tally import FLUSH_SECONDS
from mooring.supervisor import registry
from mooring.supervisor.worker import Worker
from mooring.web import errors
from mooring.web.guard import Guard
from mooring.web.proxies import Proxies
from mooring.web.publisher import Publisher
from mooring.web.routing import operation_id, take_routes
from mooring.web.watching import Direct, Watcher

__all__ = ["create_app", "routers"]

log = logging.getLogger(__name__)

OWN = (system.router, audit.router, health.router, metrics.router, openapi.router)


def routers(parts: Sequence[Part] = PARTS) -> tuple[APIRouter, ...]:
    """Every part's routes, and the platform's own. Those come first that are asked for most and
    answered in the least time, health and what devices call: to look through the others takes
    longer than the answer."""
    of_parts = [router for part in parts for router in part.routers()]
    others = [router for router in OWN if router is not health.router]
    return (health.router, *sorted(of_parts, key=_of_api), *others)


def _of_api(router: APIRouter) -> bool:
    return all(getattr(one, "path", "").startswith("/api/") for one in router.routes)


def create_app(
    platform: App, direct: Direct | None = None, *, parts: Sequence[Part] = PARTS
) -> FastAPI:
    """The application for one serving process.

    Its connection to the broker is made when it starts up and closed when it shuts down.
    Nothing is kept in it that another process would need.

    Args:
        direct: applies the broker's changes that this process commits.
    """
    publisher = Publisher(platform.endpoint(f"mooring-{secrets.token_hex(16)}"))
    figures, answered = metrics.new_registry(platform.telemetry)
    certificates = CertificateFigures(platform)
    figures.register(certificates)
    figures.register(AlertFigures(platform.service(Alerts)))
    figures.register(NotificationFigures(platform.service(Recipients)))
    figures.register(TenantFigures(platform.service(TenantLimits)))

    current = Current(platform)
    residents = {
        kind: make(platform, current) for part in parts for kind, make in part.residents().items()
    }
    residents |= live.residents(platform, current, publisher, residents)
    workers = [
        Worker("tally", lambda: _flush_often(platform)),
        *_workers(parts, platform),
        *(worker for resident in residents.values() for worker in resident.workers()),
    ]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if direct is not None:
            direct.start()
        platform.database.follow_news(_nudging(publisher))
        await publisher.start()
        await publisher.supervisor.start(workers)
        try:
            yield
        finally:
            await publisher.supervisor.stop([worker.name for worker in workers])
            await asyncio.to_thread(_flush, platform)
            platform.database.follow_news(None)
            await publisher.close()
            if direct is not None:
                await direct.close()

    api = FastAPI(
        title="Mooring",
        version=__version__,
        openapi_url=None,  # served below, with the guard's own rules
        docs_url=None,  # FastAPI's pages load scripts from other hosts
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
    )
    api.state.current = current
    api.state.residents = residents
    api.state.publisher = publisher
    api.state.watcher = Watcher(platform.database, direct)
    api.state.registry = figures
    api.state.certificate_health = certificates.health
    api.state.scopes = scopes.needs(parts, OWN)
    api.state.readiness = health.Readiness(platform, publisher)
    errors.install(api)
    openapi.install(api)
    take_routes(api, routers(parts))
    dashboard.install(api)

    @api.get(openapi.OPENAPI_PATH, include_in_schema=False)
    def document() -> JSONResponse:
        return JSONResponse(api.openapi())

    proxies = Proxies(platform.settings.trusted_proxies)
    api.state.proxies = proxies
    api.add_middleware(Guard, answered=answered, proxies=proxies)
    return api


def _workers(parts: Sequence[Part], platform: App) -> list[Worker]:
    """The work that parts do in this process."""
    found = []
    for part in parts:
        registry.declare(part.workers)
        found += [
            Worker(entry.name, partial(entry.run, platform))
            for entry in part.workers
            if entry.role == "serve" and entry.run is not None
        ]
    return found


def _nudging(publisher: Publisher) -> Told:
    """What wakes the sender when this process has committed a live message, from any thread. Used
    inside the event loop."""
    loop = asyncio.get_running_loop()

    def told(work: str, hints: Sequence[tuple[int | str, ...]]) -> None:
        if work == WORK:
            loop.call_soon_threadsafe(publisher.nudge, NUDGE, nudge_of(hints))

    return told


async def _flush_often(platform: App) -> None:
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        await asyncio.to_thread(_flush, platform)


def _flush(platform: App) -> None:
    try:
        platform.tally.flush(platform.database)
    except DatabaseUnavailable as exc:
        log.warning("counters are written later: %s", exc)
