"""docs/reference/rest.md names every route, and no other."""

from __future__ import annotations

import re

from fastapi import FastAPI

from mooring.serve import openapi
from mooring.serve.app import routers
from tests.support.source import ROOT

PAGE = ROOT / "docs" / "reference" / "rest.md"


def routes() -> set[str]:
    api = FastAPI(openapi_url=None, generate_unique_id_function=openapi.operation_id)
    openapi.install(api)
    for router in routers():
        api.include_router(router)
    return {
        f"{method.upper()} {path}"
        for path, operations in api.openapi()["paths"].items()
        for method in operations
    }


def listed() -> list[str]:
    return re.findall(r"^\| `([A-Z]+ /\S+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_route_is_on_the_page_once() -> None:
    assert sorted(listed()) == sorted(routes())


def test_operations_have_names_of_their_own() -> None:
    api = FastAPI(openapi_url=None, generate_unique_id_function=openapi.operation_id)
    openapi.install(api)
    for router in routers():
        api.include_router(router)
    operations = [one for path in api.openapi()["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names))
    for one in operations:
        assert one["description"], one["operationId"]
        assert {"4XX", "5XX"} <= set(one["responses"])
        assert "422" not in one["responses"]
