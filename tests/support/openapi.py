"""The OpenAPI document, worked out once: that takes a second."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import FastAPI

from mooring.serve import openapi
from mooring.serve.app import routers
from mooring.web.routing import take_routes

__all__ = ["document"]


@cache
def document() -> dict[str, Any]:
    """What ``/api/v1/openapi.json`` answers. Nobody may change it."""
    api = FastAPI(openapi_url=None)
    openapi.install(api)
    take_routes(api, routers())
    return api.openapi()
