"""Today's ``mooring up`` on what 0.1.0 left behind: real data of a platform that ran with it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from mooring.store.migrate import newest
from tests.support.mqtt import MqttClient, Refused
from tests.support.older import Older
from tests.support.platform import Platform, running_platform
from tests.support.ports import free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(180)

QUEUED = 3
"""Messages that lay in the broker's file, for the session that ingest had in 0.1.0."""


@pytest.fixture(scope="module")
def certificates_port() -> int:
    return free_port()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def upgraded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificates_port: int
) -> Iterator[tuple[Platform, Older]]:
    env = {"MOORING_MQTT_MTLS_PORT": str(certificates_port)}
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").create_database()
        env["MOORING_DATABASE_URL"] = url
    older = Older(tmp_path_factory.mktemp("older") / "data", url)
    with running_platform(older.data_dir, env=env) as platform:
        yield platform, older


@pytest.fixture
def platform(upgraded: tuple[Platform, Older]) -> Platform:
    return upgraded[0]


@pytest.fixture
def older(upgraded: tuple[Platform, Older]) -> Older:
    return upgraded[1]


def ask(platform: Platform, path: str, token: str, method: str = "GET", body: Any = None) -> Any:
    answer = httpx.request(
        method,
        f"http://127.0.0.1:{platform.ports['http_port']}/api/v1/{path}",
        headers={"Authorization": f"Bearer {token}"} if token else {},
        json=body,
        timeout=30,
    )
    assert answer.is_success, answer.text
    return answer.json()


def test_the_schema_is_todays(platform: Platform) -> None:
    assert platform.rows("SELECT version_num FROM alembic_version") == [(newest(),)]


def test_the_authority_is_kept(platform: Platform) -> None:
    document = platform.cli("status", "--json", expect=None).json()
    assert document["broker"]["authority"] == "dynamic_security"
    assert (platform.data_dir / "broker" / "dynamic-security.json").exists()


def test_every_device_logs_in_with_its_password(platform: Platform, older: Older) -> None:
    """Also one that claimed its password, one that rotated it, one whose rotation waits for it,
    and one that was added while the broker was down."""
    rejected = {"boiler-1", "pump-5", "pump-6"}  # sold, stolen, removed
    names = set(older.expected["devices"]) - {"pump-4", "car-4"}  # with sessions: see below
    assert rejected < names
    wait_until(lambda: not platform.waiting(), "changes that 0.1.0 left pending")
    for name in sorted(names - rejected):
        platform.connect(older.login(name)).disconnect()
    for name in sorted(rejected):
        with pytest.raises(Refused):
            platform.connect(older.login(name))
    former = older.expected["devices"]["pump-2"]["former_password"]
    with pytest.raises(Refused):
        platform.connect(older.login("pump-2"), password=former)


