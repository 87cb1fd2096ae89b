"""The shape that comes with the credentials: bounded, checked, and enough to find every channel;
and nothing that arrives on one of its channels ends the session."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring_device import Device, InvalidSetting
from mooring_device.builtin import dialect_of
from mooring_device.credentials import Credentials
from mooring_device.dialect import MAX_CHANNELS, MAX_TOPICS, read_shape
from mooring_device.link import Arrived
from mooring_device.router import Router
from mooring_device.vault import Vault

UP = {"name": "data", "kind": "telemetry", "direction": "up", "topics": ["a/d/data"]}
COMMAND = {
    "name": "do",
    "kind": "command",
    "direction": "down",
    "topics": ["a/d/do/+"],
    "payload": {"identifier": ["id"], "values": ["with"]},
}


def shape(*channels: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"version": 1, "channels": list(channels), **more}


@pytest.mark.parametrize(
    "bad",
    [
        None,
        7,
        [],
        {},
        {"version": 1},
        {"version": 2, "channels": []},
        {"version": 1, "channels": {}},
        shape(UP, dialect=3),
        shape(*[UP] * (MAX_CHANNELS + 1)),
        shape({**UP, "topics": ["a/b"] * (MAX_TOPICS + 1)}),
        *(shape({**UP, "topics": [topic]}) for topic in (
            "", "a/#", "#", "+", "+/+", "a/b+", "a/\0", "$SYS/broker", "a/\ud800",
            "/".join("x" * 201), "x" * 5_000, "a/+/+", 7, None,
        )),
        shape({**UP, "topics": []}),
        shape({**UP, "topics": "a/b"}),
        shape({**UP, "direction": "sideways"}),
        shape({**UP, "name": 7}),
        shape({**UP, "name": "x" * 300}),
        shape({**UP, "qos": 3}),
        shape({**UP, "qos": True}),
        shape({**UP, "retain": "yes"}),
        shape({**UP, "payload": []}),
        shape({**UP, "payload": {"format": "xml"}}),
        shape({**UP, "payload": {"time_format": "days"}}),
        shape({**UP, "payload": {"time": "ts"}}),
        shape({**UP, "payload": {"time": []}}),
        shape({**UP, "payload": {"time": [7]}}),
        shape({**UP, "payload": {"values": ["x"] * 40}}),
        shape({**UP, "payload": {"outcome": ["ok"]}}),
        shape({**UP, "payload": {"outcome": [[]]}}),
    ],
)  # fmt: skip
def test_a_shape_that_cannot_be_used(bad: Any) -> None:
    with pytest.raises(InvalidSetting):
        read_shape(bad)


def test_the_answer_of_a_claim_is_checked() -> None:
    answer = {
        "device": "d", "username": "d", "client_id": "d", "topics": {"telemetry": "a/d/data"},
        "broker": {"host": "b", "port": 1},
    }  # fmt: skip
    with pytest.raises(InvalidSetting, match="shape"):
        Credentials.from_answer({**answer, "shape": shape({**UP, "topics": ["#"]})})
    assert Credentials.from_answer({**answer, "shape": shape(UP)}).channels().name == ""
    # One of a later version: what the other keys say has to do.
    for known in ({**answer, "shape": {"version": 2, "ways": []}}, answer):
        found = Credentials.from_answer(known)
        assert found.shape == {}
        assert found.channels().up("telemetry") is not None


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["version", "channels", "name", "kind", "direction", "topics", "qos",
                         "payload", "time", "values", "outcome", "format"]), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@given(anything, anything)
def test_whatever_a_server_sends_is_a_dialect_or_an_error(first: Any, second: Any) -> None:
    for given_shape in (first, shape(first, second), shape({**UP, "payload": first})):
        with contextlib.suppress(InvalidSetting):
            read_shape(given_shape)


def test_the_channel_without_a_wildcard_goes_first() -> None:
    rotate = {**COMMAND, "name": "rotate", "topics": ["a/d/do/rotate"]}
    dialect = read_shape(shape(COMMAND, rotate, UP))
    found = dialect.find("a/d/do/rotate")
    assert found is not None
    assert found.channel.name == "rotate"
    named = dialect.find("a/d/do/blink")
    assert named is not None
    assert (named.channel.name, named.name) == ("do", "blink")
    assert dialect.find("a/d/data") is None  # it only sends there
    # The broker would deliver a message twice for two filters that it fits.
    assert dialect.filters() == {"a/d/do/+": "do"}


def test_credentials_of_version_0_1_0(tmp_path: Path) -> None:
    """Its file, as it is on devices: no shape, and every channel of the dialect is found."""
    topics = {
        "telemetry": "iotflow/devices/d/telemetry/sensors",
        "command": "iotflow/devices/d/commands/control",
        "commands_config": "iotflow/devices/d/commands/config",
        "fleet_command": "iotflow/fleet/commands/g",
        "config": "iotflow/devices/d/config",
    }
    old = {
        "version": 1,
        "given": "x",
        "credentials": {
            "device": "d", "host": "b", "port": 1883, "topics": topics, "username": "d",
            "client_id": "d", "tenant": "default", "dialect": "iotflow", "tls": None,
            "http_url": "",
        },
        "passwords": {"settled": "p", "pending": None, "rotation": None, "try_pending": False,
                      "refusals": 0, "turns": 0},
    }  # fmt: skip
    (tmp_path / "credentials.json").write_text(json.dumps(old))
    vault = Vault(tmp_path / "credentials.json")
    assert vault.credentials is not None
    dialect = vault.credentials.channels()
    assert set(dialect.filters()) == set(topics.values()) - {topics["telemetry"]}
    config = dialect.find(topics["commands_config"])
    assert config is not None
    assert config.channel.payload.identifier == ("command_id",)
    # And back: what this version writes, version 0.1.0 reads.
    fresh = Credentials(**{**old["credentials"], "password": "q", "shape": shape(UP)})
    vault.given(fresh)
    written = json.loads((tmp_path / "credentials.json").read_text())
    assert set(written["credentials"]) == set(old["credentials"])
    assert Vault(tmp_path / "credentials.json").credentials == fresh


@pytest.mark.parametrize("name", ["mooring", "drivesafe", "pulse", "iotflow", "smarthome", ""])
def test_topics_alone_give_every_channel(name: str) -> None:
    topics = {"telemetry": "x/up", "command": "x/do", "config": "x/config", "of_my_own": "x/mine"}
    dialect = dialect_of(name, topics, {})
    assert {"x/do"} <= set(dialect.filters())
    assert dialect.up("telemetry") is not None
    assert dialect.up("of_my_own") is not None


# ---------------------------------------------------------------------- what arrives

KINDS = (
    "command", "fleet_command", "cancel", "config", "firmware", "filesystem", "receipt",
    "rerequest", "register_response", "unheard_of",
)  # fmt: skip
FORMATS = ("json", "text", "either", "any")
EVERY = shape(
    UP,
    {**UP, "name": "r", "kind": "reply", "topics": ["a/d/reply"],
     "payload": {"reply_to": ["id"], "outcome": [["status"]]}},
    {**UP, "name": "c", "kind": "config_reported", "topics": ["a/d/reported"]},
    {**UP, "name": "p", "kind": "firmware_progress", "topics": ["a/d/progress"]},
    *(
        {"name": f"{kind}-{form}", "kind": kind, "direction": "down", "topics": [f"{kind}/{form}"],
         "payload": {"format": form, "identifier": ["id"], "values": ["with"], "guard": ["g"],
                     "secrets": ["hidden"], "expires": ["until"], "time": ["ts"]}}
        for kind in KINDS for form in FORMATS
    ),
)  # fmt: skip

DEEP = b"[" * 100_000
PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            DEEP,
            b'{"a":' * 50_000,
            b'{"id":"\\ud800","with":{"x":"\\udfff"}}',
            b'{"id":"a\\u0000","with":{"\\u0000":1}}',
            b'{"id":1e999,"with":[NaN]}',
            b'{"id":' + b"9" * 5_000 + b"}",
            b'{"id":{"a":[]},"with":"text"}',
            b'{"id":"x","name":"rotate_credentials","with":{"password":7}}',
            b'{"upto":-1}',
            b'{"upto":9007199254740993,"also":[[1,2,3]]}',
            b'{"missing":[[5,1]]}',
            b'{"missing":"all"}',
            b'{"with":{"version":"\\u0000","url":"https://x/y","sha256":"' + b"a" * 64
            + b'","size":1}}',
            b'{"id":3,"g":99999999999,"with":{"x":1}}',
            b'{"hidden":[[7]],"with":{"x":1}}',
            b'{"ts":"9999-99-99","until":-1,"id":"q"}',
            b"\xff\xfe\x00",
        ]
    ),
    anything.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(["id", "with", "g", "ts", "until", "upto", "missing"]),
                    anything, max_size=4).map(lambda value: json.dumps(value).encode()),
)  # fmt: skip


@pytest.fixture
def routed(tmp_path: Path) -> Iterator[tuple[Device, Router]]:
    """A device that never connects, with handlers for everything."""
    credentials = Credentials(
        device="d", host="127.0.0.1", port=1, client_id="d", topics={}, shape=EVERY
    )
    device = Device(credentials, store=tmp_path)
    device.on_config(lambda config: None)
    device.on_firmware(lambda update: None)
    for kind in KINDS:
        device.on_message(kind)(lambda body: None)
    yield device, device._router(lambda: None)
    device.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(
    st.tuples(
        st.sampled_from(KINDS), st.sampled_from(FORMATS), PAYLOADS, st.booleans(), st.integers(0, 3)
    )
)
def test_no_payload_ends_the_session(
    routed: tuple[Device, Router],
    caplog: pytest.LogCaptureFixture,
    said: tuple[str, str, bytes, bool, int],
) -> None:
    kind, form, payload, retained, packet = said
    device, router = routed
    caplog.clear()
    arrived = Arrived(f"{kind}/{form}", payload, packet, repeat=packet == 3, retained=retained)
    router.route(arrived, device.credentials, device.credentials.channels())
    device.flush()  # the store's thread lives
    assert "could not be handled" not in caplog.text  # no fault that is only caught at the end


def test_after_all_of_them_a_command_is_carried_out(routed: tuple[Device, Router]) -> None:
    device, router = routed
    done: list[Any] = []
    device.command("blink")(done.append)
    dialect = device.credentials.channels()
    for kind in KINDS:
        for form in FORMATS:
            router.route(Arrived(f"{kind}/{form}", DEEP, 1), device.credentials, dialect)
    router.route(Arrived("command/text", b"blink", 2), device.credentials, dialect)
    assert device._worker.close(10)
    assert done == [{}]
