"""Groups over HTTP."""

from __future__ import annotations

from tests.integration.http.conftest import ClientOf
from tests.integration.http.rows import AddDevice

PATH = "/api/v1/groups"


def test_a_static_group(add_device: AddDevice, client_of: ClientOf) -> None:
    for name in ("p-1", "p-2", "p-3"):
        add_device(name, tenant="a", dialect="pulse")
    client = client_of("operator", tenant="a")
    made = client.post(PATH, json={"name": "cellar", "description": "Pumps", "priority": 2})
    assert made.status_code == 201
    assert made.json() | {"created_at": "", "created_by": ""} == {
        "group": "cellar",
        "tenant": "a",
        "dynamic": False,
        "query": None,
        "description": "Pumps",
        "priority": 2,
        "devices": 0,
        "created_at": "",
        "created_by": "",
    }
    members = f"{PATH}/cellar/members"
    planned = client.post(f"{members}?dry_run=true", json={"devices": ["p-1", "p-2"]}).json()
    expected = {"devices": 2, "rights_changed": 0, "sessions_ended": 0}
    assert planned == expected | {"applied_by_broker": None}
    assert client.get(members).json()["items"] == []
    done = client.post(members, json={"devices": ["p-1", "p-2"], "reason": "moved"}).json()
    assert done == expected | {"applied_by_broker": True}
    page = client.get(members, params={"limit": 1}).json()
    rest = client.get(page["next"]).json()
    assert [one["device"] for one in (*page["items"], *rest["items"])] == ["p-1", "p-2"]
    assert page["items"][0]["groups"] == ["cellar"]
    assert client.post(members, json={"where": "name = p-3"}).json()["devices"] == 1
    gone = client.post(f"{members}/remove", json={"group": "cellar"}).json()
    assert gone["devices"] == 3
    changed = client.patch(f"{PATH}/cellar", json={"description": "x"}).json()
    assert (changed["description"], changed["priority"]) == ("x", 2)
    assert client.delete(f"{PATH}/cellar").json()["devices"] == 0
    assert client.get(f"{PATH}/cellar").json()["code"] == "group_not_found"


def test_a_dynamic_group(add_device: AddDevice, client_of: ClientOf) -> None:
    add_device("p-1", tenant="a", dialect="pulse")
    client = client_of("operator", tenant="a")
    new = {"name": "pulses", "query": "dialect = pulse and not online"}
    assert client.post(f"{PATH}?dry_run=true", json=new).json()["devices"] == 1
    assert client.get(PATH).json()["items"] == []
    assert client.post(PATH, json=new).json()["devices"] == 1
    listed = client.get(PATH, params={"limit": 1}).json()
    assert [(one["group"], one["devices"]) for one in listed["items"]] == [("pulses", None)]
    items = client.get(f"{PATH}/pulses/members").json()["items"]
    assert [one["device"] for one in items] == ["p-1"]
    found = client.get("/api/v1/devices", params={"where": new["query"]}).json()["items"]
    assert [one["device"] for one in found] == ["p-1"]
    wrong = client.patch(f"{PATH}/pulses", json={"query": "dialect = pulse online"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_search")
    assert wrong.json()["context"] == {"position": 17, "expected": "'and', 'or' or the end"}
    conflict = client.post(f"{PATH}/pulses/members", json={"all": True})
    assert (conflict.status_code, conflict.json()["code"]) == (409, "group_is_dynamic")


def test_what_is_not_a_selection(add_device: AddDevice, client_of: ClientOf) -> None:
    add_device("p-1", tenant="a", dialect="pulse", groups=("cellar",))
    client = client_of("operator", tenant="a")
    for body, code in (
        ({}, "invalid_selector"),
        ({"all": False}, "invalid_selector"),
        ({"devices": []}, "invalid_selector"),
        ({"devices": ["p-1"], "all": True}, "invalid_selector"),
        ({"devices": ["p-1"], "where": "online"}, "invalid_selector"),
        ({"devices": ["p\u0000"]}, "invalid_request"),
        ({"where": "type = \u0000"}, "invalid_search"),
        ({"where": "x" * 1001}, "invalid_request"),
        ({"where": "not " * 100 + "online"}, "invalid_search"),
        ({"devices": ["p-9"]}, "device_not_found"),
        ({"group": "nobody"}, "group_not_found"),
    ):
        answer = client.post(f"{PATH}/cellar/members", json=body)
        assert answer.json()["code"] == code, (body, answer.text)
    assert client.get(f"{PATH}/%00").json()["code"] == "invalid_request"
    assert client.get(PATH, params={"tenant": "b"}).json()["code"] == "tenant_not_found"
