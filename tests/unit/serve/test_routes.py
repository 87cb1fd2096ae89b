"""An application serves the routes as they were imported: nothing is prepared at a request."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI, routing

from mooring.serve.app import routers
from mooring.serve.health import router as health
from mooring.web.routing import Routes, take_routes

PREPARES = ("_populate_api_route_state", "get_request_handler")


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What FastAPI prepares."""
    found: list[str] = []
    for name in PREPARES:
        original = getattr(routing, name)

        def noted(*given: object, _name: str = name, _original: object = original, **more: object):  # type: ignore[no-untyped-def]
            found.append(_name)
            return _original(*given, **more)  # type: ignore[operator]

        monkeypatch.setattr(routing, name, noted)
    return found


async def ask(api: FastAPI, path: str) -> int:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api), base_url="http://platform"
    ) as client:
        return (await client.get(path)).status_code


def test_no_request_waits_for_routes_to_be_prepared(prepared: list[str]) -> None:
    Routes().add_api_route("/seen", lambda: None)
    assert set(prepared) == set(PREPARES)
    prepared.clear()
    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    take_routes(api, routers())
    assert asyncio.run(ask(api, "/api/v1/nothing/of/that/name")) == 404
    assert asyncio.run(ask(api, "/healthz")) == 200
    assert prepared == []


def test_all_routes_are_served_in_the_order_of_the_routers() -> None:
    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    take_routes(api, routers())
    given = [route for router in routers() for route in router.routes]
    assert api.routes == given
    assert len({id(route) for route in given}) == len(given) > 100


def test_health_is_looked_for_before_all_others() -> None:
    assert routers()[0] is health
    assert sum(router is health for router in routers()) == 1


def test_a_module_s_routes_have_short_names() -> None:
    """Its name in the OpenAPI document is the function's, whatever its path is."""
    assert all(isinstance(router, Routes) for router in routers())
