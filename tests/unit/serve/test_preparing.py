"""No request waits until all routes are prepared."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, routing

from mooring.serve.app import routers
from mooring.serve.health import router as health
from mooring.serve.preparing import prepare_routes

PREPARES = "_build_effective_context"


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of routes in the order in which FastAPI prepares them."""
    found: list[str] = []
    original = getattr(routing._IncludedRouter, PREPARES)

    def noted(self: Any, route: Any) -> Any:
        found.append(route.path)
        return original(self, route)

    monkeypatch.setattr(routing._IncludedRouter, PREPARES, noted)
    return found


def nothing() -> dict[str, str]:
    return {}


def an_api() -> FastAPI:
    other = APIRouter()
    for number in range(3):
        other.add_api_route(f"/other/{number}", nothing)
    api = FastAPI()
    for router in (health, other):
        api.include_router(router)
    return api


async def ask(api: FastAPI, path: str) -> int:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api), base_url="http://platform"
    ) as client:
        return (await client.get(path)).status_code


def test_health_is_asked_before_all_other_routes(prepared: list[str]) -> None:
    assert routers()[0] is health
    assert sum(router is health for router in routers()) == 1
    assert asyncio.run(ask(an_api(), "/healthz")) == 200
    assert prepared == ["/healthz", "/readyz"]


def test_after_the_start_nothing_is_left_for_requests(prepared: list[str]) -> None:
    api = an_api()
    asyncio.run(prepare_routes(api))
    before = list(prepared)
    assert {"/other/0", "/other/1", "/other/2"} <= set(before)
    assert asyncio.run(ask(api, "/other/2")) == 200
    assert prepared == before


def test_a_route_that_cannot_be_prepared_does_not_hold_up_the_others(
    prepared: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    api = an_api()

    class Spoiled:
        def matches(self, _scope: object) -> None:
            raise RuntimeError

    api.router.routes.insert(0, Spoiled())  # type: ignore[arg-type]
    asyncio.run(prepare_routes(api))
    assert "/other/2" in prepared
    assert "could not be prepared" in caplog.text
