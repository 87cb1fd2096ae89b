"""Lines to paste: right for every dialect, safe against any id, and they really work."""

from __future__ import annotations

import ast
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mooring.broker.address import broker_address
from mooring.dialects import PayloadLimits, builtin, compile_decoder
from mooring.dialects.model import (
    Attribute,
    Channel,
    Dialect,
    Direction,
    Format,
    Identity,
    Kind,
    PayloadShape,
)
from mooring.dialects.payload import Decoded, TimeSource
from mooring.dialects.snippets import BrokerAddress, Login, example_payload, snippets
from mooring.secrets.verifiers import make
from mooring.settings import Settings
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import MqttClient

NOW = 1_790_000_000_000
ADDRESS = BrokerAddress("localhost", 1883, 8883, 9001, "/data/pki/ca.crt", "10.0.0.7", None)
DIALECTS = builtin()


def login_of(dialect: Dialect, identity: Identity) -> Login:
    return Login(dialect.client_id_of(identity), dialect.username_of(identity), "pa-ss")


def options(line: str) -> dict[str, str]:
    """The options of a shell line; every option here takes one value but -r and -v."""
    words = iter(shlex.split(line)[1:])
    return {word: next(words) for word in words if word not in ("-r", "-v")}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_lines_name_this_device_and_this_broker(dialect: Dialect) -> None:
    identity = Identity("acme", "pump-1", "AA:BB:CC:DD:EE:FF")
    login = login_of(dialect, identity)
    lines = snippets(dialect, identity, login, ADDRESS, NOW)
    given_ = options(lines.publish)
    assert given_["-h"] == "localhost"
    assert given_["-p"] == "8883"
    assert given_["--cafile"] == "/data/pki/ca.crt"
    assert (given_["-u"], given_["-P"]) == (login.username, login.password)
    # The broker rejects another client ID where the dialect fixes it. Where it does not, the
    # device's own would end the session of a device that is connected.
    assert given_.get("-i") == (login.client_id if dialect.client_id_fixed else None)
    ups = {c.address(identity) for c in dialect.ups() if not c.operator_only}
    assert given_["-t"] in ups
    assert isinstance(json.loads(given_["-m"]), dict)
    downs = {topic for c in dialect.downs() for topic in c.addresses(identity)}
    words = shlex.split(lines.subscribe)
    assert words[words.index("-i") + 1] == login.client_id
    assert {words[i + 1] for i, word in enumerate(words) if word == "-t"} == downs
    ast.parse(lines.python)
    assert 'mqtt.setServer("10.0.0.7", 8883)' in lines.esp32


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_the_example_is_a_good_message_of_now(dialect: Dialect) -> None:
    identity = Identity("acme", "pump-1", "AA:BB:CC:DD:EE:FF")
    for channel in dialect.ups():
        payload = example_payload(channel, identity, NOW)
        decoded = compile_decoder(channel.payload, PayloadLimits())(payload.encode(), NOW)
        assert isinstance(decoded, Decoded), (channel.name, decoded)
        assert decoded.time_ms == NOW
        assert decoded.time_source in (TimeSource.DEVICE, TimeSource.RECEIVED)
        if channel.payload.sequence not in channel.payload.required:
            assert decoded.seq is None  # else a second paste would be the same message
        body = json.loads(payload)
        if channel.payload.device and channel.payload.device[0] in body:
            assert body[channel.payload.device[0]] == "pump-1"


