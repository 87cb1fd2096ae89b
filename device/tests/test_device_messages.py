"""Payload shapes, channels, credentials and the environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_device.builtin import dialect_of
from mooring_device.credentials import Credentials, Tls, native_topics
from mooring_device.dialect import Dialect
from mooring_device.environment import VARIABLES, credentials_from
from mooring_device.errors import InvalidReading, InvalidSetting
from mooring_device.limits import Limits
from mooring_device.outbox import Outbox
from mooring_device.shapes import Shape, payload_of, rest_of
from mooring_device.tables import Held

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def payload(dialect: str, channel: str, values: dict[str, Any], ts: int = 1_767_225_600_123) -> Any:
    found = dialect_of(dialect, {channel: "a/b"}, {}).up(channel)
    assert found is not None
    rest = rest_of(found.payload, values, readings=channel == "telemetry")
    return json.loads(payload_of(found.payload, ts, 41, rest))


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("mooring", {"ts": 1767225600123, "seq": 41, "values": {"t": 21.5}}),
        ("drivesafe", {"timestamp": "2026-01-01T00:00:00.123Z", "seq": 41, "t": 21.5}),
        ("pulse", {"timestamp": "2026-01-01T00:00:00.123Z", "seq": 41, "t": 21.5}),
        ("iotflow", {"timestamp": "2026-01-01T00:00:00.123Z", "t": 21.5}),
        ("smarthome", {"timestamp": "2026-01-01T00:00:00.123Z", "sensors": {"t": 21.5}}),
        ("of their own", {"ts": 1767225600123, "seq": 41, "t": 21.5}),
    ],
)
def test_a_reading_in_every_dialect(dialect: str, expected: dict[str, Any]) -> None:
    assert payload(dialect, "telemetry", {"t": 21.5}) == expected


def test_other_channels_stand_beside_the_time() -> None:
    body = {"alert": "battery_low", "severity": "warning"}
    assert payload("mooring", "alert", body) == {"ts": 1767225600123, "seq": 41, **body}
    assert payload("mooring", "event", {}) == {"ts": 1767225600123, "seq": 41}


@given(
    st.dictionaries(texts, json_values, max_size=4),
    st.sampled_from(["mooring", "pulse", "smarthome", ""]),
)
def test_what_goes_in_comes_out(values: dict[str, Any], dialect: str) -> None:
    found = dialect_of(dialect, {"telemetry": "a/b"}, {}).up("telemetry")
    assert found is not None
    shape = found.payload
    if {(key,) for key in values} & {shape.time, shape.sequence} and not shape.values:
        with pytest.raises(InvalidReading, match="taken"):
            payload(dialect, "telemetry", values)
        return
    body = payload(dialect, "telemetry", values)
    if shape.values:
        assert body[shape.values[0]] == values
    else:
        assert {k: body[k] for k in values} == values


@pytest.mark.parametrize(
    "values",
    [{"x": float("nan")}, {"x": float("inf")}, {"x": object()}, {"x": {1, 2}}, {"x": "\ud800"}],
)
def test_what_is_no_json_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidReading, match="JSON"):
        payload("mooring", "telemetry", values)


@pytest.mark.parametrize(
    "values",
    [
        {"x": 2**63},
        {"x": [-(2**63) - 1]},
        {"x": "a\0"},
        {"\0": 1},
        {"x": json.loads("[" * 32 + "]" * 32)},
    ],
)
def test_what_the_platform_would_refuse_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidReading):
        payload("drivesafe", "telemetry", values)


TOPICS = {"telemetry": "a/b", "alert": "a/alert/+"}


@pytest.fixture
def outbox() -> Outbox:
    channels = map(Shape().on, dialect_of("", TOPICS, {}).channels)
    return Outbox(Dialect(channels), Limits(reading_bytes=100), clock=lambda: 5)


def test_a_message_for_the_queue(outbox: Outbox) -> None:
    assert outbox.new("telemetry", {"x": 1}) == (5, 5, "telemetry", "", '"x":1}', 6)
    assert outbox.new("telemetry", {"x": "é"}, ts=3).size == 9
    alert = outbox.new("alert", {}, name="smoke")
    assert outbox.outgoing(Held(7, 5, *alert[2:5])) == ("a/alert/smoke", b'{"ts":5,"seq":7}', False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"channel": "event", "values": {}}, "no channel 'event'"),
        ({"channel": "alert", "values": {}}, "needs a name"),
        ({"channel": "alert", "values": {}, "name": "a/b"}, "needs a name"),
        ({"channel": "alert", "values": {}, "name": "#"}, "needs a name"),
        ({"channel": "telemetry", "values": [1]}, "not a mapping"),
        ({"channel": "telemetry", "values": {"x": "y" * 100}}, "138 bytes; the limit is 100"),
        ({"channel": "telemetry", "values": {}, "ts": -1}, "no epoch milliseconds"),
        ({"channel": "telemetry", "values": {}, "ts": 1.5}, "no epoch milliseconds"),
        ({"channel": "telemetry", "values": {}, "ts": True}, "no epoch milliseconds"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    outbox: Outbox, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidReading, match=words):
        outbox.new(**arguments)


# ------------------------------------------------------------------ credentials

ANSWER: dict[str, Any] = {
    "device": "d1",
    "tenant": "t",
    "dialect": "mooring",
    "username": "device:t:d1",
    "password": "s3cret-word",
    "client_id": "t:d1",
    "topics": {"telemetry": "mooring/t/d1/telemetry"},
    "broker": {"host": "b.example", "tls_port": 8883, "port": 1883, "ws_port": 9001, "ca_pem": "P"},
    "http": {"url": "https://b.example/"},
}


def test_the_answer_to_a_claim() -> None:
    found = Credentials.from_answer(ANSWER)
    assert (found.host, found.port, found.tls) == ("b.example", 8883, Tls(ca_pem="P"))
    assert found.http_url == "https://b.example"
    assert "s3cret-word" not in repr(found)


def test_the_ca_comes_as_text_or_as_a_file() -> None:
    by_file = {"host": "b", "tls_port": 8883, "cafile": "/ca.crt"}
    assert Credentials.from_answer({**ANSWER, "broker": by_file}).tls == Tls(ca_file="/ca.crt")
    both = {**by_file, "ca_pem": "P"}
    assert Credentials.from_answer({**ANSWER, "broker": both}).tls == Tls(ca_pem="P")
    neither = {**ANSWER["broker"], "ca_pem": None}
    assert Credentials.from_answer({**ANSWER, "broker": neither}).tls == Tls()


def test_without_a_tls_port_the_connection_is_plain() -> None:
    found = Credentials.from_answer({**ANSWER, "broker": {"host": "b", "port": 1883}})
    assert (found.port, found.tls) == (1883, None)


@pytest.mark.parametrize(
    "change",
    [
        {"device": None},
        {"topics": []},
        {"topics": {"telemetry": ""}},
        {"broker": {}},
        {"broker": {"host": "b", "port": "x"}},
        {"broker": {"host": "b", "port": 70_000}},
        {"broker": {"host": "", "port": 1}},
        {"http": {"url": "ftp://x"}},
        {"username": 7},
    ],
)
def test_credentials_that_cannot_be_used(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting) as raised:
        Credentials.from_answer({**ANSWER, **change})
    assert "s3cret-word" not in str(raised.value)


# ------------------------------------------------------------------ environment


def test_the_defaults_of_the_environment() -> None:
    found = credentials_from({"MQTT_CLIENT_ID": "d7"})
    assert (found.host, found.port, found.tls, found.username) == ("localhost", 1883, None, None)
    assert (found.client_id, found.device, found.tenant) == ("d7", "d7", "default")
    assert found.topics == native_topics("default", "d7")


@pytest.mark.parametrize("yes", ["true", "TRUE", "1", "yes", "on"])
def test_tls_moves_the_port(yes: str) -> None:
    found = credentials_from({"MQTT_USE_TLS": yes, "MQTT_CLIENT_ID": "c"})
    assert (found.port, found.tls) == (8883, Tls())


def test_every_variable_is_used() -> None:
    found = credentials_from(
        {
            "MQTT_BROKER": "b",
            "MQTT_BROKER_PORT": "18883",
            "MQTT_USE_TLS": "true",
            "MQTT_TLS_INSECURE": "true",
            "MQTT_CA_CERTS": "/ca",
            "MQTT_CERTFILE": "/crt",
            "MQTT_KEYFILE": "/key",
            "MQTT_USERNAME": "u",
            "MQTT_PASSWORD": " p ",
            "MQTT_CLIENT_ID": "c",
            "MQTT_DEVICE": "d",
            "MQTT_TENANT": "t",
            "MQTT_TOPICS": '{"telemetry": "device/data/d"}',
            "MOORING_URL": "https://m/",
        }
    )
    assert found == Credentials(
        device="d",
        tenant="t",
        dialect="",
        host="b",
        port=18883,
        topics={"telemetry": "device/data/d"},
        username="u",
        password=" p ",
        client_id="c",
        tls=Tls(True, "", "/ca", "/crt", "/key"),
        http_url="https://m",
    )


def test_empty_counts_as_not_set() -> None:
    assert credentials_from(dict.fromkeys(VARIABLES, ""), made_client_id="m").client_id == "m"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MQTT_USE_TLS", "perhaps"),
        ("MQTT_TLS_INSECURE", "2"),
        ("MQTT_BROKER_PORT", "mqtt"),
        ("MQTT_TOPICS", "{"),
        ("MQTT_TOPICS", '["a"]'),
        ("MQTT_CERTFILE", "/only/one"),
        ("MQTT_KEYFILE", "/only/one"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(variable: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=variable):
        credentials_from({variable: value})


def test_every_variable_is_documented() -> None:
    root = Path(__file__).resolve().parents[2]
    words = (root / "docs" / "reference" / "device-sdk.md").read_text()
    assert [name for name in VARIABLES if f"`{name}`" not in words] == []
