"""Which scope an API key needs for each route: one table, made of what the parts say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import APIRouter
from fastapi.routing import APIRoute

from mooring.identity.scopes import Need, Scope
from mooring.part import Part

__all__ = ["Table", "needs"]

Table = Mapping[tuple[str, str], Need]

OWN: Mapping[str, Need] = {"GET /api/v1/audit": Scope.ADMIN}
"""Exceptions among the platform's own routes."""


def needs(parts: Sequence[Part], own: Sequence[APIRouter]) -> dict[tuple[str, str], Need]:
    """Method and path of every route → what it asks of a key.

    Raises:
        LookupError: an exception names a route that does not exist.
    """
    table: dict[tuple[str, str], Need] = {}
    for part in parts:
        _add(table, part.routers(), part.scope, part.scopes)
    _add(table, own, Scope.ADMIN, OWN)
    return table


def _add(
    table: dict[tuple[str, str], Need],
    routers: Sequence[APIRouter],
    changing: Scope,
    exceptions: Mapping[str, Need],
) -> None:
    used = set()
    for router in routers:
        for route in router.routes:
            if not isinstance(route, APIRoute):
                continue
            for method in sorted(route.methods or ()):
                name = f"{method} {route.path}"
                used.add(name)
                usual = Scope.READ if method == "GET" else changing
                table[method, route.path] = exceptions.get(name, usual)
    if missing := exceptions.keys() - used:
        raise LookupError(f"scopes of routes that do not exist: {sorted(missing)}")
