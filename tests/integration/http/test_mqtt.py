"""The endpoints an IoTFlow fleet's tools call, with a real Mosquitto behind them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.commands.moving import CommandOwner
from mooring.dialects import parse_time
from mooring.downlink.protocol import Asked, Listening
from mooring.downlink.worker import Sender
from mooring.identity.actor import SYSTEM
from mooring.jobs.worker import JobWorker
from mooring.publish import fleet as fleets
from mooring.publish import service
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.leases import Lease
from mooring.store.schema import audit, downlinks
from mooring.web import publisher
from tests.integration.http.conftest import ClientOf
from tests.integration.http.rows import AddDevice, tally
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import MqttClient
from tests.support.waiting import wait_until

Connect = Callable[..., MqttClient]
BASE = "/api/v1/mqtt"


@pytest.fixture
def any_database_url(new_sqlite_url: str) -> str:
    return new_sqlite_url


@pytest.fixture
def settings(tmp_path: Path, any_database_url: str, broker: Mosquitto) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=any_database_url,
        mqtt_port=broker.port,
        client_ids="own",
    )


class Everybody:
    """A gate that is open: what a device listens to is tried elsewhere."""

    open = True

    async def listening(self, asked: Sequence[Asked]) -> Mapping[int, Listening]:
        return {one.id: Listening("") for one in asked} if self.open else {}


@pytest.fixture(autouse=True)
def worker(platform: App) -> Iterator[None]:
    """Stands for ``mooring worker``: what the serving process writes is sent from elsewhere."""
    endpoint = platform.endpoint("mooring-test-worker")
    loop = asyncio.new_event_loop()
    sender = Sender(
        platform.database,
        platform.instance,
        endpoint,
        gate=Everybody(),
        live=CommandOwner(platform.settings),
    )
    task = loop.create_task(sender.run())
    task.add_done_callback(lambda _: loop.stop())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield
    loop.call_soon_threadsafe(task.cancel)
    thread.join(20)
    loop.close()


def connected(client: httpx.Client) -> bool:
    return bool(client.get(f"{BASE}/status").json()["connected"])


@pytest.fixture
def admin(client_of: ClientOf) -> httpx.Client:
    client = client_of("admin")
    wait_until(lambda: connected(client), "a connection to the broker")
    return client


@pytest.fixture
def listener(broker: Mosquitto, mqtt_client: Connect) -> MqttClient:
    """Hears everything."""
    client = mqtt_client(broker.port)
    client.subscribe("#", qos=2)
    return client


def test_what_is_published_arrives(
    platform: App, admin: httpx.Client, listener: MqttClient
) -> None:
    for payload, expected in (("plain", b"plain"), ({"a": [1, "ö"]}, '{"a": [1, "ö"]}'.encode())):
        sent = {"topic": "some/topic", "payload": payload, "qos": 2, "reason": "trying"}
        answer = admin.post(f"{BASE}/publish", json=sent)
        assert answer.status_code == 202
        assert answer.json() == {
            "topic": "some/topic",
            "qos": 2,
            "retain": False,
            "bytes": len(expected),
        }
        (message,) = listener.collect()
        assert (message.topic, message.payload, message.qos) == ("some/topic", expected, 2)
    with platform.database.read() as connection:
        entry = connection.execute(
            sa.select(audit.c.action, audit.c.subject, audit.c.reason).order_by(audit.c.id.desc())
        ).first()
    assert entry == ("mqtt.publish", "some/topic", "trying")


def test_a_retained_message_stays(
    admin: httpx.Client, broker: Mosquitto, mqtt_client: Connect
) -> None:
    admin.post(f"{BASE}/publish", json={"topic": "kept", "payload": "x", "retain": True})
    late = mqtt_client(broker.port)
    late.subscribe("kept")
    (message,) = late.collect()
    assert message.retain


def test_what_may_not_be_published_is_not(
    platform: App,
    admin: httpx.Client,
    client_of: ClientOf,
    add_device: AddDevice,
    listener: MqttClient,
) -> None:
    add_device("mine", tenant="a", dialect="iotflow")
    add_device("theirs", tenant="b", dialect="iotflow")
    topic = "iotflow/devices/{}/commands/control"
    tenant = client_of("operator", tenant="a")
    for client, target, status in (
        (admin, "a/#", 422),
        (admin, "$CONTROL/dynamic-security/v1", 422),
        (admin, "\x01", 422),
        (client_of("viewer"), topic.format("mine"), 403),
        (client_of("operator"), "iotflow/devices/mine/telemetry/sensors", 403),
        (tenant, topic.format("theirs"), 403),
        (tenant, topic.format("nobody"), 403),
        (tenant, topic.format("mine"), 202),
    ):
        answer = client.post(f"{BASE}/publish", json={"topic": target, "payload": "x"})
        assert answer.status_code == status, (target, answer.text)
    large = "x" * (platform.settings.message_size_limit // 2)
    sent = {"topic": "x", "payload": [large, large]}
    assert admin.post(f"{BASE}/publish", json=sent).status_code in {413, 422}
    assert [m.topic for m in listener.collect()] == [topic.format("mine")]
    assert listener.waiting() == []


def test_a_command_reaches_the_device_in_its_dialect(
    admin: httpx.Client, add_device: AddDevice, listener: MqttClient
) -> None:
    add_device("s1", dialect="iotflow")
    sent = {"command": "restart", "parameters": {"delay": 5}}
    before = now_ms()
    answer = admin.post(f"{BASE}/device/s1/command", json=sent)
    assert answer.status_code == 202
    (message,) = listener.collect()
    assert message.topic == answer.json()["topic"] == "iotflow/devices/s1/commands/control"
    assert message.qos == 2
    body = json.loads(message.payload)
    assert body["command"] == "restart"
    assert body["parameters"] == {"delay": 5}
    assert body["command_id"] == answer.json()["command_id"]
    assert before <= (parse_time(body["timestamp"]) or 0) <= now_ms()
    admin.post(
        f"{BASE}/device/s1/command",
        json={"command": "x", "channel": "commands_config", "command_id": "mine-1"},
    )
    (message,) = listener.collect()
    assert message.topic == "iotflow/devices/s1/commands/config"
    assert json.loads(message.payload)["command_id"] == "mine-1"


def test_a_command_can_be_a_word_of_the_topic(
    admin: httpx.Client, add_device: AddDevice, listener: MqttClient
) -> None:
    add_device("m1", dialect="mooring", tenant="a")
    admin.post(f"{BASE}/device/m1/command", json={"command": "blink"})
    assert listener.collect()[0].topic == "mooring/a/m1/command/blink"
    for word in ("a/b", "#", "+", "\ufffe"):
        answer = admin.post(f"{BASE}/device/m1/command", json={"command": word})
        assert answer.status_code == 422, word
    answer = admin.post(f"{BASE}/device/m1/command", json={"command": "x", "channel": "no"})
    assert answer.json()["code"] == "channel_not_found"
    assert listener.waiting() == []


def fleet(client: httpx.Client, group: str, **more: Any) -> dict[str, Any]:
    answer = client.post(f"{BASE}/fleet/{group}/command", json={"command": "restart", **more})
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    return document


@pytest.fixture
def work(platform: App) -> Callable[[], None]:
    """What the worker of jobs does until nothing is due."""
    jobs = JobWorker(platform.database, platform.instance, platform.settings, platform.job_kinds())

    def step() -> None:
        while jobs.step():
            pass

    return step


def test_a_fleet_command_is_a_job_that_tracks_each_device(  # noqa: PLR0917
    platform: App,
    admin: httpx.Client,
    client_of: ClientOf,
    add_device: AddDevice,
    listener: MqttClient,
    work: Callable[[], None],
) -> None:
    add_device("i1", tenant="a", dialect="iotflow", groups=("g",))
    add_device("i2", tenant="a", dialect="iotflow", groups=("g",))
    add_device("s1", tenant="a", dialect="smarthome", groups=("g",))
    off = add_device("off", tenant="a", dialect="iotflow", groups=("g",))
    platform.devices.set_enabled(SYSTEM, off.reference, enabled=False)
    add_device("other", tenant="b", dialect="iotflow", groups=("g",))
    operator = client_of("operator", tenant="a")
    asked = {"command_id": "cmd_12345", "parameters": {"delay": 5}, "pace_per_second": 50}
    sent = fleet(operator, "g", **asked)
    topics = {
        "iotflow/devices/i1/commands/control",
        "iotflow/devices/i2/commands/control",
        "smarthome/a/s1/commands",
    }
    assert (sent["command_id"], sent["group"], sent["devices"]) == ("cmd_12345", "g", 3)
    assert set(sent["topics"]) == topics
    (number,) = sent["jobs"]
    work()
    arrived = listener.collect(3)
    assert {message.topic for message in arrived} == topics
    for message in arrived:
        assert "cmd_12345" in message.payload.decode()
    job = operator.get(f"/api/v1/jobs/{number}").json()
    assert (job["kind"], job["pace_per_second"], job["what"]["id"]) == ("command", 50, "cmd_12345")
    counts = job["counts"]
    assert (counts["total"], counts["handed_over"], counts["skipped"]) == (4, 3, 1)
    shown = operator.get("/api/v1/devices/i1/commands").json()["items"][0]
    assert shown["evidence"][0]["kind"] == "job"

    # Asked again it is the same job; with something else under that id it is rejected.
    assert fleet(operator, "g", **asked) == sent
    other = operator.post(
        f"{BASE}/fleet/g/command", json={"command": "x", "command_id": "cmd_12345"}
    )
    assert (other.status_code, other.json()["code"]) == (409, "command_id_taken")
    work()
    assert listener.waiting() == []

    # A person of the whole platform starts one for each tenant.
    both = fleet(admin, "g", command_id="all-1")
    assert (both["devices"], len(both["jobs"])) == (4, 2)
    work()
    assert len({message.topic for message in listener.collect(4)}) == 4


def test_a_fleet_command_that_one_device_cannot_take_is_rejected(
    admin: httpx.Client, add_device: AddDevice
) -> None:
    """As a whole, with the code that a single command has; nothing is written."""
    add_device("i1", tenant="a", dialect="iotflow", groups=("g",))
    add_device("s1", tenant="a", dialect="smarthome", groups=("g",))
    for body, code in (
        ({"parameters": {"text": "x" * 300}}, "packet_too_large"),
        ({"channel": "commands_config"}, "channel_not_found"),
        ({"pace_per_second": -1}, "invalid_request"),
    ):
        answer = admin.post(f"{BASE}/fleet/g/command", json={"command": "x", **body})
        assert answer.status_code in {404, 422}, answer.text
        assert answer.json()["code"] == code
    assert admin.get("/api/v1/jobs").json()["items"] == []


def test_a_broadcast_goes_to_the_group_where_it_is_all_ones_own(
    admin: httpx.Client, client_of: ClientOf, add_device: AddDevice, listener: MqttClient
) -> None:
    add_device("i1", tenant="a", dialect="iotflow", groups=("g",))
    add_device("i2", tenant="a", dialect="iotflow", groups=("g",))
    add_device("s1", tenant="a", dialect="smarthome", groups=("g",))
    for client in (client_of("operator", tenant="a"), admin):
        sent = fleet(client, "g", broadcast=True)
        assert (sent["devices"], sent["jobs"]) == (2, [])
        assert sent["topics"] == ["iotflow/fleet/commands/g"]
        assert [m.topic for m in listener.collect()] == sent["topics"]


def test_a_broadcast_that_another_tenant_would_hear_is_rejected(
    work: Callable[[], None],
    client_of: ClientOf,
    admin: httpx.Client,
    add_device: AddDevice,
    listener: MqttClient,
) -> None:
    add_device("i1", tenant="a", dialect="iotflow", groups=("g",))
    add_device("i2", tenant="b", dialect="iotflow", groups=("g",))
    operator = client_of("operator", tenant="a")
    body = {"command": "restart", "broadcast": True}
    answer = operator.post(f"{BASE}/fleet/g/command", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_group_topic")
    sent = fleet(operator, "g")
    assert (sent["devices"], sent["topics"]) == (1, ["iotflow/devices/i1/commands/control"])
    work()
    assert [m.topic for m in listener.collect()] == sent["topics"]
    assert fleet(admin, "g", broadcast=True)["topics"] == ["iotflow/fleet/commands/g"]


def test_groups_that_cannot_be_commanded(
    admin: httpx.Client, add_device: AddDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    for body in ({"command": "x"}, {"command": "x", "broadcast": True}):
        answer = admin.post(f"{BASE}/fleet/none/command", json=body)
        assert answer.json()["code"] == "group_not_found"
    monkeypatch.setattr(fleets, "FLEET_MAX", 1)
    add_device("i1", dialect="iotflow", groups=("g",))
    add_device("i2", dialect="iotflow", groups=("g",))
    answer = admin.post(f"{BASE}/fleet/g/command", json={"command": "x"})
    assert answer.json()["code"] == "group_too_large"


def test_topics_are_listed_and_explained(admin: httpx.Client, add_device: AddDevice) -> None:
    add_device("s1", dialect="iotflow", groups=("g",))
    topics = admin.get(f"{BASE}/topics/device/s1").json()
    assert "iotflow/devices/s1/telemetry/sensors" in topics["publish"]
    assert "iotflow/fleet/commands/g" in topics["subscribe"]
    assert topics["topics"]["command"] == "iotflow/devices/s1/commands/control"
    structure = admin.get(f"{BASE}/topics/structure?dialect=iotflow").json()["dialects"]
    assert list(structure) == ["iotflow"]
    assert "iotflow/devices/{device_id}/status/heartbeat" in {
        channel["topic"] for channel in structure["iotflow"]
    }
    assert len(admin.get(f"{BASE}/topics/structure").json()["dialects"]) >= 6
    validate = lambda topic: admin.post(  # noqa: E731
        f"{BASE}/topics/validate", json={"topic": topic}
    ).json()
    found = validate("iotflow/devices/s1/telemetry/sensors")
    assert (found["valid_topic"], found["valid_filter"]) == (True, True)
    assert found["matches"] == [
        {
            "dialect": "iotflow",
            "channel": "telemetry",
            "kind": "telemetry",
            "direction": "up",
            "values": {"device": "s1"},
        }
    ]
    found = validate("iotflow/devices/+/telemetry/#")
    assert (found["valid_topic"], found["valid_filter"], found["matches"]) == (False, True, [])
    assert validate("a/b+")["valid_filter"] is False


def test_figures_are_for_administrators(
    platform: App, admin: httpx.Client, client_of: ClientOf
) -> None:
    tally(platform.database, messages_stored=3)
    assert admin.get(f"{BASE}/monitoring/metrics").json()["counters"] == {"messages_stored": 3}
    assert client_of("operator").get(f"{BASE}/monitoring/metrics").status_code == 403


def test_ready_with_a_broker_and_not_without(
    admin: httpx.Client, nobody: httpx.Client, broker: Mosquitto, add_device: AddDevice
) -> None:
    """What cannot be sent is refused, and the connection comes back with the broker."""
    wait_until(lambda: nobody.get("/readyz").status_code == 200, "readiness")
    add_device("s1", dialect="iotflow", groups=("g",))
    broker.stop()
    wait_until(lambda: not connected(admin), "the lost connection to be seen")
    for path in ("device/s1", "fleet/g"):
        answer = admin.post(f"{BASE}/{path}/command", json={"command": "x"})
        assert answer.status_code == 503
        assert answer.json()["code"] == "broker_unavailable"
    assert admin.get("/api/v1/jobs").json()["items"] == []
    wait_until(lambda: nobody.get("/readyz").status_code == 503, "unreadiness")
    broker.start()
    wait_until(lambda: nobody.get("/readyz").status_code == 200, "readiness")
    assert admin.post(f"{BASE}/device/s1/command", json={"command": "x"}).status_code == 202


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("publish", {"topic": "iotflow/devices/s1/command", "payload": {"n": 1}}),
        ("device/s1/command", {"command": "x"}),
        ("fleet/g/command", {"command": "x"}),
    ],
)
def test_a_request_waits_for_a_connection_that_was_just_lost(  # noqa: PLR0917
    admin: httpx.Client,
    nobody: httpx.Client,
    broker: Mosquitto,
    add_device: AddDevice,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    body: dict[str, object],
) -> None:
    monkeypatch.setattr(publisher, "RECONNECT_SECONDS", 20.0)  # the machine may be busy
    wait_until(lambda: nobody.get("/readyz").status_code == 200, "readiness")
    add_device("s1", dialect="iotflow", groups=("g",))
    broker.stop()
    wait_until(lambda: not connected(admin), "the lost connection to be seen")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(admin.post, f"{BASE}/{path}", json=body, timeout=60)
        with pytest.raises(NotInTime):
            asked.result(0.3)
        broker.start()
        answer = asked.result(60)
    assert answer.status_code == 202, answer.text


def test_starting_before_the_broker_is_no_fault(
    broker: Mosquitto, request: pytest.FixtureRequest
) -> None:
    broker.stop()
    nobody: httpx.Client = request.getfixturevalue("nobody")
    assert nobody.get("/healthz").status_code == 200
    assert nobody.get("/readyz").json()["reasons"] == ["broker: not connected"]
    broker.start()
    wait_until(lambda: nobody.get("/readyz").status_code == 200, "readiness")


def test_a_group_command_that_no_worker_sends_is_withdrawn(
    platform: App, admin: httpx.Client, add_device: AddDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "SENT_SECONDS", 0.2)
    monkeypatch.setattr(Lease, "fresh", False)
    monkeypatch.setattr(Lease, "held", lambda _self, **_options: False)
    add_device("s1", dialect="iotflow", groups=("g",))
    body = {"command": "x", "broadcast": True}
    answer = admin.post(f"{BASE}/fleet/g/command", json=body)
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unavailable")
    with platform.database.read() as connection:
        (row,) = connection.execute(sa.select(downlinks.c.state, downlinks.c.attempts)).all()
    assert tuple(row) == ("cancelled", 0)
    assert platform.telemetry.overview(SYSTEM).downlinks_open == 0


def test_a_command_waits_for_its_device_and_can_be_cancelled(
    admin: httpx.Client,
    client_of: ClientOf,
    add_device: AddDevice,
    listener: MqttClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody listens to everything; that says nothing of the device, which is away."""
    monkeypatch.setattr(Everybody, "open", False)
    add_device("s1", tenant="a", dialect="mooring")
    add_device("other", tenant="b", dialect="mooring")
    sent = {"command": "restart", "reason": "it hangs"}
    answer = admin.post(f"{BASE}/device/s1/command", json=sent)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    (downlink,) = admin.get("/api/v1/devices/s1/downlinks").json()["items"]
    assert (downlink["state"], downlink["attempts"], downlink["over"]) == ("queued", 0, False)
    assert (downlink["origin"], downlink["reason"]) == ("command", "it hangs")
    path = f"/api/v1/devices/s1/downlinks/{downlink['id']}"
    assert admin.delete(path).json()["code"] == "cancel_the_command"
    assert admin.delete("/api/v1/devices/s1/downlinks/999").json()["code"] == "downlink_not_found"
    path = f"/api/v1/commands/{answer.json()['number']}"
    assert client_of("operator", tenant="b").post(f"{path}/cancel").status_code == 404
    assert client_of("viewer").post(f"{path}/cancel").status_code == 403
    cancelled = client_of("operator", tenant="a").post(
        f"{path}/cancel", params={"reason": "wrong one"}
    )
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert admin.post(f"{path}/cancel").json()["code"] == "command_over"
    assert listener.waiting() == []


