"""The examples, run against the platform with the credentials of `device add --json`.

The ESP32 sketch is compiled for this machine against the small stand-ins in ``arduino/``; the
Node example runs with the real ``mqtt`` package, installed from its lock file.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.platform import Login, Platform
from tests.support.processes import Child
from tests.support.programs import find_program
from tests.support.source import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)  # compilers and many programs, on a busy machine

EXAMPLES = ROOT / "examples"
ARDUINO = Path(__file__).with_name("arduino")
RESTARTED = 42  # the stand-in's exit code for ESP.restart()


def add(platform: Platform, name: str, home: str) -> dict[str, Any]:
    """All of what `device add --json` prints."""
    answer: dict[str, Any] = platform.cli(
        "device", "add", name, "--dialect", "smarthome", "--tenant", home, "--json"
    ).json()
    assert answer["accepted_by_broker"] is True
    return answer


def latest(platform: Platform, answer: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Channel → its newest message, from the database: asked often, so without a program."""
    rows = platform.rows(
        "SELECT c.name, l.payload FROM latest l JOIN channels c ON c.id = l.channel_id"
        " JOIN devices d ON d.id = l.device_id WHERE d.username = ?",
        answer["username"],
    )
    return {name: json.loads(payload) for name, payload in rows}


def shown(platform: Platform, answer: Mapping[str, Any]) -> str:
    """What a person is shown."""
    return platform.cli("telemetry", "latest", Login.of(answer).reference).stdout


def wait_for(
    platform: Platform, answer: Mapping[str, Any], channel: str, what: Callable[[Any], bool]
) -> dict[str, Any]:
    """The newest message of the channel, once it is as wanted."""
    found: dict[str, Any] = {}

    def arrived() -> bool:
        found.clear()
        found.update(latest(platform, answer).get(channel, {}))
        return bool(found) and what(found)

    try:
        wait_until(arrived, channel)
    except TimeoutError as exc:
        raise AssertionError(f"{exc} Last: {found}") from exc
    return found


def tell(platform: Platform, topic: str, message: Mapping[str, Any], *, retain: bool) -> None:
    sender = platform.connect()
    sender.publish(topic, json.dumps(message), qos=1, retain=retain)
    sender.disconnect()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """``start(program, *words)``: children that are ended with the test."""
    children: list[Child] = []

    def begin(*words: str | Path, env: Mapping[str, str] | None = None) -> Child:
        children.append(Child(words, tmp_path / f"{len(children)}.log", env=env))
        return children[-1]

    yield begin
    for child in children:
        child.end()


# ------------------------------------------------------------------------- ESP32


