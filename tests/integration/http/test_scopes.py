"""Scopes of API keys: every route there is, and what a key needs for it."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.routing import APIRoute

from mooring.app import App
from mooring.errors import Forbidden, Invalid
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.identity.scopes import Scope
from mooring.part import Part
from mooring.people.model import NewKey
from mooring.people.service import People
from mooring.serve.app import create_app, routers
from mooring.serve.scopes import needs
from mooring.web.auth import need_of, who
from tests.integration.http.conftest import NO_TLS, serving
from tests.integration.http.test_walls import BODIES, OF_A, fill
from tests.support.postgres import Postgres

ALL = frozenset(Scope)

# Routes that change nothing although they are not GET, and those of one's own login.
NOT_BY_METHOD = {
    "POST /api/v1/rules/trial": Scope.READ,
    "POST /api/v1/mqtt/subscribe": Scope.READ,
    "POST /api/v1/mqtt/topics/validate": Scope.READ,
    "POST /api/v1/logout": "login",
    "PUT /api/v1/me/password": "login",
    "GET /api/v1/me": "login",
    "GET /api/v1/device-views": "login",
    "POST /api/v1/device-views": "login",
    "DELETE /api/v1/device-views/{view:path}": "login",
}


@pytest.fixture
def any_database_url(postgres_server: Postgres, migrated_postgres: str) -> str:
    """PostgreSQL alone: nothing here depends on the engine, and it is migrated already."""
    postgres_server.empty_tables(migrated_postgres)
    return migrated_postgres


@pytest.fixture
def people(platform: App) -> People:
    return platform.people


@pytest.fixture
def api(platform: App) -> FastAPI:
    return create_app(platform)


@cache
def needing_login() -> frozenset[tuple[str, str]]:
    """Method and path of every route that takes a token or key."""
    return frozenset(
        (method, route.path)
        for router in routers()
        for route in router.routes
        if isinstance(route, APIRoute) and (_asks(route.dependant) or route.path == "/metrics")
        for method in route.methods or ()
    )


def _asks(dependant: Any) -> bool:
    return any(one.call is who or _asks(one) for one in dependant.dependencies)


def test_the_table_has_a_cell_for_every_route(api: FastAPI) -> None:
    table = api.state.scopes
    wanted = needing_login()
    assert len(wanted) > 100
    assert wanted <= table.keys()
    for method, path in wanted:
        need = table[method, path]
        name = f"{method} {path}"
        if name in NOT_BY_METHOD:
            assert need == NOT_BY_METHOD[name], name
        elif method == "GET":
            assert need in {Scope.READ, Scope.ADMIN}, name
        elif path.startswith("/api/v1/jobs"):
            assert need == "inside", name
        else:
            assert need in ALL - {Scope.READ}, name


def test_an_exception_for_a_route_that_is_gone_is_an_error() -> None:
    part = Part("x", scopes={"GET /api/v1/gone": Scope.READ})
    with pytest.raises(LookupError, match="gone"):
        needs([part], [])


def test_a_route_that_no_part_speaks_of_needs_the_scope_admin(api: FastAPI) -> None:
    route = next(one for one in needing_login() if one == ("GET", "/api/v1/devices"))
    asked = Request(
        {"type": "http", "method": route[0], "app": api, "route": SimpleNamespace(path=route[1])}
    )
    assert need_of(asked) is Scope.READ
    api.state.scopes = {}
    assert need_of(asked) is Scope.ADMIN


def test_each_route_asks_for_its_scope_and_for_no_other(platform: App, api: FastAPI) -> None:
    """Against the table: a key of an administrator with all scopes but one, and with that alone."""
    with serving(platform) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:

        def ask(key: str, method: str, path: str) -> httpx.Response:
            return client.request(
                method,
                fill(path, OF_A),
                json=BODIES.get(path) if method != "GET" else None,
                headers={"Authorization": f"Bearer {key}"},
            )

        def key(name: str, scopes: frozenset[Scope]) -> str:
            return platform.people.add_key(SYSTEM, NewKey(name, Role.ADMIN, scopes=scopes)).secret

        without = {scope: key(f"not-{scope}", ALL - {scope}) for scope in Scope}
        alone = {scope: key(f"only-{scope}", frozenset({scope})) for scope in Scope}
        for method, path in sorted(needing_login() - {("GET", "/metrics")}):
            need = api.state.scopes[method, path]
            if not isinstance(need, Scope):
                continue
            missing = ask(without[need], method, path)
            assert missing.status_code == 403, f"{method} {path}: {missing.text}"
            assert missing.json()["code"] == "scope_missing"
            assert missing.json()["context"] == {"scope": need}
            if method == "GET":
                assert "scope_missing" not in ask(alone[need], method, path).text


def test_a_job_needs_the_scope_of_what_it_does(platform: App) -> None:
    with serving(platform) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        platform.people.add_tenant(SYSTEM, "a")
        jobs = {
            "command": ({"name": "x"}, Scope.COMMANDS),
            "settings": ({"change": {"x": 1}}, Scope.COMMANDS),
            "rotation": ({}, Scope.DEVICES),
            "firmware": ({"release": "trap:1"}, Scope.OTA),
        }
        assert jobs.keys() == platform.job_kinds().keys()
        for kind, (what, scope) in jobs.items():
            issued = platform.people.add_key(
                SYSTEM, NewKey(kind, Role.OPERATOR, scopes=Role.OPERATOR.scopes - {scope})
            )
            body = {"kind": kind, "what": what, "tenant": "a", "selection": {"all": True}}
            answer = client.post(
                "/api/v1/jobs", json=body, headers={"Authorization": f"Bearer {issued.secret}"}
            )
            assert answer.status_code == 403, answer.text
            assert answer.json()["context"] == {"scope": scope}


def test_what_needs_admin_is_closed_to_operators_by_their_role(platform: App, api: FastAPI) -> None:
    """So a key of an operator without scopes loses nothing that it could do before."""
    with serving(platform) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        platform.people.add_tenant(SYSTEM, "a")
        secret = platform.people.add_key(SYSTEM, NewKey("op", Role.OPERATOR)).secret
        for (method, path), need in api.state.scopes.items():
            if need is Scope.ADMIN and (method, path) in needing_login():
                answer = client.request(
                    method,
                    fill(path, OF_A),
                    json=BODIES.get(path),
                    headers={"Authorization": f"Bearer {secret}"},
                )
                code = answer.json()["code"]  # some look for the thing first, which is not there
                assert code == "forbidden" or code.endswith("_not_found"), f"{method} {path}"


# ------------------------------------------------------------------ the keys


def test_a_key_without_scopes_is_limited_by_its_role_alone(people: People) -> None:
    issued = people.add_key(SYSTEM, NewKey("old", Role.OPERATOR))
    assert people.authenticate(issued.secret) == Actor("key:old", Role.OPERATOR)
    assert people.keys(SYSTEM)[0][1].scopes is None
    people.authenticate(issued.secret).require_scope(Scope.DDI)


def test_the_scopes_of_a_key_are_kept(people: People) -> None:
    wanted = frozenset({Scope.READ, Scope.COMMANDS})
    issued = people.add_key(SYSTEM, NewKey("ci", Role.OPERATOR, scopes=wanted))
    actor = people.authenticate(issued.secret)
    assert actor.scopes == people.keys(SYSTEM)[0][1].scopes == wanted
    with pytest.raises(Forbidden) as caught:
        actor.require_scope(Scope.DEVICES)
    assert caught.value.slug == "scope_missing"


@pytest.mark.parametrize(
    ("role", "scopes", "code"),
    [
        (Role.VIEWER, {Scope.DEVICES}, "scope_beyond_role"),
        (Role.OPERATOR, {Scope.READ, Scope.ADMIN}, "scope_beyond_role"),
        (Role.ADMIN, set(), "no_scopes"),
    ],
)
def test_a_scope_never_goes_beyond_the_role(
    people: People, role: Role, scopes: set[Scope], code: str
) -> None:
    with pytest.raises(Invalid) as caught:
        people.add_key(SYSTEM, NewKey("x", role, scopes=frozenset(scopes)))
    assert caught.value.slug == code
    assert people.keys(SYSTEM) == []


def test_a_key_makes_no_key_with_more_scopes_than_its_own(people: People) -> None:
    narrow = Actor("key:x", Role.ADMIN, scopes=frozenset({Scope.ADMIN, Scope.READ}))
    for wanted in (None, frozenset({Scope.DEVICES})):
        with pytest.raises(Forbidden) as caught:
            people.add_key(narrow, NewKey("y", Role.ADMIN, scopes=wanted))
        assert caught.value.slug == "scope_missing"
    people.add_key(narrow, NewKey("y", Role.VIEWER, scopes=frozenset({Scope.READ})))


def test_rest_takes_and_shows_scopes(admin: httpx.Client) -> None:
    body = {"name": "ci", "role": "operator", "scopes": ["commands", "read"]}
    made = admin.post("/api/v1/api-keys", json=body)
    assert made.json()["scopes"] == ["read", "commands"]
    listed = {one["name"]: one["scopes"] for one in admin.get("/api/v1/api-keys").json()["items"]}
    assert listed == {"ci": ["read", "commands"], "admin": None}
    for wrong in ([], ["everything"], "read"):
        answer = admin.post("/api/v1/api-keys", json={**body, "scopes": wrong})
        assert answer.status_code == 422


@pytest.mark.parametrize("path", ["devices/a/telemetry", "devices/a/recover"])
def test_no_key_is_taken_where_a_device_logs_in(
    platform: App, nobody: httpx.Client, path: str
) -> None:
    secret = platform.people.add_key(SYSTEM, NewKey("all", Role.ADMIN)).secret
    for headers in ({"Authorization": f"Bearer {secret}"}, {"X-API-Key": secret}):
        answer = nobody.post(f"/api/v1/{path}", json={}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "device_login_needed")
