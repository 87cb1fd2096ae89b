"""Settings of devices over HTTP: merge patches, versions, and what is rejected."""

from __future__ import annotations

from tests.integration.http.conftest import ClientOf
from tests.integration.http.rows import AddDevice

PATCH = {"Content-Type": "application/merge-patch+json"}


def test_a_version_that_has_moved_on_is_412(add_device: AddDevice, client_of: ClientOf) -> None:
    add_device("lamp", tenant="a", dialect="mooring")
    client = client_of("operator", tenant="a")
    path = "/api/v1/devices/lamp/settings"
    first = client.get(path)
    assert (first.headers["ETag"], first.json()["state"]) == ('"0.0"', "none")
    given = {**PATCH, "If-Match": first.headers["ETag"]}
    done = client.patch(path, content=b'{"a":{"b":1},"c":2}', headers=given)
    assert (done.status_code, done.headers["ETag"]) == (200, '"1.1"')
    again = client.patch(path, content=b'{"c":null}', headers=given)
    assert (again.status_code, again.json()["code"]) == (412, "settings_changed")
    assert again.json()["context"] == {"version": "1.1"}
    for match in ("*", '"9.9", "2.2"', 'W/"2.3"'):
        assert client.patch(path, json={"c": None}, headers={"If-Match": match}).is_success
    found = client.get(path).json()
    assert (found["desired"], found["own"], found["version"]) == (
        {"a": {"b": 1}},
        {"a": {"b": 1}},
        2,
    )
    whole = client.put(path, json={"z": 1}, headers={"If-Match": '"2.4"'})
    assert whole.json()["desired"] == {"z": 1}
    history = client.get(f"{path}/history", params={"limit": 2}).json()
    assert [one["version"] for one in history["items"]] == [3, 2]
    rest = client.get(history["next"]).json()
    assert [one["version"] for one in rest["items"]] == [1]


def test_what_is_not_settings_is_rejected(add_device: AddDevice, client_of: ClientOf) -> None:
    add_device("lamp", tenant="a", dialect="mooring")
    client = client_of("admin", tenant="a")
    path = "/api/v1/devices/lamp/settings"
    for body in (b"[]", b'"x"', b"{", b'{"a":1e999}', b'{"a":NaN}', b'{"a":"\\ud800"}'):
        answer = client.patch(path, content=body, headers=PATCH)
        assert answer.status_code in (400, 422), body
    for query, code in (
        ("guard_seconds=5", "invalid_guard"),
        ("guard_seconds=99999", "invalid_request"),
    ):
        answer = client.patch(f"{path}?{query}", json={"a": 1})
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert client.post(f"{path}/adopt").json()["code"] == "nothing_reported"
    assert client.post(f"{path}/resend").json()["code"] == "no_settings"
    for level, place in (("device", "lamp"), ("planet", "x")):
        assert client.patch(f"/api/v1/settings/{level}/{place}", json={}).status_code == 422
    assert client.get(path).json()["version"] == 0


def test_a_level_and_its_schema(add_device: AddDevice, client_of: ClientOf) -> None:
    add_device("lamp", tenant="a", dialect="mooring")
    client = client_of("admin", tenant="a")
    path = "/api/v1/settings/group/east"
    assert client.get(path).json()["version"] == 0
    assert client.get(f"{path}/schema").json()["code"] == "schema_not_found"
    made = client.patch(f"{path}?priority=3", json={"x": 1})
    assert (made.headers["ETag"], made.json()["priority"]) == ('"1"', 3)
    schema = {"properties": {"x": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}
    assert client.put(f"{path}/schema", json=schema).json()["has_schema"] is True
    assert client.get(f"{path}/schema").json() == {"properties": {"x": {"type": "integer"}}}
    bad = client.patch(path, json={"x": "y"})
    assert bad.json()["code"] == "settings_break_schema"
    assert bad.json()["context"]["mistakes"][0]["path"] == "x"
    bad = client.put(f"{path}/schema", json={"properties": {"x": {"type": "nothing"}}})
    assert (bad.json()["code"], bad.json()["context"]["path"]) == (
        "invalid_schema",
        "properties.x.type",
    )
    assert client.delete(f"{path}/schema").json()["has_schema"] is False
    listed = client.get("/api/v1/settings").json()["items"]
    assert [(one["level"], one["name"]) for one in listed] == [("group", "east")]
