"""Routes that an application takes as they are.

FastAPI's ``include_router`` builds each route a second time, with its parameters and models, for
every application and when the first request looks at it. That took the better part of a second of
each serving process, and memory for it in each. A route of a ``Routes`` is complete when its
module is imported: processes that are forked share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

__all__ = ["Routes", "operation_id", "take_routes"]


def operation_id(route: APIRoute) -> str:
    """The function's name: short, and stable while the function keeps its name."""
    return route.name


class Routes(APIRouter):
    """The routes of one module.

    Args:
        prefix: of every path.
        tags: of every operation in the OpenAPI document.
        include_in_schema: whether the document has them.
    """

    def __init__(
        self, *, prefix: str = "", tags: Sequence[str] = (), include_in_schema: bool = True
    ) -> None:
        super().__init__(
            prefix=prefix,
            tags=list(tags),
            include_in_schema=include_in_schema,
            generate_unique_id_function=operation_id,
        )


def take_routes(api: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Serves all routes of these routers, in this order, without a copy."""
    for router in routers:
        api.router.routes.extend(router.routes)
