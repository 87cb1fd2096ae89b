"""The REST face over a real socket: logins, devices, readings, paging, problems, guards."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from mooring.app import App
from mooring.errors import DatabaseUnavailable
from mooring.identity.actor import SYSTEM, Role
from mooring.people.model import NewUser
from mooring.serve.app import create_app
from mooring.store.schema import audit, devices
from mooring.store.versions import bump
from mooring.telemetry.service import Telemetry
from mooring.web import errors
from mooring.web.guard import HEADERS
from tests.integration.http.conftest import ClientOf
from tests.integration.http.rows import AddDevice, say, spoil
from tests.support.waiting import wait_until

T0 = 1_771_000_000_000
PASSWORD = "a long enough one"


@pytest.fixture
def any_database_url(new_sqlite_url: str) -> str:
    """SQLite alone: the services behind the routes are tested on both engines."""
    return new_sqlite_url


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem in an answer, which must be complete."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["type"] == f"urn:mooring:problem:{code}"
    assert document["title"]
    assert document["detail"].endswith((".", "?"))
    assert document["instance"] == answer.request.url.path
    assert "Traceback" not in answer.text
    return document


def walk(client: httpx.Client, path: str, limit: int) -> list[dict[str, Any]]:
    """Every item, by the links that pages give."""
    link: str | None = f"{path}{'&' if '?' in path else '?'}limit={limit}"
    found: list[dict[str, Any]] = []
    while link:
        answer = client.get(link).json()
        assert len(answer["items"]) <= limit
        found += answer["items"]
        link = answer["next"]
    return found


# ------------------------------------------------------------------ who is asking


def test_login_and_what_it_is_good_for(platform: App, nobody: httpx.Client) -> None:
    platform.people.add(SYSTEM, NewUser("ada", Role.OPERATOR, password=PASSWORD))
    answer = nobody.post("/api/v1/login", json={"name": "ada", "password": PASSWORD})
    assert answer.status_code == 200
    session = answer.json()
    assert session["token_type"] == "bearer"
    bearer = {"Authorization": f"Bearer {session['token']}"}
    me = nobody.get("/api/v1/me", headers=bearer).json()
    assert me == {"name": "ada", "role": "operator", "tenant": None}
    changed = nobody.put(
        "/api/v1/me/password",
        headers=bearer,
        json={"current": PASSWORD, "new": "another good one"},
    )
    assert changed.status_code == 204
    problem(nobody.get("/api/v1/me", headers=bearer), 401, "token_void")


def test_a_login_is_renewed_and_a_stolen_refresh_token_ends_it(
    platform: App, nobody: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.people.add(SYSTEM, NewUser("rosa", Role.VIEWER, password=PASSWORD))
    first = nobody.post("/api/v1/login", json={"name": "rosa", "password": PASSWORD}).json()

    def renew(token: str) -> httpx.Response:
        return nobody.post("/api/v1/login/refresh", json={"refresh_token": token})

    def me(token: str) -> httpx.Response:
        return nobody.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})

    second = renew(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["refresh_expires_at"] == first["refresh_expires_at"]
    assert me(second["token"]).json()["name"] == "rosa"
    # The answer was lost: the same token again gives the same place in the row.
    assert renew(first["refresh_token"]).json()["refresh_token"] == second["refresh_token"]
    third = renew(second["refresh_token"]).json()
    assert me(third["token"]).status_code == 200
    monkeypatch.setattr("mooring.people.logins.REPEAT_MS", 0)
    problem(renew(second["refresh_token"]), 401, "refresh_void")  # somebody else has it
    problem(me(third["token"]), 401, "token_void")
    problem(renew(third["refresh_token"]), 401, "refresh_void")
    with platform.database.read() as connection:
        actions = connection.execute(sa.select(audit.c.action)).scalars().all()
    assert "login.refresh_reused" in actions


def test_what_ends_a_login_ends_its_refresh_token(platform: App, nobody: httpx.Client) -> None:
    platform.people.add(SYSTEM, NewUser("tom", Role.VIEWER, password=PASSWORD))

    def login() -> dict[str, str]:
        found: dict[str, str] = nobody.post(
            "/api/v1/login", json={"name": "tom", "password": PASSWORD}
        ).json()
        return found

    def refused(session: dict[str, str]) -> None:
        answer = nobody.post(
            "/api/v1/login/refresh", json={"refresh_token": session["refresh_token"]}
        )
        problem(answer, 401, "refresh_void")

    one = login()
    bearer = {"Authorization": f"Bearer {one['token']}"}
    assert nobody.post("/api/v1/logout", headers=bearer).status_code == 204
    refused(one)
    two = login()
    platform.people.set_disabled(SYSTEM, "tom", disabled=True)
    refused(two)
    platform.people.set_disabled(SYSTEM, "tom", disabled=False)
    refused(two)  # for good
    three = login()
    platform.people.set_password(SYSTEM, "tom", "another good one")
    refused(three)
    forged = three["refresh_token"][:-1] + ("0" if three["refresh_token"][-1] != "0" else "1")
    for token in (forged, "mr_", "", "mk_x", "\u0000", three["token"]):
        answer = nobody.post("/api/v1/login/refresh", json={"refresh_token": token})
        assert answer.status_code in (401, 422), answer.text


def test_a_wrong_login_is_a_problem_and_then_has_to_wait(
    platform: App, nobody: httpx.Client
) -> None:
    wrong = {"name": "ada", "password": "wrong"}
    for _ in range(platform.settings.login_attempts_per_minute):
        answer = nobody.post("/api/v1/login", json=wrong)
        problem(answer, 401, "login_failed")
        assert answer.headers["www-authenticate"] == "Bearer"
    answer = nobody.post("/api/v1/login", json=wrong)
    problem(answer, 429, "login_throttled")
    assert 0 < int(answer.headers["retry-after"]) <= 60


def test_a_key_works_in_both_headers(client_of: ClientOf, nobody: httpx.Client) -> None:
    secret = client_of("viewer").headers["Authorization"].removeprefix("Bearer ")
    answer = nobody.get("/api/v1/me", headers={"X-API-Key": secret})
    assert answer.json()["name"] == "key:viewer"
    problem(nobody.get("/api/v1/me", headers={"X-API-Key": secret + "x"}), 401, "key_invalid")
    problem(nobody.get("/api/v1/me"), 401, "login_needed")
    problem(nobody.get("/api/v1/me", headers={"Authorization": "Basic eDp5"}), 401, "login_needed")
    problem(nobody.get(f"/api/v1/me?key={secret}"), 401, "login_needed")


def test_a_key_has_no_password_to_change(admin: httpx.Client) -> None:
    answer = admin.put("/api/v1/me/password", json={"current": "x", "new": "y"})
    problem(answer, 403, "not_a_person")


# ------------------------------------------------------------------ devices


def test_a_device_from_its_making_to_its_end(admin: httpx.Client) -> None:
    new = {"name": "lamp", "dialect": "smarthome", "tenant": "home1", "label": "Hall"}
    answer = admin.post("/api/v1/devices", json=new)
    assert answer.status_code == 201
    made = answer.json()
    assert len(made["password"]) >= 22  # 128 bits
    assert made["topics"]["telemetry"] == "smarthome/home1/lamp/telemetry"
    assert made["accepted_by_broker"] is False  # nothing runs that could tell the broker
    shown = admin.get(answer.headers["location"]).json()
    assert (shown["device"], shown["tenant"], shown["label"]) == ("lamp", "home1", "Hall")
    assert made["password"] not in json.dumps(shown)
    assert shown["state"]["online"] is None
    for reference in ("lamp", "home1:lamp"):
        topics = admin.get(f"/api/v1/devices/{reference}/topics").json()["topics"]
        assert topics == made["topics"]
    again = admin.post("/api/v1/devices", json=new)
    assert problem(again, 409, again.json()["code"])["code"] in {"device_exists", "username_taken"}
    gone = admin.delete("/api/v1/devices/lamp")
    assert gone.status_code == 200
    assert gone.json()["removed"]["device"] == "lamp"
    problem(admin.get("/api/v1/devices/lamp"), 404, "device_not_found")


def test_a_location_is_an_address_whatever_the_name(admin: httpx.Client) -> None:
    new = {"name": "Küche 1%", "dialect": "smarthome", "tenant": "über"}
    answer = admin.post("/api/v1/devices", json=new)
    assert answer.status_code == 201, answer.text
    assert admin.get(answer.headers["location"]).json()["device"] == "Küche 1%"


def test_a_name_of_two_devices_is_a_conflict(admin: httpx.Client, add_device: AddDevice) -> None:
    add_device("lamp", tenant="a", dialect="pulse")
    add_device("lamp", tenant="b", dialect="pulse")
    problem(admin.get("/api/v1/devices/lamp"), 409, "device_ambiguous")
    assert admin.get("/api/v1/devices/b:lamp").json()["tenant"] == "b"


IMPOSSIBLE_DEVICES = [
    ({"name": "a/b"}, "invalid_id"),
    ({"name": "a+"}, "invalid_id"),
    ({"name": "\0"}, "invalid_request"),
    ({"name": 7}, "invalid_request"),
    ({"label": "x" * 400}, "invalid_request"),
    ({"mac": "zz"}, "invalid_mac"),
    ({"surprise": 1}, "invalid_request"),
    ({"groups": ["a/b"]}, "invalid_id"),
]


def test_a_device_that_cannot_be(admin: httpx.Client) -> None:
    for change, code in IMPOSSIBLE_DEVICES:
        new = {"name": "lamp", "dialect": "smarthome", **change}
        problem(admin.post("/api/v1/devices", json=new), 422, code)
        assert admin.get("/api/v1/devices").json()["items"] == []


def test_devices_are_found_by_tenant_dialect_and_search(
    admin: httpx.Client, add_device: AddDevice
) -> None:
    add_device("lamp", tenant="a")
    add_device("plug", tenant="b")
    add_device("lamp2", tenant="b", dialect="iotflow")
    names = lambda query: [d["device"] for d in walk(admin, f"/api/v1/devices?{query}", 1)]  # noqa: E731
    assert names("tenant=b") == ["plug", "lamp2"]
    assert names("dialect=iotflow") == ["lamp2"]
    assert names("search=LAMP") == ["lamp", "lamp2"]
    assert names("search=LAMP&tenant=b") == ["lamp2"]


WHO_MAY_ADD = [("viewer", 403), ("operator", 201), ("admin", 201)]


def test_who_may_add_a_device(client_of: ClientOf) -> None:
    for role, status in WHO_MAY_ADD:
        new = {"name": f"lamp-{role}", "dialect": "smarthome"}
        assert client_of(role).post("/api/v1/devices", json=new).status_code == status


def test_a_device_keeps_its_username_and_password(
    client_of: ClientOf, admin: httpx.Client, add_device: AddDevice
) -> None:
    add_device("own", tenant="a")
    new = {"name": "lamp", "dialect": "smarthome", "username": "esp-7", "password": "x" * 12}
    # Another tenant's next device may need that username.
    problem(client_of("admin", tenant="a").post("/api/v1/devices", json=new), 403, "forbidden")
    problem(client_of("operator").post("/api/v1/devices", json=new), 403, "forbidden")
    own = {"name": "plug", "dialect": "smarthome", "password": "x" * 12}
    assert client_of("operator", tenant="a").post("/api/v1/devices", json=own).status_code == 201
    made = admin.post("/api/v1/devices", json=new).json()
    assert (made["username"], made["password"]) == ("esp-7", None)
    for wrong, code in (
        ({"name": "b", "username": "mooring-ingest"}, "invalid_username"),
        ({"name": "b", "username": " esp"}, "invalid_username"),
        ({"name": "b", "username": "esp-9", "password": "short"}, "password_too_short"),
    ):
        answer = admin.post("/api/v1/devices", json={"dialect": "smarthome", **wrong})
        problem(answer, 422, code)
    twin = {"name": "c", "dialect": "smarthome", "username": "esp-7"}
    problem(admin.post("/api/v1/devices", json=twin), 409, "username_taken")


def test_a_tenants_operator_adds_devices_to_it_alone(
    client_of: ClientOf, add_device: AddDevice
) -> None:
    add_device("other", tenant="b")
    add_device("own", tenant="a")
    client = client_of("operator", tenant="a")
    made = client.post("/api/v1/devices", json={"name": "lamp", "dialect": "smarthome"}).json()
    assert made["tenant"] == "a"
    new = {"name": "lamp", "dialect": "smarthome", "tenant": "b"}
    problem(client.post("/api/v1/devices", json=new), 404, "tenant_not_found")
    problem(client.delete("/api/v1/devices/other"), 404, "device_not_found")


# ------------------------------------------------------------------ readings


def test_latest_and_history(platform: App, admin: httpx.Client, add_device: AddDevice) -> None:
    device = add_device("s1", dialect="iotflow")
    for number in range(5):
        say(platform.database, device, T0 + number * 1000, {"temperature": 20 + number}, seq=number)
    latest = admin.get("/api/v1/devices/s1/latest").json()
    (reading,) = latest["readings"]
    assert reading["values"] == {"temperature": 24}
    assert reading["payload"] == {"temperature": 24}
    assert reading["ts"] == "2026-02-13T16:26:44.000Z"
    assert reading["time_source"] == "device"
    path = "/api/v1/devices/s1/history"
    assert [m["seq"] for m in walk(admin, path, 2)] == [4, 3, 2, 1, 0]
    assert [m["seq"] for m in walk(admin, f"{path}?order=asc", 3)] == [0, 1, 2, 3, 4]
    query = "from=2026-02-13T16:26:41Z&to=2026-02-13T16:26:43Z&order=asc"
    assert [m["seq"] for m in walk(admin, f"{path}?{query}", 50)] == [1, 2]
    assert walk(admin, f"{path}?from=-1m", 50) == []
    points = walk(admin, f"{path}?metric=temperature&order=asc", 2)
    assert [point["value"] for point in points] == [20, 21, 22, 23, 24]
    problem(admin.get(f"{path}?from=soon"), 422, "invalid_time")
    problem(admin.get(f"{path}?channel=nothing"), 404, "channel_not_found")
    (listed,) = walk(admin, "/api/v1/latest", 10)
    assert listed["readings"] == latest["readings"]


def test_dead_letters_show_text_or_base64(platform: App, admin: httpx.Client) -> None:
    spoil(platform.database, T0, "nö".encode())
    spoil(platform.database, T0, b"\xff\x00")
    letters = walk(admin, "/api/v1/dead-letters", 1)
    assert [(x["encoding"], x["payload"]) for x in letters] == [("base64", "/wA="), ("text", "nö")]


# ------------------------------------------------------------------ paging


def test_paging_holds_everything_once_while_things_are_added(
    admin: httpx.Client, add_device: AddDevice
) -> None:
    for number in range(7):
        add_device(f"d{number}")
    first = admin.get("/api/v1/devices?limit=3").json()
    add_device("d7")
    rest = walk(admin, first["next"].replace("limit=3&", ""), 3)
    names = [d["device"] for d in first["items"] + rest]
    assert names == [f"d{number}" for number in range(8)]


def test_paging_limits(admin: httpx.Client, add_device: AddDevice) -> None:
    for number in range(51):
        add_device(f"d{number}")
    answer = admin.get("/api/v1/devices").json()
    assert len(answer["items"]) == 50
    assert answer["next"].startswith("/api/v1/devices?")
    for limit in ("0", "501", "-1", "x"):
        problem(admin.get(f"/api/v1/devices?limit={limit}"), 422, "invalid_request")
    for cursor in ("x", "WzFd", ""):
        answer = admin.get(f"/api/v1/strangers?cursor={cursor}")
        problem(answer, 422, "invalid_cursor")


def test_people_keys_tenants_and_audit_are_paged(admin: httpx.Client) -> None:
    for number in range(3):
        assert admin.post("/api/v1/tenants", json={"name": f"t{number}"}).status_code == 201
        user = {"name": f"u{number}", "tenant": f"t{number}"}
        assert admin.post("/api/v1/users", json=user).status_code == 201
        made = admin.post("/api/v1/api-keys", json={"name": f"k{number}", "expires_in_days": 1})
        assert made.json()["key"].startswith(f"mk_{made.json()['prefix']}_")
    assert [t["name"] for t in walk(admin, "/api/v1/tenants", 2)] == ["t0", "t1", "t2"]
    assert [u["name"] for u in walk(admin, "/api/v1/users", 2)] == ["u0", "u1", "u2"]
    assert [k["name"] for k in walk(admin, "/api/v1/api-keys", 2)] == ["k2", "k1", "k0", "admin"]
    entries = walk(admin, "/api/v1/audit", 4)
    assert len(entries) == 10
    assert [e["id"] for e in entries] == sorted((e["id"] for e in entries), reverse=True)


def test_people_over_rest(admin: httpx.Client, nobody: httpx.Client) -> None:
    made = admin.post("/api/v1/users", json={"name": "ada", "role": "operator"}).json()
    login = {"name": "ada", "password": made["password"]}
    assert nobody.post("/api/v1/login", json=login).status_code == 200
    assert admin.patch("/api/v1/users/ada", json={"disabled": True}).json()["disabled"] is True
    problem(nobody.post("/api/v1/login", json=login), 401, "login_failed")
    admin.patch("/api/v1/users/ada", json={"disabled": False})
    new = admin.put("/api/v1/users/ada/password", json={}).json()["password"]
    assert nobody.post("/api/v1/login", json={**login, "password": new}).status_code == 200
    assert admin.delete("/api/v1/users/ada").status_code == 204
    problem(admin.get("/api/v1/users/ada"), 404, "user_not_found")
    key = admin.post("/api/v1/api-keys", json={"name": "ci"}).json()
    header = {"X-API-Key": key["key"]}
    assert nobody.get("/api/v1/me", headers=header).json()["role"] == "viewer"
    assert admin.delete(f"/api/v1/api-keys/{key['prefix']}").status_code == 204
    problem(nobody.get("/api/v1/me", headers=header), 401, "key_revoked")


# ------------------------------------------------------------------ the platform


def test_documents(admin: httpx.Client, nobody: httpx.Client) -> None:
    assert nobody.get("/healthz").json() == {"status": "ok"}
    described = nobody.get("/api/v1/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    page = nobody.get("/api/v1/docs")
    assert page.headers["content-type"].startswith("text/html")
    for word in ("<script", "http://", "https://", "src="):
        assert word not in page.text
    for path in described["paths"]:
        assert f" {path}</code>" in page.text
    async_document = admin.get("/api/v1/asyncapi.json").json()
    assert async_document["asyncapi"] == "3.0.0"
    assert async_document["servers"]["broker"]["host"] == "127.0.0.1:8883"
    only = admin.get("/api/v1/asyncapi.json?dialect=pulse").json()
    assert 0 < len(only["channels"]) < len(async_document["channels"])
    names = [d["name"] for d in admin.get("/api/v1/dialects").json()["items"]]
    assert {"mousetrap", "drivesafe", "pulse", "iotflow", "smarthome", "mooring"} <= set(names)
    assert admin.get("/api/v1/dialects/pulse").json()["tenanted"] is True
    problem(admin.get("/api/v1/dialects/x"), 404, "dialect_not_found")


def test_ready_says_what_is_missing(platform: App, nobody: httpx.Client) -> None:
    answer = nobody.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "reasons": ["broker: not connected"]}


def test_metrics_are_for_this_machine_and_for_keys(
    platform: App, admin: httpx.Client, client_of: ClientOf, nobody: httpx.Client
) -> None:
    platform.people.add_tenant(SYSTEM, "a")
    text = nobody.get("/metrics").text
    assert "mooring_devices 0.0" in text
    assert 'mooring_http_requests_total{method="GET",status="200"}' in nobody.get("/metrics").text
    forwarded = {"X-Forwarded-For": "203.0.113.5"}
    problem(nobody.get("/metrics", headers=forwarded), 401, "login_needed")
    assert admin.get("/metrics", headers=forwarded).status_code == 200
    tenants = client_of("admin", tenant="a").get("/metrics", headers=forwarded)
    problem(tenants, 403, "forbidden")


def test_a_reloaded_dialect_is_served(
    platform: App, admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem(admin.get("/api/v1/dialects/greenhouse"), 404, "dialect_not_found")
    platform.settings.dialects_dir.mkdir(parents=True)
    source = (
        'name = "greenhouse"\ntitle = "Greenhouse"\nusername = "{device}"\n'
        'client_id = "{device}"\n[placeholders]\ndevice = "device"\n'
        '[[channels]]\nname = "telemetry"\ntopic = "gh/{device}/data"\ndirection = "up"\n'
        'kind = "telemetry"\n'
    )
    (platform.settings.dialects_dir / "greenhouse.toml").write_text(source)
    problem(admin.get("/api/v1/dialects/greenhouse"), 404, "dialect_not_found")
    with platform.database.write() as connection:
        bump(connection, "dialects")
    wait_until(
        lambda: admin.get("/api/v1/dialects/greenhouse").status_code == 200, "the new dialect"
    )
    new = {"name": "g1", "dialect": "greenhouse"}
    assert admin.post("/api/v1/devices", json=new).json()["topics"] == {"telemetry": "gh/g1/data"}


# ------------------------------------------------------------------ guards


def test_every_answer_has_the_security_headers(admin: httpx.Client, nobody: httpx.Client) -> None:
    for answer in (
        nobody.get("/healthz"),
        nobody.get("/nothing"),
        nobody.get("/api/v1/devices"),
        admin.get("/api/v1/devices"),
        admin.post("/api/v1/devices", content=b"{"),
    ):
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


def test_no_cors(nobody: httpx.Client) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    answer = nobody.options("/api/v1/devices", headers=asked)
    problem(answer, 405, "method_not_allowed")
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_large_body_is_refused_however_it_comes(nobody: httpx.Client) -> None:
    large = b'{"name":"' + b"x" * errors.BODY_MAX_BYTES + b'"}'
    header = {"Content-Type": "application/json"}
    answer = nobody.post("/api/v1/login", content=large, headers=header)
    problem(answer, 413, "body_too_large")
    pieces = (large[at : at + 65536] for at in range(0, len(large), 65536))
    answer = nobody.post("/api/v1/login", content=pieces, headers=header)
    problem(answer, 413, "body_too_large")


BAD_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"name":"\\ud800","password":"x"}',
    b'{"name":"a\\u0000","password":"x"}',
]


def test_a_bad_body_is_a_problem(nobody: httpx.Client) -> None:
    for content in BAD_BODIES:
        header = {"Content-Type": "application/json"}
        answer = nobody.post("/api/v1/login", content=content, headers=header)
        problem(answer, 422, "invalid_request")


def test_a_body_nested_too_deep_is_a_problem(nobody: httpx.Client) -> None:
    header = {"Content-Type": "application/json"}
    answer = nobody.post("/api/v1/login", content=b"[" * 100_000, headers=header)
    problem(answer, 400, "unreadable_body")


def test_a_problem_does_not_repeat_a_password(nobody: httpx.Client) -> None:
    secret = "hunter2-hunter2"
    answer = nobody.post("/api/v1/login", json={"name": "ada", "password": {"x": secret}})
    problem(answer, 422, "invalid_request")
    assert secret not in answer.text


ADDRESSES_WITH_NUL = [
    "/api/v1/devices/%00",
    "/api/v1/devices/a%00b/latest",
    "/api/v1/devices?search=%00",
    "/api/v1/users/%00",
]


def test_the_character_nul_is_refused_everywhere(admin: httpx.Client) -> None:
    for path in ADDRESSES_WITH_NUL:
        problem(admin.get(path), 422, "invalid_request")


UNKNOWN_ADDRESSES = ["/nothing", "/api", "/api/v1/nothing", "/api/v1/devices/a/b/c"]


def test_an_unknown_address_is_a_problem(admin: httpx.Client) -> None:
    for path in UNKNOWN_ADDRESSES:
        problem(admin.get(path), 404, "no_such_route")


def test_a_fault_of_ours_is_told_without_details(
    admin: httpx.Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = "nee" + "dle"  # the log shows the source line as well

    def fail(*_: object, **__: object) -> None:
        raise sa.exc.ProgrammingError("SELECT", {"password_hash": value}, KeyError("column"))

    monkeypatch.setattr(Telemetry, "overview", fail)
    answer = admin.get("/api/v1/status")
    document = problem(answer, 500, "internal")
    assert "column" not in answer.text
    assert document["context"]["incident"] in caplog.text
    assert "column" in caplog.text
    assert value not in caplog.text


def test_a_database_that_does_not_answer_is_a_problem(
    admin: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("The database does not work: it is away.", hint="Wait.")

    monkeypatch.setattr(Telemetry, "overview", fail)
    problem(admin.get("/api/v1/status"), 503, "database_unavailable")


def test_the_application_serves_nothing_but_its_routes(platform: App) -> None:
    """No automatic page that loads scripts from elsewhere, and no second OpenAPI document."""
    api: FastAPI = create_app(platform)
    assert (api.docs_url, api.redoc_url, api.openapi_url) == (None, None, None)


def test_devices_table_is_not_touched_by_a_refused_request(
    platform: App, client_of: ClientOf
) -> None:
    client_of("viewer").post("/api/v1/devices", json={"name": "x", "dialect": "smarthome"})
    with platform.database.read() as connection:
        assert connection.execute(sa.select(devices.c.id)).first() is None
