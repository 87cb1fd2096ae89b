"""Charts and exports over HTTP."""

from __future__ import annotations

import csv
import io
import json

import pytest

from mooring.app import App
from mooring.devices.model import Device
from tests.integration.http.conftest import ClientOf
from tests.integration.http.rows import AddDevice, say

T0 = 1_771_000_020_000  # the beginning of a minute


@pytest.fixture
def lamp(platform: App, add_device: AddDevice) -> Device:
    device = add_device("lamp", dialect="mooring")
    for n, value in enumerate([20, 21.5, True, "off"]):
        say(platform.database, device, T0 + n * 1000, {"ts": 1, "values": {"t": value, "n": n}})
    return device


def test_values_as_they_were_sent(client_of: ClientOf, lamp: Device) -> None:
    answer = client_of("viewer").get(
        "/api/v1/devices/lamp/series", params={"metric": ["t", "n"], "from": T0, "to": T0 + 60_000}
    )
    assert answer.status_code == 200
    found = answer.json()
    assert found["source"] == "messages"
    assert found["start"] == "2026-02-13T16:27:00.000Z"
    assert [one["metric"] for one in found["curves"]] == ["t", "n"]
    assert found["curves"][0]["points"] == [
        {"ts": "2026-02-13T16:27:00.000Z", "value": 20},
        {"ts": "2026-02-13T16:27:01.000Z", "value": 21.5},
        {"ts": "2026-02-13T16:27:02.000Z", "value": True},
        {"ts": "2026-02-13T16:27:03.000Z", "value": "off"},
    ]


def test_steps(client_of: ClientOf, lamp: Device) -> None:
    answer = client_of("viewer").get(
        "/api/v1/devices/lamp/series",
        params={"metric": "n", "from": T0, "to": T0 + 4000, "step": 2, "aggregate": "sum"},
    )
    found = answer.json()
    assert (found["step_seconds"], found["aggregate"]) == (2.0, "sum")
    assert [point["value"] for point in found["curves"][0]["points"]] == [1, 5]


def test_minimum_mean_and_maximum_as_columns(client_of: ClientOf, lamp: Device) -> None:
    answer = client_of("viewer").get(
        "/api/v1/devices/lamp/chart",
        params={"metric": ["t", "n"], "from": T0, "to": T0 + 4000, "step": 2},
    )
    assert answer.status_code == 200
    found = answer.json()
    assert (found["source"], found["step_seconds"]) == ("messages", 2.0)
    assert found["curves"] == [
        {
            "metric": "t",
            "ts": [T0, T0 + 2000],
            "min": [20, 1],
            "mean": [20.75, 1.0],
            "max": [21.5, 1],
            "count": [2, 1],
        },
        {
            "metric": "n",
            "ts": [T0, T0 + 2000],
            "min": [0, 2],
            "mean": [0.5, 2.5],
            "max": [1, 3],
            "count": [2, 2],
        },
    ]


@pytest.mark.parametrize("path", ["series", "chart"])
@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"metric": "t", "from": "now", "to": "-1h"}, 422, "invalid_span"),
        ({"metric": "t", "from": "soon"}, 422, "invalid_time"),
        ({"metric": "t", "from": "-1h", "channel": "no"}, 404, "channel_not_found"),
        ({"metric": "t", "from": "-400d", "step": 0.5}, 422, "too_many_points"),
        ({"from": "-1h"}, 422, None),
    ],
)
def test_what_is_refused(
    *,
    client_of: ClientOf,
    lamp: Device,
    path: str,
    params: dict[str, str],
    status: int,
    code: str | None,
) -> None:
    answer = client_of("viewer").get(f"/api/v1/devices/lamp/{path}", params=params)
    assert answer.status_code == status
    assert code is None or answer.json()["code"] == code


def test_an_unknown_aggregate_is_refused(client_of: ClientOf, lamp: Device) -> None:
    params = {"metric": "t", "from": "-1h", "aggregate": "mode"}
    assert client_of("viewer").get("/api/v1/devices/lamp/series", params=params).status_code == 422


def test_export_as_csv_and_json_lines(client_of: ClientOf, lamp: Device) -> None:
    answer = client_of("viewer").get("/api/v1/devices/lamp/export")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="messages.csv"'
    header, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert len(rows) == 4
    assert json.loads(dict(zip(header, rows[1], strict=True))["payload"])["values"]["t"] == 21.5
    answer = client_of("viewer").get(
        "/api/v1/devices/lamp/export", params={"format": "jsonl", "from": T0 + 2000}
    )
    found = [json.loads(line) for line in answer.text.splitlines()]
    assert [one["payload"]["values"]["t"] for one in found] == [True, "off"]


def test_another_tenants_device_is_not_there(
    client_of: ClientOf, add_device: AddDevice, lamp: Device
) -> None:
    add_device("other", tenant="elsewhere")
    client = client_of("viewer", tenant="elsewhere")
    for path in ("series?metric=t&from=-1h", "chart?metric=t&from=-1h", "export", "metrics"):
        answer = client.get(f"/api/v1/devices/lamp/{path}")
        assert answer.status_code == 404
        assert answer.json()["code"] == "device_not_found"
