"""docs/reference/rest.md names every route, and no other."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from fastapi import FastAPI

from mooring.serve import openapi
from mooring.serve.app import routers
from mooring.web.routing import take_routes
from tests.support.source import ROOT

PAGE = ROOT / "docs" / "reference" / "rest.md"


@cache
def paths() -> dict[str, Any]:
    """Of the OpenAPI document."""
    api = FastAPI(openapi_url=None)
    openapi.install(api)
    take_routes(api, routers())
    found: dict[str, Any] = api.openapi()["paths"]
    return found


def routes() -> set[str]:
    return {f"{method.upper()} {path}" for path, of in paths().items() for method in of}


def listed() -> list[str]:
    return re.findall(r"^\| `([A-Z]+ /\S+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_route_is_on_the_page_once() -> None:
    assert sorted(listed()) == sorted(routes())


def test_operations_have_names_of_their_own() -> None:
    operations = [one for path in paths().values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names))
    for one in operations:
        assert one["description"], one["operationId"]
        assert {"4XX", "5XX"} <= set(one["responses"])
        assert "422" not in one["responses"]