def test_commands_over_rest(
    admin: httpx.Client, add_device: AddDevice, listener: MqttClient
) -> None:
    add_device("s1", tenant="a", dialect="iotflow")
    path = "/api/v1/devices/s1/commands"
    sent = {"name": "restart", "parameters": {"delay": 5}, "reply_timeout_seconds": 5}
    first = admin.post(path, json=sent, headers={"Idempotency-Key": "k-1"})
    assert first.status_code == 202
    again = admin.post(path, json=sent, headers={"Idempotency-Key": "k-1"})
    assert again.json()["number"] == first.json()["number"]
    other = admin.post(path, json=sent | {"name": "x"}, headers={"Idempotency-Key": "k-1"})
    assert (other.status_code, other.json()["code"]) == (409, "command_id_taken")
    (message,) = listener.collect()
    assert json.loads(message.payload)["command_id"] == first.json()["id"]
    number = first.json()["number"]
    shown = wait_until(
        lambda: (one := admin.get(f"/api/v1/commands/{number}").json())["state"] == "sent" and one,
        "the command to be sent",
    )
    assert [one["kind"] for one in shown["evidence"]] == ["person", "packet"]
    late = admin.post(f"/api/v1/commands/{number}/cancel")
    assert (late.status_code, late.json()["code"]) == (409, "already_sent")
    admin.post(path, json={"name": "second"})
    page = admin.get(path, params={"limit": 1}).json()
    assert [one["name"] for one in page["items"]] == ["second"]
    page = admin.get(page["next"]).json()
    assert [one["name"] for one in page["items"]] == ["restart"]
    assert admin.get("/api/v1/commands", params={"state": "cancelled"}).json()["items"] == []
    for bad in (
        {"name": ""},
        {"name": "x", "reply_timeout_seconds": 0},
        {"name": "x", "expires_seconds": 1e9},
        {"name": "x", "unknown": 1},
    ):
        assert admin.post(path, json=bad).status_code == 422, bad
    now = admin.post(path, json={"name": "x", "now": True})
    assert (now.status_code, now.json()["code"]) == (409, "device_not_connected")


@pytest.mark.parametrize(
    "topic", ["iotflow/devices/s1/commands/control", "iotflow/fleet/commands/g"]
)
def test_no_command_is_retained(admin: httpx.Client, listener: MqttClient, topic: str) -> None:
    sent = {"topic": topic, "payload": "x", "retain": True}
    answer = admin.post(f"{BASE}/publish", json=sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "retain_on_command")
    assert listener.waiting() == []
