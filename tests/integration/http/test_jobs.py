"""Jobs over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from mooring.app import App
from mooring.jobs.worker import JobWorker
from tests.integration.http.conftest import ClientOf
from tests.integration.http.rows import AddDevice

NEW: dict[str, Any] = {
    "kind": "command",
    "what": {"name": "restart", "parameters": {"delay": 5}},
    "tenant": "a",
    "selection": {"all": True},
    "pace_per_second": 0,
    "reason": "why",
}


@pytest.fixture
def lamps(add_device: AddDevice) -> list[Any]:
    return [add_device(f"lamp-{n}", tenant="a", dialect="mooring") for n in range(3)]


def worker_of(platform: App) -> JobWorker:
    return JobWorker(platform.database, platform.instance, platform.settings, platform.job_kinds())


def work(worker: JobWorker) -> None:
    while worker.step():
        pass


def start(client: httpx.Client, **more: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/jobs", json={**NEW, **more})
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_way_of_a_job(platform: App, client_of: ClientOf, lamps: list[Any]) -> None:
    client = client_of("operator")
    made = start(client)
    assert (made["state"], made["pace_per_second"], made["what"]["name"]) == (
        "preparing",
        0,
        "restart",
    )
    path = f"/api/v1/jobs/{made['number']}"
    worker = worker_of(platform)
    work(worker)
    shown = client.get(path).json()
    assert (shown["state"], shown["counts"]["handed_over"]) == ("running", len(lamps))
    first = client.get(f"{path}/targets?limit=2").json()
    rest = client.get(first["next"]).json()
    devices = [one["device"] for one in first["items"] + rest["items"]]
    assert sorted(devices) == ["lamp-0", "lamp-1", "lamp-2"]
    assert rest["next"] is None
    assert {one["reference"].partition(":")[0] for one in first["items"]} == {"command"}
    changed = client.patch(path, json={"pace_per_second": 3, "stop_after": 2})
    assert (changed.json()["pace_per_second"], changed.json()["stop_after"]) == (3, 2)
    assert client.post(f"{path}/pause").json()["state"] == "paused"
    assert client.post(f"{path}/pause").json()["code"] == "job_state"
    assert client.post(f"{path}/resume").json()["state"] == "running"
    assert client.post(f"{path}/cancel?reason=no").json()["state"] == "cancelling"
    work(worker)
    work(worker)
    assert client.get(path).json()["counts"]["cancelled"] == 3
    assert [one["number"] for one in client.get("/api/v1/jobs?state=cancelled").json()["items"]]
    assert client.post(f"{path}/retry").json()["code"] == "job_state"


def test_the_same_key_starts_one_job(client_of: ClientOf, lamps: list[Any]) -> None:
    client = client_of("operator")
    again = {"Idempotency-Key": "k"}
    numbers = {
        client.post("/api/v1/jobs", json=NEW, headers=again).json()["number"] for _ in range(3)
    }
    assert len(numbers) == 1
    other = client.post("/api/v1/jobs", json={**NEW, "kind": "rotation", "what": {}}, headers=again)
    assert other.json()["code"] == "job_key_taken"
    assert lamps


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"selection": {}}, "which_devices"),
        ({"selection": {"all": True, "group": "g"}}, "which_devices"),
        ({"selection": {"group": "nobody"}}, "group_not_found"),
        ({"selection": {"devices": ["nobody"]}}, "device_not_found"),
        ({"selection": {"where": "type ="}}, "invalid_search"),
        ({"tenant": None}, "tenant_needed"),
        ({"tenant": "nobody"}, "tenant_not_found"),
        ({"kind": "dance"}, "unknown_job_kind"),
        ({"what": {}}, "invalid_job"),
        ({"waves": [50]}, "invalid_plan"),
    ],
)
def test_what_cannot_be_started(
    client_of: ClientOf, lamps: list[Any], changed: dict[str, Any], code: str
) -> None:
    answer = client_of("operator").post("/api/v1/jobs", json={**NEW, **changed})
    assert (answer.status_code, answer.json()["code"]) == (
        404 if code.endswith("not_found") else 422,
        code,
    ), answer.text
    assert lamps


def test_secret_fields_of_settings_are_masked(
    platform: App, client_of: ClientOf, lamps: list[Any]
) -> None:
    client = client_of("admin")
    schema = {"properties": {"key": {"type": "string", "x-secret": True}}}
    answer = client.put("/api/v1/settings/tenant/a/schema?tenant=a", json=schema)
    assert answer.status_code < 300, answer.text
    made = start(client, kind="settings", what={"patch": {"key": "hush", "n": 1}})
    assert made["what"]["patch"]["n"] == 1
    assert "hush" not in str(made)
    assert "hush" not in client.get("/api/v1/jobs").text
    with platform.database.read() as connection:
        stored = connection.exec_driver_sql("SELECT what FROM jobs").scalar_one()
    assert "hush" not in stored
    assert lamps
