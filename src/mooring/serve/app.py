"""The HTTP application: every domain's routes behind one guard."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from mooring import __version__
from mooring.app import App
from mooring.credentials import api as credentials_api
from mooring.credentials.claims import api as claims_api
from mooring.credentials.rotation import api as rotation_api
from mooring.devices import api as devices_api
from mooring.doctor import api as doctor_api
from mooring.errors import DatabaseUnavailable
from mooring.ingest import api as ingest_api
from mooring.limits import api as limits_api
from mooring.people import api as people_api
from mooring.pki import api as pki_api
from mooring.publish import api as mqtt
from mooring.serve import audit, health, metrics, openapi, system
from mooring.serve.certificate_metrics import CertificateFigures
from mooring.serve.current import Current
from mooring.store.tally import FLUSH_SECONDS
from mooring.supervisor.worker import Worker
from mooring.telemetry import api as telemetry_api
from mooring.uplink import api as uplink_api
from mooring.web import errors
from mooring.web.guard import Guard
from mooring.web.proxies import Proxies
from mooring.web.publisher import Publisher
from mooring.web.watching import Direct, Watcher

__all__ = ["create_app"]

log = logging.getLogger(__name__)

ROUTERS = (
    people_api.router,
    telemetry_api.router,
    devices_api.router,
    limits_api.router,
    doctor_api.router,
    pki_api.router,
    claims_api.router,
    rotation_api.router,
    credentials_api.router,
    uplink_api.router,
    ingest_api.router,
    system.router,
    audit.router,
    mqtt.router,
    health.router,
    metrics.router,
    openapi.router,
)


def create_app(platform: App, direct: Direct | None = None) -> FastAPI:
    """The application for one serving process.

    Its connection to the broker is made when it starts up and closed when it shuts down.
    Nothing is kept in it that another process would need.

    Args:
        direct: applies the broker's changes that this process commits.
    """
    publisher = Publisher(platform.endpoint(f"mooring-{secrets.token_hex(16)}"))
    registry, answered = metrics.new_registry(platform.telemetry)
    registry.register(CertificateFigures(platform))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if direct is not None:
            direct.start()
        await publisher.start()
        await publisher.supervisor.start([Worker("tally", lambda: _flush_often(platform))])
        try:
            yield
        finally:
            await publisher.supervisor.stop(["tally"])
            await asyncio.to_thread(_flush, platform)
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
        generate_unique_id_function=openapi.operation_id,
        redirect_slashes=False,
    )
    api.state.current = Current(platform)
    api.state.publisher = publisher
    api.state.watcher = Watcher(platform.database, direct)
    api.state.registry = registry
    api.state.readiness = health.Readiness(platform, publisher)
    errors.install(api)
    openapi.install(api)
    for router in ROUTERS:
        api.include_router(router)

    @api.get(openapi.OPENAPI_PATH, include_in_schema=False)
    def document() -> JSONResponse:
        return JSONResponse(api.openapi())

    proxies = Proxies(platform.settings.trusted_proxies)
    api.state.proxies = proxies
    api.add_middleware(Guard, answered=answered, proxies=proxies)
    return api


async def _flush_often(platform: App) -> None:
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        await asyncio.to_thread(_flush, platform)


def _flush(platform: App) -> None:
    try:
        platform.tally.flush(platform.database)
    except DatabaseUnavailable as exc:
        log.warning("counters are written later: %s", exc)