def test_history_is_complete(platform: Platform, older: Older) -> None:
    """With what the broker held for the session that ingest had then."""
    wait_until(
        lambda: (
            platform.rows("SELECT count(*) FROM messages WHERE seq BETWEEN 500 AND ?", 499 + QUEUED)
            == [(QUEUED,)]
        ),
        "messages that were in the broker's queue",
        timeout=60,
    )
    before = older.expected["counts"]
    found = {
        table: platform.rows(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 - named below
        for table in ("messages", "devices", "dead_letters", "certificates", "strangers", "users")
    }
    assert found == {table: before[table] for table in found} | {
        "messages": before["messages"] + QUEUED
    }
    newest_first = platform.cli("telemetry", "history", "acme:pump-1", "--newest", "--json").json()
    assert {one["payload"].get("seq") for one in newest_first["messages"]} >= {41, 500, 501, 502}


def test_what_was_derived_is_kept(platform: Platform, older: Older) -> None:
    """States, missing numbers and roll-ups, which messages are not asked for again."""
    shown = platform.cli("device", "show", "acme:sensor-1", "--json").json()
    assert shown["state"]["firmware"] == "1.4.0"
    (sensor,) = platform.cli("device", "gaps", "acme:sensor-1", "--json").json()["devices"]
    assert sensor["missing"] == [[1, 40], [48, 99], [102, 103]]
    assert (
        platform.rows("SELECT count(*) FROM rollups")[0][0] >= older.expected["counts"]["rollups"]
    )
    assert platform.cli("device", "show", "acme:pump-1", "--json").json()["label"] == (
        "Pump in the cellar"
    )


def test_the_certificate_is_valid_and_the_revoked_one_is_not(
    platform: Platform, older: Older, certificates_port: int
) -> None:
    def connect(device: str) -> MqttClient:
        files = older.certificate(device)
        context = ssl.create_default_context(cafile=str(files / "ca.crt"))
        context.load_cert_chain(files / "device.crt", files / "device.key")
        client_id = older.login(device).client_id
        return MqttClient(certificates_port, client_id=client_id, tls=context).connect()

    connect("car-2").disconnect()
    with pytest.raises((OSError, AssertionError), match=r"revoked|ended while waiting for CONNACK"):
        connect("car-3")


def test_a_command_that_waited_arrives(platform: Platform, older: Older) -> None:
    login = older.login("car-4")
    car = platform.connect(login, clean=False)
    assert car.session_present
    assert car.collect()[0].topic == login.topics["command"]


def test_a_session_with_another_client_id_begins_again(platform: Platform, older: Older) -> None:
    """docs/explanation/client-ids.md: 0.1.0 did not bind client ids."""
    login = older.login("pump-4")
    assert login.client_id != login.username
    assert not platform.connect(login, clean=False).session_present


def test_people_and_programs_log_in(platform: Platform, older: Older) -> None:
    user = older.expected["user"]
    token = ask(platform, "login", "", "POST", user)["token"]
    assert ask(platform, f"devices/{quote('acme:pump-1')}", token)["device"] == "pump-1"
    assert ask(platform, "devices", older.expected["key"]["secret"])["items"]
    bridge = older.expected["bridge"]
    MqttClient(
        platform.ports["mqtt_port"], username=bridge["username"], password=bridge["password"]
    ).connect().disconnect()


def test_an_open_claim_code_is_redeemed(platform: Platform, older: Older) -> None:
    body = {"code": older.expected["open_claim"], "hardware_id": "pump-from-the-shelf"}
    answer = ask(platform, "claims", "", "POST", body)
    client = MqttClient(
        platform.ports["mqtt_port"],
        username=answer["username"],
        password=answer["password"],
        client_id=answer["client_id"],
    )
    wait_until(lambda: _connects(client), "the claimed login to be accepted")
    client.disconnect()


def _connects(client: MqttClient) -> bool:
    try:
        client.connect()
    except Refused:
        return False
    return True


def test_a_rotation_that_waited_goes_on(platform: Platform, older: Older) -> None:
    pump = platform.connect(older.login("pump-3"))
    pump.subscribe(older.login("pump-3").topics["command"], qos=1)
    assert b"rotate_credentials" in pump.collect(timeout=60)[0].payload


def test_new_messages_and_status(platform: Platform, older: Older) -> None:
    login = older.login("car-1")
    before = platform.stored(login)
    client = platform.connect(login)
    reading = b'{"device_id":"car-1","speed_kmh":%d}' % (time.time_ns() % 1000)
    client.publish(login.topics["telemetry"], reading, qos=1)
    wait_until(lambda: platform.stored(login) == before + 1, "a new message")
    connected = "SELECT connected FROM device_state JOIN devices ON device_id = id WHERE name = ?"
    wait_until(lambda: platform.rows(connected, "car-1")[0][0], "car-1 to be shown as connected")
    assert not platform.rows(connected, "trap-1")[0][0]
    document = platform.cli("status", "--json", expect=None).json()
    assert document["problems"] == []
    assert document["broker_changes_pending"] == 0
