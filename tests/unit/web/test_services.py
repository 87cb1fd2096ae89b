"""What routes are given: services by their class, never the whole platform."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from fastapi.routing import APIRoute

from mooring.app import App, open_app
from mooring.devices.service import Devices
from mooring.errors import NotFound
from mooring.serve.app import routers
from mooring.store.engine import Database
from tests.support.migrated import copy_migrated

ROUTES = [route for router in routers() for route in router.routes if isinstance(route, APIRoute)]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    copy_migrated(tmp_path / "data")
    with open_app(flags={"data_dir": tmp_path / "data"}, upgrade=True) as opened:
        yield opened


def test_no_route_takes_the_platform() -> None:
    taking = [
        f"{route.path}: {name}"
        for route in ROUTES
        for name, hint in get_type_hints(route.endpoint).items()
        if hint is App
    ]
    assert ROUTES
    assert taking == []


def test_each_service_a_route_asks_for_exists(app: App) -> None:
    asked = {
        get_args(hint)[0]
        for route in ROUTES
        for hint in get_type_hints(route.endpoint, include_extras=True).values()
        if any(
            getattr(getattr(extra, "dependency", None), "__qualname__", "").startswith("provided.")
            for extra in get_args(hint)[1:]
        )
    }
    assert {Database, Devices} <= asked
    for kind in asked:
        assert isinstance(app.service(kind), kind)


def test_a_service_that_nobody_has(app: App) -> None:
    assert app.service(Devices) is app.devices
    with pytest.raises(LookupError):
        app.service(NotFound)
