"""What travels with a device's credentials: the SDK speaks any dialect from it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from mooring.dialects import (
    Dialect,
    Direction,
    Identity,
    Kind,
    builtin,
    check,
    compile_decoder,
    compose,
    device_shape,
    outcome,
    reply_to,
    topic_matches,
)
from mooring.dialects.meaning import error, online
from mooring.dialects.payload import Decoded, PayloadLimits, TimeSource
from mooring_device import orders
from mooring_device.configs import parse_config
from mooring_device.dialect import Found, read_shape
from mooring_device.limits import Limits
from mooring_device.outbox import Outbox
from mooring_device.presence import Presence
from mooring_device.tables import Held

ROOT = Path(__file__).parents[3]
NOW = 1_790_000_000_000

ODD = """
name = "odd"
title = "Odd"
username = "{device}"
client_id = "{device}"
[placeholders]
owner = "tenant"
thing = "device"
crew = "group"
word = "name"
[payload]
time = "head.at"
time_format = "s"
sequence = "head.no"
[[channels]]
name = "data"
topic = "odd/{owner}/{thing}/data"
direction = "up"
kind = "telemetry"
payload.values = "body.readings"
[[channels]]
name = "data_too"
topic = "odd/{owner}/{thing}/more"
direction = "up"
kind = "telemetry"
payload.time = "t"
payload.time_format = "ms"
[[channels]]
name = "there"
topic = "odd/{owner}/{thing}/there"
direction = "up"
kind = "status"
retain = true
payload.online = "state.up"
payload.metadata = "state.facts"
payload.firmware = "state.facts.build"
[[channels]]
name = "gone"
topic = "odd/{owner}/{thing}/gone"
direction = "up"
kind = "offline"
payload.format = "text"
[[channels]]
name = "do"
topic = "odd/{owner}/{thing}/do/{word}"
direction = "down"
kind = "command"
payload.identifier = "head.order"
payload.values = "body.with"
payload.expires = "head.until"
[[channels]]
name = "horn"
topic = "odd/{owner}/{thing}/horn"
direction = "down"
kind = "command"
payload.format = "text"
[[channels]]
name = "crew_do"
topic = "odd/{owner}/crews/{crew}/do"
direction = "down"
kind = "fleet_command"
payload.identifier = "head.order"
payload.name = "head.what"
[[channels]]
name = "said"
topic = "odd/{owner}/{thing}/said"
direction = "up"
kind = "reply"
payload.reply_to = "head.order"
payload.outcome = "body.state"
payload.error = "body.why"
payload.values = "body.got"
[[channels]]
name = "setup"
topic = "odd/{owner}/{thing}/setup"
direction = "down"
kind = "config"
payload.identifier = "head.edition"
payload.values = "body"
payload.guard = "head.guard"
payload.secrets = "head.hidden"
"""


def odd() -> Dialect:
    dialect, mistakes = check(ODD, "odd.toml")
    assert dialect is not None, mistakes
    return dialect


DIALECTS = [*builtin(), odd()]
IDENTITY = Identity("north", "heron", "02aabbccddee", ("g1", "g2"))

each = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)


def test_the_sdk_has_the_built_in_dialects() -> None:
    """For devices whose credentials carry no shape. Written by the script."""
    place = ROOT / "scripts" / "write_sdk_dialects.py"
    spec = importlib.util.spec_from_file_location("write_sdk_dialects", place)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.TARGET.read_text() == script.text(), f"run python {place}"


@each
def test_a_device_listens_to_every_channel_down_and_to_no_other(dialect: Dialect) -> None:
    filters = read_shape(device_shape(dialect, IDENTITY)).filters()
    wanted = {t for channel in dialect.downs() for t in channel.addresses(IDENTITY)}
    for topic in wanted:
        assert any(topic == one or topic_matches(one, topic.replace("+", "x")) for one in filters)
    assert set(filters) <= wanted
    operators = [channel for channel in dialect.downs() if channel.operator_only]
    assert not {channel.filter for channel in operators} & set(filters)


@each
def test_a_device_has_every_channel_up_by_kind_or_by_name(dialect: Dialect) -> None:
    sdk = read_shape(device_shape(dialect, IDENTITY))
    for channel in dialect.ups():
        found = sdk.up(channel.name)
        assert found is not None
        assert found.topics == channel.addresses(IDENTITY)
        assert sdk.up(str(channel.kind)) is not None


def test_a_device_in_no_group_can_come_into_one() -> None:
    alone = Identity("north", "heron")
    shape = device_shape(odd(), alone)
    assert shape["groups"] == []
    assert "crew_do" not in {one["name"] for one in shape["channels"]}
    assert "groups" not in device_shape(builtin()[0], alone)


@each
def test_a_command_is_read_as_it_was_written(dialect: Dialect) -> None:
    sdk = read_shape(device_shape(dialect, IDENTITY))
    values = {"seconds": 5, "deep": {"a": [1, "x"]}}
    for channel in (*dialect.of_kind(Kind.COMMAND), *dialect.of_kind(Kind.FLEET_COMMAND)):
        topic = channel.address(IDENTITY, group="g2", name="blink")
        assert topic is not None
        found = sdk.find(topic)
        assert found is not None
        assert found.channel.name == channel.name
        if channel.payload.format == "text":
            order = orders.parse_order(found, b"loud")
            assert (order.id, order.name, order.args) == (None, "loud", {})
            continue
        payload = compose(
            channel.payload,
            values,
            time_ms=NOW,
            identifier="c-7",
            name="blink",
            expires_ms=NOW + 60_000,
        )
        order = orders.parse_order(found, payload)
        named = channel.payload.name or "+" in str(channel.address(IDENTITY, group="g2"))
        fixed = {path[0] for path, _ in channel.payload.fixed}
        assert order.id == "c-7"
        assert order.name == ("blink" if named else channel.name)
        assert {k: v for k, v in order.args.items() if k not in fixed} == values
        assert order.lasts == (60_000 if channel.payload.expires else None)


WORDS = [
    orders.Outcome("done", ok=True, result={"a": 1}),
    orders.Outcome("failed", ok=False, error="stuck"),
    orders.Outcome("rejected", ok=False, error="no"),
    orders.Outcome("expired", ok=False, error="late"),
    orders.Outcome("cancelled", ok=False, error="cancelled"),
    orders.Outcome("running", ok=None),
]


@each
@pytest.mark.parametrize("said", WORDS, ids=lambda one: one.word)
def test_a_reply_says_to_the_platform_what_the_device_means(
    dialect: Dialect, said: orders.Outcome
) -> None:
    sdk = read_shape(device_shape(dialect, IDENTITY))
    for channel in dialect.of_kind(Kind.REPLY):
        up = sdk.up(channel.name)
        assert up is not None
        body = orders.reply_to(up, "c-7", ["id"], said)
        assert body is not None
        found = _sent(dialect, channel.name, body)
        assert reply_to(channel.payload, found) == "c-7"
        heard = outcome(channel.payload, found)
        plain = {"done": (True, "done"), "failed": (False, "failed")}
        assert heard in plain.get(said.word, (said.word,))
        if channel.payload.error:
            assert error(channel.payload, found) == said.error


def test_a_reply_without_a_place_for_failure_is_not_sent() -> None:
    """The platform would take it for success."""
    shape = device_shape(odd(), IDENTITY)
    for channel in shape["channels"]:
        channel.get("payload", {}).pop("outcome", None)
    said = read_shape(shape).up("said")
    assert said is not None
    assert orders.reply_to(said, "c-7", ["id"], WORDS[1]) is None
    assert orders.reply_to(said, "c-7", ["id"], WORDS[-1]) is None
    assert orders.reply_to(said, "c-7", ["id"], WORDS[0]) is not None


def _sent(dialect: Dialect, name: str, values: dict[str, Any]) -> Any:
    """A message of the SDK as the platform decodes it."""
    channel = dialect.channel(name)
    assert channel is not None
    outbox = Outbox(read_shape(device_shape(dialect, IDENTITY)), Limits())
    new = outbox.new(name, values, ts=NOW)
    payload = outbox.outgoing(Held(41, new.ts, *new[2:5])).payload
    found = compile_decoder(channel.payload, PayloadLimits())(payload, NOW)
    assert isinstance(found, Decoded), payload
    assert found.time_ms == NOW
    assert found.time_source is TimeSource.DEVICE
    assert found.seq == (41 if channel.payload.sequence else None)
    return found.body


@each
def test_settings_are_read_as_they_were_written(dialect: Dialect) -> None:
    sdk = read_shape(device_shape(dialect, IDENTITY))
    for channel in dialect.of_kind(Kind.CONFIG):
        found = sdk.find(channel.addresses(IDENTITY)[0])
        assert found is not None
        shape = channel.payload
        payload = compose(
            shape, {"a": {"b": 1}}, time_ms=NOW, identifier=3, guard_seconds=60, secrets=[["a"]]
        )
        offered = parse_config(payload, found.channel.payload)
        assert offered.config["a"] == {"b": 1}
        assert offered.version == (3 if shape.identifier else None)
        assert offered.guard == (60 if shape.guard else 0)
        assert offered.secrets == ([["a"]] if shape.secrets else [])


@each
def test_birth_and_goodbye_are_understood(dialect: Dialect) -> None:
    sdk = read_shape(device_shape(dialect, IDENTITY))
    presence = Presence("1.4.0", "0.2.0", dict)
    topics = {c.addresses(IDENTITY)[0]: c for c in dialect.ups()}
    for message, there in ((presence.birth(sdk), True), (presence.will(sdk), False)):
        if message is None:
            continue
        channel = topics[message.topic]
        assert message.retain is channel.retain
        found = compile_decoder(channel.payload, PayloadLimits())(message.payload, NOW)
        assert isinstance(found, Decoded), message.payload
        if channel.payload.online and channel.payload.format != "text":
            assert online(channel.payload, found.body) is there


def test_the_odd_one_is_written_where_it_says() -> None:
    assert _sent(odd(), "data", {"speed": 4.5}) == {
        "head": {"at": NOW // 1000, "no": 41},
        "body": {"readings": {"speed": 4.5}},
    }
    assert _sent(odd(), "data_too", {"speed": 4.5})["t"] == NOW
    gone = Presence("", "0.2.0", dict).will(read_shape(device_shape(odd(), IDENTITY)))
    assert gone is not None
    there = json.loads(gone.payload)
    assert (gone.topic, there) == ("odd/north/heron/there", {"state": {"up": False}})


def test_a_second_channel_of_a_text_names_its_parameter_by_the_topic() -> None:
    sdk = read_shape(device_shape(odd(), IDENTITY))
    channel = next(c for c in sdk.channels if c.name == "horn")
    order = orders.parse_order(Found(channel, "volume"), b"11")
    assert (order.name, order.args) == ("volume", {"value": "11"})
    assert odd().channel("horn") is not None
    assert all(c.direction is not Direction.UP for c in odd().of_kind(Kind.COMMAND))
