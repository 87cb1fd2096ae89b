"""Attributes over REST: merge patch, versions, search, sort and paging, and claim codes."""

from __future__ import annotations

import httpx
import pytest

from mooring.app import App
from tests.integration.http.conftest import ClientOf
from tests.integration.http.rows import AddDevice
from tests.integration.http.test_rest import problem, walk


@pytest.fixture
def any_database_url(new_sqlite_url: str) -> str:
    """SQLite alone: the services behind the routes are tested on both engines."""
    return new_sqlite_url


def test_a_merge_patch_with_a_version(
    platform: App, client_of: ClientOf, add_device: AddDevice
) -> None:
    add_device("lamp", tenant="a")
    client = client_of("operator", tenant="a")
    path = "/api/v1/devices/lamp/attributes"
    empty = client.get(path)
    assert empty.json()["attributes"] == {}
    patch = {"type": "lamp", "tags": ["b", "a"], "position": {"lat": 1, "lon": 2}, "x": None}
    content_type = {"Content-Type": "application/merge-patch+json"}
    first = client.patch(
        path, json=patch, headers={"If-Match": empty.headers["etag"], **content_type}
    )
    assert first.status_code == 200, first.text
    said = first.json()
    assert said["attributes"] == {
        "type": "lamp",
        "tags": ["a", "b"],
        "position": {"lat": 1.0, "lon": 2.0},
    }
    assert said["sources"]["type"]["source"] == "person"
    assert said["sources"]["type"]["by"].startswith("key:")
    late = client.patch(path, json={"type": "x"}, headers={"If-Match": empty.headers["etag"]})
    problem(late, 412, "outdated")
    current = f'"other", W/{first.headers["etag"]}'
    assert client.patch(path, json={"type": None}, headers={"If-Match": current}).is_success
    again = client.get(path)
    assert "type" not in again.json()["attributes"]
    assert again.headers["etag"] not in (first.headers["etag"], empty.headers["etag"])
    assert client.patch(path, json={"type": "y"}, headers={"If-Match": "*"}).is_success
    problem(client.patch(path, json={"timezone": "Mars"}), 422, "invalid_attribute")
    problem(client.patch(path, json={"label": "x"}), 422, "invalid_attribute")
    many = {f"n{number}": number for number in range(33)}
    problem(client.patch(path, json=many), 409, "limit_reached")
    assert client.get("/api/v1/devices/lamp").json()["attributes"]["type"] == "y"


def test_a_list_by_attributes(admin: httpx.Client) -> None:
    for number in range(7):
        body = {
            "name": f"d{number}",
            "dialect": "pulse",
            "tenant": "a",
            "attributes": {"floor": number % 3, "tags": ["even" if number % 2 == 0 else "odd"]},
        }
        assert admin.post(
            "/api/v1/devices", json=body | ({} if number else {"attributes": {}})
        ).is_success

    def names(query: str, limit: int = 2) -> list[str]:
        return [item["device"] for item in walk(admin, f"/api/v1/devices?{query}", limit)]

    assert names("where=tag%3Deven&where=floor!%3D2") == ["d4", "d6"]
    assert names("sort=-floor") == ["d5", "d2", "d4", "d1", "d6", "d3", "d0"]
    assert names("sort=floor&where=floor%3D*", 500) == ["d3", "d6", "d1", "d4", "d2", "d5"]
    cursor = admin.get("/api/v1/devices?limit=1").json()["next_cursor"]
    answer = admin.get(f"/api/v1/devices?limit=1&sort=floor&cursor={cursor}")
    problem(answer, 422, "invalid_cursor")
    problem(admin.get("/api/v1/devices?where=floor"), 422, "invalid_search")
    problem(admin.get("/api/v1/devices?sort=position"), 422, "invalid_search")


def test_a_claim_code_gives_attributes(platform: App, admin: httpx.Client) -> None:
    new = {"dialect": "pulse", "attributes": {"type": "pump", "room": "cellar"}}
    issued = admin.post("/api/v1/claim-codes", json=new).json()
    assert issued["attributes"] == new["attributes"]
    claim = {"code": issued["code"], "hardware_id": "AA:BB:CC:DD:EE:FF"}
    claimed = admin.post("/api/v1/claims", json=claim).json()
    path = f"/api/v1/devices/{claimed['device']}/attributes"
    said = admin.get(path).json()
    assert said["attributes"] == new["attributes"]
    assert said["sources"]["room"] | {"at": ""} == {
        "source": "claim code",
        "by": f"claim {issued['id']}",
        "at": "",
    }
    # Claimed again, a person's value stays and a new one is added.
    admin.patch(path, json={"room": "attic"})
    more = {
        "dialect": "pulse",
        "name": claimed["device"],
        "attributes": {"room": "x", "type": "fan"},
    }
    issued = admin.post("/api/v1/claim-codes", json=more).json()
    admin.post("/api/v1/claims", json=claim | {"code": issued["code"]})
    assert admin.get(path).json()["attributes"] == {"type": "fan", "room": "attic"}