def compiled(sketch: Path, place: Path, *defines: str) -> Path:
    """The program of a sketch; every warning of the compiler is an error."""
    program = place / "sketch"
    done = subprocess.run(
        [
            find_program("g++", package="g++"),
            *("-std=c++17", "-Wall", "-Wextra", "-Werror"),
            *(f"-D{define}" for define in defines),
            *("-I", ARDUINO, "-I", place, "-include", "Arduino.h"),
            *("-x", "c++", sketch, ARDUINO / "host.cpp", "-o", program),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return program


def write_secrets(place: Path, answer: Mapping[str, Any], *, tls: bool) -> None:
    """secrets.h as its example asks for it: every name that is defined there, and no other."""
    broker = answer["broker"]
    values = {
        "WIFI_SSID": '"attic"',
        "WIFI_PASSWORD": '"secret"',
        "MQTT_HOST": json.dumps(broker["host"] if tls else "127.0.0.1"),
        "MQTT_PORT": str(broker["tls_port" if tls else "port"]),
        "MQTT_CLIENT_ID": json.dumps(answer["client_id"]),
        "MQTT_USERNAME": json.dumps(answer["username"]),
        "MQTT_PASSWORD": json.dumps(answer["password"]),
        "HOME_ID": json.dumps(answer["tenant"]),
        "DEVICE_ID": json.dumps(answer["device"]),
    }
    lines = []
    for line in (EXAMPLES / "esp32" / "secrets.example.h").read_text().splitlines():
        words = line.split()
        if words[:1] == ["#define"]:
            lines.append(f"#define {words[1]} {values.pop(words[1])}")
        elif line == "...":
            pem = Path(broker["cafile"]).read_text()
            lines += [part for part in pem.splitlines() if "-----" not in part]
        else:
            lines.append(line)
    assert values == {}
    (place / "secrets.h").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_the_esp32_sketch_speaks_and_hears(
    platform: Platform, tmp_path: Path, start: Callable[..., Child], tls: bool
) -> None:
    board = add(platform, f"board-{'tls' if tls else 'plain'}", "attic")
    write_secrets(tmp_path, board, tls=tls)
    program = compiled(
        EXAMPLES / "esp32" / "esp32.ino",
        tmp_path,
        "SAMPLE_SECONDS=1",
        "HEARTBEAT_SECONDS=2",
        f"MQTT_TLS={tls:d}",
    )
    sketch = start(program)
    sketch.wait_for_log("connected to")

    reading = wait_for(platform, board, "telemetry", lambda said: True)
    assert reading["sensors"] == {
        "temperature": 21.5,
        "humidity": 48,
        "gasPpm": 120,
        "flame": False,
    }
    assert reading["deviceId"] == board["device"]
    assert "temperature  21.5" in shown(platform, board)
    wait_for(platform, board, "heartbeat", lambda said: said["freeMemory"] > 0)
    wait_for(platform, board, "status", lambda said: said["online"] is True)

    on = {"commandId": "c-1", "type": "SET_POWER", "payload": {"power": True}}
    tell(platform, board["topics"]["command"], on, retain=False)
    wait_for(platform, board, "status", lambda said: said["status"]["power"] is True)
    assert "pin 26 is HIGH" in sketch.log()
    tell(platform, board["topics"]["command"], on, retain=False)  # as after a lost PUBACK
    tell(platform, board["topics"]["command"], {"type": "DANCE"}, retain=False)
    said = wait_for(platform, board, "status", lambda said: said["errors"] != [])
    assert said["errors"] == ["cannot do command 'DANCE'"]
    assert sketch.log().count("pin 26") == 1

    tell(platform, board["topics"]["config"], {"config": {"sampleRate": 2}}, retain=True)
    wait_for(platform, board, "status", lambda said: said["status"]["sampleRate"] == 2)
    tell(platform, board["topics"]["config"], {"config": {"sampleRate": 0}}, retain=True)
    said = wait_for(platform, board, "status", lambda said: said["errors"] != [])
    assert said["errors"] == ["sampleRate must be 1 to 3600, not 0"]
    assert said["status"]["sampleRate"] == 2

    sketch.kill()
    wait_for(platform, board, "status", lambda said: said["online"] is False)  # the Last Will

    again = start(program)
    wait_for(platform, board, "status", lambda said: said["online"] is True)
    tell(platform, board["topics"]["command"], {"type": "RESET"}, retain=False)
    assert again.process.wait(20) == RESTARTED, again.log()


def test_the_esp32_sketch_waits_longer_after_each_refusal_and_trusts_only_its_ca(
    platform: Platform, tmp_path: Path, start: Callable[..., Child]
) -> None:
    board = add(platform, "board-refused", "attic")
    refused = tmp_path / "refused"
    refused.mkdir()
    write_secrets(refused, board | {"password": "another"}, tls=True)
    sketch = start(compiled(EXAMPLES / "esp32" / "esp32.ino", refused))
    sketch.wait_for_log("not connected (5)")

    stranger = platform.cli.data_dir.parent / "stranger.pem"
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=stranger", "-keyout", tmp_path / "key", "-out", stranger),
        ],
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert made.returncode == 0, made.stderr
    deceived = tmp_path / "deceived"
    deceived.mkdir()
    broker = board["broker"] | {"cafile": str(stranger)}
    write_secrets(deceived, board | {"broker": broker}, tls=True)
    deceived_sketch = start(compiled(EXAMPLES / "esp32" / "esp32.ino", deceived))
    deceived_sketch.wait_for_log("not connected (-")
    assert "connected to" not in deceived_sketch.log()
    assert latest(platform, board) == {}


def test_the_esp32_lines_of_device_add_compile(platform: Platform, tmp_path: Path) -> None:
    said = platform.cli("device", "add", "pasted", "--dialect", "smarthome", "--tenant", "attic")
    lines = said.stdout.partition("ESP32 (")[2].partition("\n\n")[2]
    assert "connectMqtt" in lines
    sketch = tmp_path / "pasted.ino"
    sketch.write_text(
        "#include <PubSubClient.h>\n#include <WiFi.h>\n#include <WiFiClientSecure.h>\n"
        f"{lines}\nvoid setup() {{}}\nvoid loop() {{ connectMqtt(); }}\n"
    )
    compiled(sketch, tmp_path)


# ------------------------------------------------------------------------- Node


@pytest.fixture(scope="module")
def node_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with exactly the packages of its lock file."""
    place = tmp_path_factory.mktemp("node") / "node"
    shutil.copytree(EXAMPLES / "node", place, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(
        [find_program("npm", package="npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_the_node_example_speaks_and_hears(
    platform: Platform, node_example: Path, tmp_path: Path, start: Callable[..., Child]
) -> None:
    plug = add(platform, "plug-7", "attic")
    credentials = tmp_path / "plug-7.json"
    credentials.write_text(json.dumps(plug))
    words = (find_program("node", package="nodejs"), node_example / "device.js", credentials)
    device = start(*words, env=platform.cli.env | {"INTERVAL": "1"})
    device.wait_for_log("connected to")

    reading = wait_for(platform, plug, "telemetry", lambda said: True)
    assert set(reading["sensors"]) == {"temperature", "humidity", "powerW"}
    assert f"temperature  {reading['sensors']['temperature']}"[:16] in shown(platform, plug)
    wait_for(platform, plug, "status", lambda said: said["online"] is True)

    on = {"commandId": "c-1", "type": "SET_POWER", "payload": {"power": True}}
    tell(platform, plug["topics"]["command"], on, retain=False)
    wait_for(platform, plug, "status", lambda said: said["status"]["power"] is True)
    wait_for(platform, plug, "telemetry", lambda said: said["sensors"]["powerW"] > 0)
    tell(platform, plug["topics"]["config"], {"config": {"sampleRate": 9999}}, retain=True)
    said = wait_for(platform, plug, "status", lambda said: said["errors"] != [])
    assert said["errors"] == ["sampleRate must be 1 to 3600, not 9999"]

    device.kill()
    wait_for(platform, plug, "status", lambda said: said["online"] is False)  # the Last Will

    again = start(*words, env=platform.cli.env | {"INTERVAL": "1"})
    wait_for(platform, plug, "status", lambda said: said["online"] is True)
    assert again.end() == 0, again.log()
    wait_for(platform, plug, "status", lambda said: said["online"] is False)  # said goodbye


def test_the_node_example_says_that_it_is_refused_and_goes_on_trying(
    platform: Platform, node_example: Path, tmp_path: Path, start: Callable[..., Child]
) -> None:
    plug = add(platform, "plug-8", "attic")
    credentials = tmp_path / "plug-8.json"
    credentials.write_text(json.dumps(plug | {"password": "another"}))
    device = start(find_program("node", package="nodejs"), node_example / "device.js", credentials)
    device.wait_for_log("Not authorized")
    wait_until(lambda: device.log().count("Not authorized") >= 2, "the second try")
    assert device.running