def test_a_required_time_is_now_in_the_examples_form() -> None:
    for shown, wanted in (
        ('{"t":"2026-01-01T00:00:00Z"}', "2026-09-21T14:13:20.000Z"),
        ('{"t":1767225600}', NOW // 1000),
        ('{"t":1767225600000}', NOW),
    ):
        shape = PayloadShape(time=(("t",),), required=(("t",),), example=shown)
        channel = Channel("c", "a/{d}", Direction.UP, Kind.TELEMETRY, payload=shape)
        found = json.loads(example_payload(channel, Identity("t", "d"), NOW))
        assert found == {"t": wanted}


@pytest.mark.parametrize(
    ("shape", "payload"),
    [
        (PayloadShape(), "{}"),
        (PayloadShape(format=Format.TEXT), "hello"),
        (PayloadShape(format=Format.TEXT, example="on"), "on"),
        (PayloadShape(format=Format.EITHER, example="21.5"), "21.5"),
    ],
)
def test_channels_without_a_json_object(shape: PayloadShape, payload: str) -> None:
    channel = Channel("c", "a/{d}", Direction.UP, Kind.TELEMETRY, payload=shape)
    assert example_payload(channel, Identity("t", "d"), NOW) == payload


def dialect_of(*channels: Channel) -> Dialect:
    return Dialect("d", "D", "{device}", "{device}", channels, tenanted=False)


def test_a_dialect_that_only_listens_has_no_line_to_send() -> None:
    down = Channel(
        "c", "cmd/{d}", Direction.DOWN, Kind.COMMAND, placeholders={"d": Attribute.DEVICE}
    )
    identity = Identity("t", "x")
    lines = snippets(dialect_of(down), identity, Login("x", "x", "p"), ADDRESS, NOW)
    assert lines.publish == ""
    assert "publish" not in lines.python + lines.esp32
    ast.parse(lines.python)


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
@example("-r", "-v")
def test_no_id_breaks_out_of_a_line(device: str, password: str) -> None:
    place = {"d": Attribute.DEVICE}
    device = device.replace("\0", "0").replace("\ud800", "?")
    up = Channel("u", "up/{d}", Direction.UP, Kind.TELEMETRY, placeholders=place)
    down = Channel("c", "cmd/{d}", Direction.DOWN, Kind.COMMAND, placeholders=place)
    login = Login(device, device, password)
    lines = snippets(dialect_of(up, down), Identity("t", device), login, ADDRESS, NOW)
    found = options(lines.publish)
    assert (found["-u"], found["-P"], found["-t"]) == (device, password, f"up/{device}")
    values = {
        node.value for node in ast.walk(ast.parse(lines.python)) if isinstance(node, ast.Constant)
    }
    assert {device, password, f"up/{device}"} <= values
    assert lines.esp32.isprintable() or "\n" in lines.esp32
    assert all(32 <= ord(c) < 127 for c in lines.esp32.replace("\n", ""))


def test_c_strings_mean_what_they_say(tmp_path: Path) -> None:
    """Every byte, and digits right behind an octal escape, through a real C compiler."""
    from mooring.dialects.snippets import _c

    compiler = shutil.which("cc")
    assert compiler is not None, "A C compiler is needed: apt-get install gcc"
    text = "".join(chr(n) for n in range(1, 128)) + "é1?" + "??/" + "\x017"
    source = tmp_path / "a.c"
    source.write_text(
        f"#include <stdio.h>\nint main(void){{fputs({_c(text)}, stdout);return 0;}}\n",
        encoding="ascii",
    )
    program = tmp_path / "a"
    subprocess.run([compiler, "-trigraphs", "-w", "-o", program, source], check=True)
    done = subprocess.run([program], capture_output=True, check=True)
    assert done.stdout == text.encode()


def test_the_ca_is_inside_the_firmware_when_there_is_one() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    address = BrokerAddress("localhost", 1883, 8883, 9001, "/ca.crt", "10.0.0.7", pem)
    dialect = DIALECTS[0]
    identity = Identity("t", "d", "AA:BB:CC:DD:EE:FF")
    text = snippets(dialect, identity, login_of(dialect, identity), address, NOW).esp32
    assert pem.strip() in text
    assert "net.setCACert(CA);" in text


# ------------------------------------------------------------------------- addresses


def test_addresses_follow_the_settings(tmp_path: Path) -> None:
    plain = broker_address(Settings(data_dir=tmp_path))
    assert plain.host == "localhost"
    assert plain.network_host not in ("", "0.0.0.0")  # noqa: S104 - what must not be told
    assert plain.cafile == str(tmp_path / "pki" / "ca.crt")
    assert plain.ca_pem is None
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "ca.crt").write_text("PEM", encoding="ascii")
    assert broker_address(Settings(data_dir=tmp_path)).ca_pem == "PEM"
    public = broker_address(Settings(data_dir=tmp_path, public_hosts=("a.example", "b.example")))
    assert public.host == public.network_host == "a.example"
    own = Settings(data_dir=tmp_path, tls_certfile=Path("c"), tls_keyfile=Path("k"))
    assert broker_address(own).cafile is None
    attached = Settings(data_dir=tmp_path, broker_url="mqtts://me:pw@far.example:8883")
    assert broker_address(attached).host == "far.example"


