"""Groups as a way to another tenant's devices: equal names, queries that ask too much."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.attacks.stand import Attacked

HEAT = "heat"


def spy(attacked: Attacked) -> httpx.Client:
    """An administrator of the tenant ``attacker``."""
    attacked.attacker()  # the tenant exists
    with attacked.admin() as admin:
        new = {"name": f"spy-{len(attacked.clients)}", "role": "admin", "tenant": "attacker"}
        key = admin.post("/api/v1/api-keys", json=new).json()["key"]
    return attacked.http(headers={"Authorization": f"Bearer {key}"})


@pytest.mark.attack("joins a group with another tenant's name")
def test_an_equal_name_hears_nothing(attacked: Attacked) -> None:
    """Topics of this dialect name the group and no tenant."""
    victim = attacked.device("victim", dialect="iotflow", groups=[HEAT])
    attacker = attacked.device("attacker", dialect="iotflow", groups=[HEAT])
    listens = attacked.client(attacker)
    listens.subscribe(f"iotflow/fleet/commands/{HEAT}", qos=1)
    hears = attacked.client(victim)
    hears.subscribe(victim.topics["command"], f"iotflow/fleet/commands/{HEAT}")
    with attacked.admin() as admin:
        new = {"name": f"owner-{victim.device}", "role": "operator", "tenant": "victim"}
        key = admin.post("/api/v1/api-keys", json=new).json()["key"]
    with attacked.http(headers={"Authorization": f"Bearer {key}"}) as owner:
        path, sent = f"/api/v1/mqtt/fleet/{HEAT}/command", {"command": "open"}
        answer = owner.post(path, json={**sent, "broadcast": True})
        assert answer.json()["code"] == "no_group_topic"
        answer = owner.post(path, json=sent)
        assert answer.is_success, answer.text
    assert json.loads(hears.collect()[0].payload)["command"] == "open"
    assert listens.waiting() == []


@pytest.mark.attack("reads and changes another tenant's groups")
def test_no_other_tenants_groups(attacked: Attacked) -> None:
    victim = attacked.device("victim", groups=["cellar"])
    attacked.device("attacker", groups=["cellar"])
    query = f"name = {victim.device}"
    with spy(attacked) as client:
        for method, path, body in (
            ("GET", "groups?tenant=victim", None),
            ("GET", "groups/cellar?tenant=victim", None),
            ("GET", "groups/cellar/members?tenant=victim", None),
            ("POST", "groups", {"name": "x", "tenant": "victim"}),
            ("PATCH", "groups/cellar?tenant=victim", {"priority": 9}),
            ("DELETE", "groups/cellar?tenant=victim", None),
            ("POST", "groups/cellar/members?tenant=victim", {"all": True}),
            ("POST", "groups/cellar/members/remove?tenant=victim", {"all": True}),
            ("POST", "groups/cellar/members", {"devices": [victim.device]}),
        ):
            answer = client.request(method, f"/api/v1/{path}", json=body)
            assert answer.status_code == 404, f"{method} {path}: {answer.text}"
        counted = client.post(
            "/api/v1/groups?dry_run=true", json={"name": "peek", "query": f"{query} or enabled"}
        ).json()
        members = client.get("/api/v1/groups/cellar/members").json()["items"]
        found = client.get("/api/v1/devices", params={"where": query}).json()["items"]
    own = attacked.platform.rows("SELECT count(*) FROM devices WHERE tenant = 'attacker'")
    assert [(counted["devices"],)] == own  # not one more
    assert {one["tenant"] for one in members} == {"attacker"}
    assert found == []


HOSTILE: dict[str, Any] = {
    "of a kilobyte": "a = " + "x" * 2000,
    "of many conditions": " or ".join(["type = x"] * 100),
    "in a thousand parentheses": "(" * 490 + "online" + ")" * 490,
    "of negations": "not " * 200 + "online",
    "with many wildcards": "name ~ " + "*a" * 100,
    "with a NUL": "type = 'a\0b'",
    "that turns round": "\u202etype = x",
    "with another statement": "type = x'; DROP TABLE devices; --",
    "with an unknown field": "password = x",
}


@pytest.mark.attack("asks hostile queries")
def test_hostile_queries(attacked: Attacked) -> None:
    with spy(attacked) as client:
        for what, query in HOSTILE.items():
            answer = client.post("/api/v1/groups", json={"name": "hostile", "query": query})
            expected = 201 if what == "with an unknown field" else 422  # it is an attribute
            assert answer.status_code == expected, f"{what}: {answer.text}"
        found = client.post(
            "/api/v1/groups?dry_run=true",
            json={"name": "like", "query": "name ~ '%' or name ~ '_'"},
        )
        assert found.json()["devices"] == 0  # neither is a wildcard
        assert client.get("/api/v1/groups/hostile").json()["devices"] == 0
        assert client.delete("/api/v1/groups/hostile").is_success
