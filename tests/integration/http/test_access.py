"""Every route, page and stream × every kind of login: the table of ``access.py`` holds.

The routes are read from the application, those outside the OpenAPI document too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import httpx
import pytest
from starlette.routing import BaseRoute
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from mooring.app import App
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM, Role
from mooring.people.model import NewUser
from mooring.serve.app import create_app
from tests.integration.http.access import ACCESS, Cell
from tests.integration.http.conftest import NO_TLS, ClientOf
from tests.integration.http.test_walls import (
    BODIES,
    OF_A,
    SECRET,
    any_database_url,
    fill,
    needed,
    rows,
    world,
)
from tests.support.openapi import document

__all__ = ["any_database_url", "world"]  # fixtures

_PLACE = re.compile(r"{([^}]+)}")
ROLES = ("viewer", "operator", "admin")
DENIED = {401, 403, 404}
NOBODY_TAKES_IT = {"/api/v1/mqtt/fleet/{group_id}/command"}  # no device of the group: 404
TO_SIGN_IN = 303  # of pages
FAILS = {500, 501, 502, 504}  # 503: there is no broker here


class Caller(NamedTuple):
    """``role``: of a login, or device, or nobody; ``tenant``: whose, ``None``: everybody's;
    ``browser``: with the cookie of a page instead of a header; ``person``: not an API key."""

    role: str
    tenant: str | None
    client: httpx.Client
    browser: bool = False
    person: bool = False

    @property
    def name(self) -> str:
        return f"{self.role} of {self.tenant or 'all'}{' in a browser' * self.browser}"


def allowed(cell: Cell, caller: Caller) -> bool:
    """Whether a caller may do that with a thing of tenant a."""
    if cell.least in {"anybody", "code"}:
        return True
    page = cell.least.startswith("page-")
    if page != caller.browser:
        return False
    if cell.least == "device" or caller.role == "device":
        return cell.least == caller.role == "device" and caller.tenant == "a"
    if caller.role == "nobody":
        return False
    if ROLES.index(caller.role) < ROLES.index(cell.least.removeprefix("page-")):
        return False
    return cell.whose == "-" or (
        (caller.person or cell.whose != "person") and caller.tenant in {None, _needed(cell)}
    )


def _needed(cell: Cell) -> str | None:
    return "a" if cell.whose in {"tenant", "person"} else None


def every_route(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        inside: Any = getattr(route, "original_router", None) or getattr(route, "app", None)
        path = getattr(route, "path", None)
        if path is None:
            yield from every_route(inside.routes)
        elif getattr(route, "methods", None):
            for method in getattr(route, "methods") - {"HEAD"}:  # noqa: B009
                # As a caller fills it in, whatever a placeholder may stand for.
                named = getattr(route, "path_format", path) if "/api/" in path else path
                yield method, named
        elif type(route).__name__.endswith("WebSocketRoute"):
            yield "WS", path
        else:
            yield "MOUNT", path


@pytest.fixture
def callers(world: App, url: str, client_of: ClientOf) -> Iterator[list[Caller]]:
    with ExitStack() as stack:

        def client(**given: Any) -> httpx.Client:
            return stack.enter_context(
                httpx.Client(base_url=url, timeout=30, verify=NO_TLS, **given)
            )

        found = [Caller("nobody", None, client())]
        for tenant in ("a", SECRET, None):
            found += [Caller(role, tenant, client_of(role, tenant=tenant)) for role in ROLES]
        for role in ROLES:  # a person, where the others are API keys
            name, password = f"person-{role}", "a long enough one"
            world.people.add(SYSTEM, NewUser(name, Role.of(role), "a", password))
            said = (
                found[0]
                .client.post("/api/v1/login", json={"name": name, "password": password})
                .json()
            )
            token = {"Authorization": f"Bearer {said['token']}"}
            found.append(Caller(role, "a", client(headers=token), person=True))
        for role, tenant in (*((role, "a") for role in ROLES), ("admin", SECRET), ("admin", None)):
            name = f"browser-{role}-{tenant}"
            world.people.add(SYSTEM, NewUser(name, Role.of(role), tenant, password))
            browser = client(
                cookies={"mooring": world.people.login(name, password).token},
                headers={"Origin": url, "Accept": "text/html"},
            )
            found.append(Caller(role, tenant, browser, browser=True))
        for tenant in ("a", SECRET):
            made = world.devices.add(SYSTEM, NewDevice(f"own-{tenant}", "mooring", tenant))[0]
            login = (made.device.username, made.password or "")
            found.append(Caller("device", tenant, client(auth=login)))
        yield found


def test_every_route_has_a_line_and_every_line_a_route(world: App) -> None:
    assert set(every_route(create_app(world).routes)) == set(ACCESS)


def stored(world: App) -> dict[str, list[Any]]:
    """Everything but the counters, which count what was denied."""
    return {name: found for name, found in rows(world).items() if name != "counters"}


def answer(
    caller: Caller, method: str, path: str, operations: Mapping[str, Any], prefix: str
) -> int:
    if method == "WS":
        return _stream(caller, path)
    words = {**OF_A, "prefix": prefix}
    if "{name}" in path and "dialects" in path:
        words["name"] = "pulse"
    # What pages call it is not known here.
    words |= dict.fromkeys(set(_PLACE.findall(path)) - set(words), "1")
    if caller.role == "device":
        words["device"] = "a:own-a"
    operation = operations.get(path, {}).get(method.lower(), {})
    address = fill(path + needed(operation), words)
    if caller.tenant is None:  # which group of that name
        address += f"{'&' if '?' in address else '?'}tenant=a"
    body = dict(BODIES.get(path, {}))
    body = {key: _of_a(value) for key, value in body.items()}
    send: dict[str, Any] = {"json": body} if method in {"POST", "PUT", "PATCH"} else {}
    return caller.client.request(method, address, **send).status_code


def _of_a(value: Any) -> Any:
    if value == SECRET:
        return "a"
    if not isinstance(value, str):
        return value
    return value.replace(f"/{SECRET}/", "/a/").replace(SECRET, "alpaca")


def _stream(caller: Caller, path: str) -> int:
    """The code with which it is closed, or 200 for a first message."""
    base = caller.client.base_url
    headers = {
        name: value
        for name, value in caller.client.headers.items()
        if name.lower() in {"authorization", "origin"}
    }
    if caller.browser:
        headers["Cookie"] = f"mooring={caller.client.cookies['mooring']}"
    if caller.client.auth is not None:
        request = httpx.Request("GET", base)
        headers = dict(next(caller.client.auth.auth_flow(request)).headers)
        headers = {"Authorization": headers["authorization"]}
    try:
        with connect(
            f"ws://{base.host}:{base.port}{path}", additional_headers=headers, open_timeout=20
        ) as socket:
            if not headers:
                socket.send(json.dumps({"token": "none"}))
            socket.recv(timeout=20)
            return 200
    except InvalidStatus as exc:
        return exc.response.status_code
    except ConnectionClosed as exc:
        assert exc.rcvd is not None
        return exc.rcvd.code - 4000


def refused(cell: Cell, caller: Caller) -> set[int]:
    """What somebody is answered who may not."""
    if cell.least.startswith("page-") and not caller.browser:
        return DENIED | {TO_SIGN_IN}
    if cell.least.startswith("page-"):  # a form is read first; nothing is changed by it
        return DENIED | {422}
    return {401} if caller.role == "nobody" else DENIED


def concerned(cell: Cell, caller: Caller) -> bool:
    """A cookie opens no route of the API, whose it is: one is enough."""
    page = cell.least.startswith("page-")
    return page or not caller.browser or (caller.role, caller.tenant) == ("admin", None)


def at_an_edge(cell: Cell, caller: Caller) -> bool:
    """Whether a caller is one that shows where the limit is: of its own tenant and of all the role
    that is just enough and the one below, of another tenant the strongest one."""
    if caller.role not in ROLES:
        return True
    if caller.tenant == SECRET:
        return caller.role == ROLES[-1]
    least = cell.least.removeprefix("page-")
    if least not in ROLES:
        return caller.role == ROLES[-1]
    over = ROLES.index(caller.role) - ROLES.index(least)
    return over in (0, -1) and (caller.person == (over == 0) or caller.tenant != "a")


def late(route: tuple[str, str]) -> int:
    """What is removed goes last, and then what ends a login."""
    method, path = route
    if method == "DELETE":
        return 1
    return 2 if path.rpartition("/")[2] in {"logout", "sessions", "password", "sign-out"} else 0


def bad(route: tuple[str, str], cell: Cell) -> set[int]:
    """What nobody is answered who may."""
    if cell.least in {"anybody", "code"} or late(route) == 2:
        return FAILS
    # Some things are gone by then.
    page = cell.least.startswith("page-")
    if late(route) or page or cell.whose == "-" or route[1] in NOBODY_TAKES_IT:
        return FAILS | {401, 403}
    return FAILS | DENIED


@pytest.mark.parametrize(
    "which",
    [
        pytest.param(at_an_edge, id="edges"),
        pytest.param(concerned, id="all", marks=[pytest.mark.soak, pytest.mark.timeout(0)]),
    ],
)
def test_each_login_may_do_what_the_table_says(
    world: App, callers: list[Caller], which: Callable[[Cell, Caller], bool]
) -> None:
    operations = document()["paths"]
    made = world.people.keys(SYSTEM)
    prefix = next(key.prefix for _, key in made if key.tenant == "a" and key.name == "alpaca-key")
    wrong = []
    before = stored(world)
    for (method, path), cell in ACCESS.items():
        for caller in callers:
            if which(cell, caller) and concerned(cell, caller) and not allowed(cell, caller):
                status = answer(caller, method, path, operations, prefix)
                if status not in refused(cell, caller):
                    wrong.append(f"{caller.name} is not denied: {method} {path} {status}")
    assert not wrong, "\n".join(wrong)
    assert stored(world) == before
    for route in sorted(ACCESS, key=late):
        cell = ACCESS[route]
        for caller in callers:
            if which(cell, caller) and allowed(cell, caller):
                status = answer(caller, *route, operations, prefix)
                if status in bad(route, cell):
                    wrong.append(f"{caller.name} is denied: {' '.join(route)} {status}")
    assert not wrong, "\n".join(wrong)