def test_without_a_ca_file_the_systems_own_are_used() -> None:
    address = BrokerAddress("a.example", 1883, 8883, 9001, None, "a.example")
    dialect = DIALECTS[0]
    identity = Identity("t", "d", "AA:BB:CC:DD:EE:FF")
    lines = snippets(dialect, identity, login_of(dialect, identity), address, NOW)
    assert "--tls-use-os-certs" in lines.publish
    assert "client.tls_set()" in lines.python


# ------------------------------------------------------------------------- they really work


@pytest.fixture
def secured(
    start_mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> tuple[Mosquitto, BrokerAddress]:
    """A TLS listener with one account, and the address that snippets are made for."""
    from datetime import UTC, datetime

    from mooring.pki.ensure import ensure
    from tests.support.ports import free_port

    paths = ensure(tmp_path, [], datetime.now(UTC), machine=[])
    passwords = tmp_path / "passwords"
    passwords.write_text(f"p:{make('right')}\n", encoding="ascii")
    passwords.chmod(0o700)
    port = free_port()
    broker = start_mosquitto(
        "allow_anonymous true",
        f"listener {port}",
        f"cafile {paths.ca}",
        f"certfile {paths.server_cert}",
        f"keyfile {paths.server_key}",
        f"password_file {passwords}",
    )
    return broker, BrokerAddress("localhost", broker.port, port, 0, str(paths.ca), "localhost")


DRIVESAFE = next(dialect for dialect in DIALECTS if dialect.name == "drivesafe")


def test_the_shell_lines_work(secured: tuple[Mosquitto, BrokerAddress]) -> None:
    broker, address = secured
    identity = Identity("acme", "p")
    lines = snippets(DRIVESAFE, identity, Login("p", "p", "right"), address, NOW)
    with MqttClient(broker.port) as platform:
        platform.subscribe("#")
        subprocess.run(shlex.split(lines.publish), check=True, timeout=20)
        [message] = platform.collect(1)
        assert message.topic == "device/data/p"
        assert json.loads(message.payload)["device_id"] == "p"
        listening = subprocess.Popen(
            [*shlex.split(lines.subscribe), "-C", "1"], stdout=subprocess.PIPE, text=True
        )
        try:
            broker.wait_for_log("Received SUBSCRIBE from p")
            platform.publish("device/commands/p", '{"command":"x"}')
            out, _ = listening.communicate(timeout=20)
        finally:
            listening.kill()
        assert out == 'device/commands/p {"command":"x"}\n'


def test_the_python_lines_work(secured: tuple[Mosquitto, BrokerAddress], tmp_path: Path) -> None:
    broker, address = secured
    lines = snippets(DRIVESAFE, Identity("acme", "p"), Login("p", "p", "right"), address, NOW)
    program = tmp_path / "device.py"
    program.write_text(lines.python, encoding="utf-8")
    log = tmp_path / "said"
    with MqttClient(broker.port) as platform, log.open("wb") as out:
        platform.subscribe("device/data/#")
        running = subprocess.Popen([sys.executable, "-u", program], stdout=out)
        try:
            [message] = platform.collect(1)
            assert message.topic == "device/data/p"
            platform.publish("device/commands/p", "hello")
            deadline = time.monotonic() + 20
            while b"hello" not in log.read_bytes() and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            running.kill()
            running.wait()
    assert "device/commands/p b'hello'" in log.read_text(encoding="utf-8")
