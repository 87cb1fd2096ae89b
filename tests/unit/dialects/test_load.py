"""The built-in dialects as the fleets have them, and loading the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

import mooring.dialects as package
from mooring.dialects import (
    Attribute,
    Catalogue,
    Decoded,
    Dialect,
    Direction,
    Identity,
    Kind,
    PayloadLimits,
    Router,
    builtin,
    compile_decoder,
    load_all,
    load_file,
)
from mooring.errors import InvalidDialect, NotFound
from tests.unit.dialects.payload_examples import EXAMPLES, Example
from tests.unit.dialects.test_check import GOOD

MAC = "AA:BB:CC:DD:EE:FF"
DEVICE = Identity("t1", "d1", MAC, ("g1", "g2"))
UPS = {channel.name for dialect in builtin() for channel in dialect.ups()}


def get(name: str) -> Dialect:
    return load_all().get(name)


def test_the_six() -> None:
    names = [d.name for d in builtin()]
    assert names == ["drivesafe", "iotflow", "mooring", "mousetrap", "pulse", "smarthome"]
    assert builtin() is builtin()


@pytest.mark.parametrize(
    ("name", "username", "tenanted", "needs_mac"),
    [
        ("mousetrap", MAC, True, True),
        ("drivesafe", "d1", False, False),
        ("pulse", "device:t1:d1", True, False),
        ("iotflow", "d1", False, False),
        ("smarthome", "d1", True, False),
        ("mooring", "t1/d1", True, False),
    ],
)
def test_usernames(name: str, username: str, tenanted: bool, needs_mac: bool) -> None:
    dialect = get(name)
    assert dialect.username_of(DEVICE) == username
    assert (dialect.tenanted, dialect.needs_mac) == (tenanted, needs_mac)


# direction, kind, QoS, retained, topic of one device: the fleets' own documents, line by line
FACTS = {
    "mousetrap": [
        ("up", "status", 1, True, "tenant/t1/device/d1/status"),
        ("up", "firmware_progress", 1, False, "tenant/t1/device/d1/ota/progress"),
        ("up", "alert", 1, False, "tenant/t1/device/d1/alert"),
        ("up", "alert", 1, False, f"tenant/t1/device/{MAC}/alert"),
        ("up", "alert_cleared", 1, False, "tenant/t1/device/d1/alert_cleared"),
        ("up", "alert_cleared", 1, False, f"tenant/t1/device/{MAC}/alert_cleared"),
        ("up", "event", 1, False, "tenant/t1/device/d1/alert_sync"),
        ("up", "event", 1, False, "tenant/t1/device/d1/camera/snapshot"),
        ("up", "rotation_reply", 1, False, "tenant/t1/device/d1/rotation_ack"),
        ("down", "command", 1, False, "tenant/t1/device/d1/command/+"),
        ("down", "command", 1, False, "tenant/t1/device/d1/command/rotate_credentials"),
        ("down", "command", 1, False, "tenant/t1/device/d1/revoke"),
        ("down", "firmware", 1, False, "tenant/t1/device/d1/ota/firmware"),
        ("down", "firmware", 1, True, "tenant/t1/firmware/latest"),
        ("down", "filesystem", 1, True, "tenant/t1/filesystem/latest"),
        ("down", "firmware", 1, True, "global/firmware/latest"),
        ("down", "filesystem", 1, True, "global/filesystem/latest"),
    ],
    "drivesafe": [
        ("up", "telemetry", 1, False, "device/data/d1"),
        ("down", "command", 1, False, "device/commands/d1"),
    ],
    "iotflow": [
        ("up", "telemetry", 1, False, "iotflow/devices/d1/telemetry/sensors"),
        ("up", "metrics", 0, False, "iotflow/devices/d1/telemetry/metrics"),
        ("up", "event", 1, False, "iotflow/devices/d1/telemetry/events"),
        ("down", "command", 2, False, "iotflow/devices/d1/commands/control"),
        ("down", "command", 2, False, "iotflow/devices/d1/commands/config"),
        ("down", "firmware", 2, False, "iotflow/devices/d1/commands/firmware"),
        ("up", "heartbeat", 0, False, "iotflow/devices/d1/status/heartbeat"),
        ("up", "online", 1, True, "iotflow/devices/d1/status/online"),
        ("up", "offline", 1, True, "iotflow/devices/d1/status/offline"),
        ("down", "config", 2, True, "iotflow/devices/d1/config"),
        ("down", "fleet_command", 2, False, "iotflow/fleet/commands/g1"),
        ("down", "fleet_command", 2, False, "iotflow/fleet/commands/g2"),
        ("up", "register", 1, False, "iotflow/discovery/register/d1"),
        ("down", "register_response", 1, False, "iotflow/discovery/response/d1"),
    ],
    "smarthome": [
        ("up", "telemetry", 1, False, "smarthome/t1/d1/telemetry"),
        ("up", "status", 1, False, "smarthome/t1/d1/status"),
        ("up", "heartbeat", 1, False, "smarthome/t1/d1/heartbeat"),
        ("down", "command", 1, False, "smarthome/t1/d1/commands"),
        ("down", "config", 1, True, "smarthome/t1/d1/config"),
    ],
    "pulse": [
        ("up", "telemetry", 1, False, "pulse/t1/d1/telemetry"),
        ("up", "status", 1, True, "pulse/t1/d1/status"),
        ("up", "heartbeat", 0, False, "pulse/t1/d1/heartbeat"),
        ("up", "alert", 1, False, "pulse/t1/d1/alert"),
        ("up", "alert_cleared", 1, False, "pulse/t1/d1/alert_cleared"),
        ("down", "command", 1, False, "pulse/t1/d1/commands"),
        ("down", "cancel", 1, False, "pulse/t1/d1/commands/cancel"),
        ("up", "reply", 1, False, "pulse/t1/d1/commands/reply"),
        ("down", "config", 1, True, "pulse/t1/d1/config"),
        ("up", "config_reported", 1, False, "pulse/t1/d1/config/reported"),
        ("down", "firmware", 1, False, "pulse/t1/d1/firmware"),
        ("up", "firmware_progress", 1, False, "pulse/t1/d1/firmware/progress"),
    ],
    "mooring": [
        ("up", "telemetry", 1, False, "mooring/t1/d1/telemetry"),
        ("up", "event", 1, False, "mooring/t1/d1/event"),
        ("up", "status", 1, True, "mooring/t1/d1/status"),
        ("up", "heartbeat", 0, False, "mooring/t1/d1/heartbeat"),
        ("up", "alert", 1, False, "mooring/t1/d1/alert"),
        ("up", "alert_cleared", 1, False, "mooring/t1/d1/alert_cleared"),
        ("down", "command", 1, False, "mooring/t1/d1/command/+"),
        ("down", "cancel", 1, False, "mooring/t1/d1/cancel"),
        ("up", "reply", 1, False, "mooring/t1/d1/reply"),
        ("down", "config", 1, True, "mooring/t1/d1/config"),
        ("up", "config_reported", 1, False, "mooring/t1/d1/config/reported"),
        ("down", "firmware", 1, False, "mooring/t1/d1/firmware"),
        ("up", "firmware_progress", 1, False, "mooring/t1/d1/firmware/progress"),
        ("down", "receipt", 0, False, "mooring/t1/d1/receipt"),
        ("down", "rerequest", 1, False, "mooring/t1/d1/rerequest"),
    ],
}


@pytest.mark.parametrize("name", list(FACTS))
def test_what_a_device_uses(name: str) -> None:
    found = [
        (str(c.direction), str(c.kind), c.qos, c.retain, topic)
        for c in get(name).channels
        for topic in c.addresses(DEVICE)
    ]
    assert found == FACTS[name]


@pytest.mark.parametrize("word", ["reboot", "alert_reset", "rotate_credentials"])
def test_mousetrap_commands_go_by_their_name(word: str) -> None:
    command = get("mousetrap").channel("command")
    assert command is not None
    assert command.address(DEVICE, name=word) == f"tenant/t1/device/d1/command/{word}"


def test_iotflow_operator_topics_belong_to_no_device() -> None:
    operators = {c.topic: str(c.kind) for c in get("iotflow").channels if not c.addresses(DEVICE)}
    assert operators == {
        "iotflow/fleet/status/{group_id}": "fleet_status",
        "iotflow/system/health": "system",
        "iotflow/system/metrics": "system",
        "iotflow/system/alerts": "system",
        "iotflow/monitoring/broker": "monitoring",
        "iotflow/monitoring/clients": "monitoring",
        "iotflow/monitoring/traffic": "monitoring",
    }
    assert all(c.operator_only for c in get("iotflow").channels if c.topic in operators)


@pytest.mark.parametrize("dialect", builtin(), ids=lambda d: d.name)
def test_every_channel_is_described_with_an_example(dialect: Dialect) -> None:
    for channel in dialect.channels:
        assert channel.description, channel.name
        decoded = compile_decoder(channel.payload, PayloadLimits())(
            channel.payload.example.encode(), 1_780_000_000_000
        )
        assert isinstance(decoded, Decoded), channel.name
        assert decoded.body is not None
        if channel.direction is Direction.UP:
            assert decoded.time_source == "device", channel.name


@pytest.mark.parametrize("dialect", builtin(), ids=lambda d: d.name)
def test_no_device_reaches_anothers_topics(dialect: Dialect) -> None:
    other = Identity("t2", "d1", "11:22:33:44:55:66", ())
    if not dialect.tenanted:
        other = Identity("t2", "d2")
    for channel in dialect.channels:
        mine, theirs = set(channel.addresses(DEVICE)), set(channel.addresses(other))
        shared = mine & theirs
        assert not shared or channel.direction is Direction.DOWN
        assert all(topic.startswith("global/") for topic in shared)


@pytest.mark.parametrize("dialect", builtin(), ids=lambda d: d.name)
def test_every_topic_of_a_device_leads_back_to_it(dialect: Dialect) -> None:
    router = Router(builtin())
    for channel in dialect.ups():
        for topic in channel.addresses(DEVICE):
            # One at most is the device's by its name or its MAC address.
            (match,) = [
                m
                for m in router.match(topic)
                if m.values.get(Attribute.DEVICE, "d1") == "d1"
                and m.values.get(Attribute.MAC, MAC) == MAC
            ]
            assert (match.dialect.name, match.channel.name) == (dialect.name, channel.name)
            assert match.values.get(Attribute.TENANT, "t1") == "t1"
            assert {Attribute.DEVICE, Attribute.MAC} & set(match.values)
    for channel in dialect.downs():
        for topic in channel.addresses(DEVICE):
            assert router.match(topic) == ()
            assert channel.name in [m.channel.name for m in router.match_any(topic)]


@pytest.mark.parametrize("e", EXAMPLES, ids=str)
def test_documented_messages_find_their_channel(e: Example) -> None:
    found = Router(builtin()).match_any(e.topic)
    assert (e.dialect, e.channel) in {(m.dialect.name, m.channel.name) for m in found}
    assert len({(m.channel.kind, m.channel.payload) for m in found if m.channel.name in UPS}) <= 1


def test_topics_by_kind() -> None:
    assert get("smarthome").topics(DEVICE) == {
        "telemetry": "smarthome/t1/d1/telemetry",
        "status": "smarthome/t1/d1/status",
        "heartbeat": "smarthome/t1/d1/heartbeat",
        "command": "smarthome/t1/d1/commands",
        "config": "smarthome/t1/d1/config",
    }


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_used_by_some_dialect(kind: Kind) -> None:
    assert any(d.of_kind(kind) for d in builtin())


# --------------------------------------------------------------------------- the user's own


def test_a_users_dialect_stands_beside_the_built_in_ones(tmp_path: Path) -> None:
    (tmp_path / "boats.toml").write_text(GOOD)
    (tmp_path / "notes.txt").write_text("not a dialect")
    catalogue = load_all(tmp_path)
    assert catalogue.get("boats").source == str(tmp_path / "boats.toml")
    assert [d.name for d in catalogue.all()] == [*(d.name for d in builtin()), "boats"]
    assert catalogue.broken == {}


def test_a_broken_file_takes_no_other_down(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("name = ")
    (tmp_path / "b.toml").write_text(GOOD)
    (tmp_path / "c.toml").write_bytes(b'name = "x"\ntitle = "\xff"')
    (tmp_path / "d.toml").mkdir()
    (tmp_path / "e.toml").write_text("x" * 1_048_577)
    (tmp_path / "f.toml").symlink_to(tmp_path / "nowhere")
    catalogue = load_all(tmp_path)
    assert catalogue.get("boats")
    assert sorted(path.name for path in catalogue.broken) == [f"{n}.toml" for n in "acdef"]
    assert catalogue.broken[tmp_path / "c.toml"].context["mistakes"][0]["line"] == 2


def test_two_dialects_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(GOOD)
    (tmp_path / "c.toml").write_text(GOOD.replace('"boats"', '"pulse"', 1))
    catalogue = load_all(tmp_path)
    assert catalogue.get("boats").source.endswith("a.toml")
    assert catalogue.get("pulse").source == "builtin:pulse.toml"
    assert "a.toml" in catalogue.broken[tmp_path / "b.toml"].message
    assert "builtin:pulse.toml" in catalogue.broken[tmp_path / "c.toml"].message


def test_topics_of_another_dialect_may_be_claimed(tmp_path: Path) -> None:
    text = GOOD.replace("boats/{port}/{hull}/data", "smarthome/{port}/{hull}/telemetry")
    (tmp_path / "boats.toml").write_text(text)
    matches = Router(load_all(tmp_path).all()).match("smarthome/1/x/telemetry")
    assert [m.dialect.name for m in matches] == ["smarthome", "boats"]


def test_a_directory_that_is_not_there_holds_no_dialects(tmp_path: Path) -> None:
    assert load_all(tmp_path / "dialects").all() == builtin()
    assert load_all(None).all() == builtin()


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "boats.toml").write_text("name = 3")
    with pytest.raises(NotFound) as caught:
        load_all(tmp_path).get("boats")
    assert "smarthome" in caught.value.hint
    assert "boats.toml" in caught.value.hint


def test_a_broken_file_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "boats.toml"
    path.write_text(GOOD.replace("qos = 0", "qos = 5").replace('"telemetry"', '"telemetri"'))
    with pytest.raises(InvalidDialect) as caught:
        load_file(path)
    error = caught.value
    assert str(path) in error.message
    assert "2 mistakes" in error.message
    assert "line 21: channels[0].qos: 5 is not between 0 and 2." in error.message
    assert {m["where"] for m in error.context["mistakes"]} == {
        "channels[0].qos",
        "channels[0].kind",
    }


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "boats.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_file(tmp_path / "boats.toml").name == "boats"


def test_a_catalogue_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Catalogue(()).dialects = builtin()  # type: ignore[misc]


def test_public_names() -> None:
    for name in package.__all__:
        assert hasattr(package, name)
    assert sorted(package.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n)) == (
        package.__all__
    )


def test_channels_can_be_keys() -> None:
    channels = {channel: dialect for dialect in builtin() for channel in dialect.channels}
    assert len(channels) == sum(len(d.channels) for d in builtin())
