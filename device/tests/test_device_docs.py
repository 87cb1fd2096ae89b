"""The documentation and the examples say what the code does."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import mooring_device
from device_servers import Mosquitto, Platform, Web
from mooring_device import Device, Limits, Options

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "reference" / "device-sdk.md").read_text()
HOW_TO = (ROOT / "docs" / "how-to" / "write-a-device.md").read_text()
EXAMPLES = ROOT / "examples" / "python"


def test_every_option_limit_error_and_method_is_documented() -> None:
    names = [f.name for kind in (Options, Limits) for f in fields(kind)]
    names += [n for n in mooring_device.__all__ if isinstance(getattr(mooring_device, n), type)
              and issubclass(getattr(mooring_device, n), Exception)]  # fmt: skip
    names += [n for n in dir(Device) if not n.startswith("_")]
    missing = [name for name in names if not re.search(rf"`[^`]*\b{name}\b[^`]*`", REFERENCE)]
    assert missing == []


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", HOW_TO, flags=re.DOTALL))
def test_the_how_to_is_python_3_9(block: str) -> None:
    ast.parse(block, feature_version=(3, 9))


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda f: f.name)
def test_the_examples_are_python_3_9(file: Path) -> None:
    ast.parse(file.read_text(), feature_version=(3, 9))


def run(script: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / script)],
        env={**os.environ, "MOORING_STORE": str(folder / "store"), **environment},
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_five_lines(broker: Mosquitto, platform: Platform, web: Web, tmp_path: Path) -> None:
    base = "mooring/default/d1"
    answer = {
        "device": "d1",
        "tenant": "default",
        "dialect": "mooring",
        "username": "u",
        "password": "p",
        "client_id": "default:d1",
        "topics": {"telemetry": f"{base}/telemetry", "receipt": f"{base}/receipt"},
        "broker": {"host": "127.0.0.1", "port": broker.port},
    }
    web.routes["POST /api/v1/claims"] = lambda *_: (201, answer)
    process = run("five_lines.py", tmp_path, MOORING_CODE="K7QM", MOORING_URL=web.url,
                  READINGS="3", INTERVAL="0.01")  # fmt: skip
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert [body["values"]["count"] for body in platform.of("telemetry")] == [0, 1, 2]


def test_the_thermometer(broker: Mosquitto, platform: Platform, tmp_path: Path) -> None:
    from device_servers import until

    platform.say("config", {"version": 1, "config": {"interval": 0.05}}, retain=True)
    process = run("thermometer.py", tmp_path, MQTT_BROKER="127.0.0.1", MQTT_DEVICE="d1",
                  MQTT_CLIENT_ID="default:d1", MQTT_BROKER_PORT=str(broker.port),
                  INTERVAL="0.1")  # fmt: skip
    try:
        until(lambda: platform.of("config/reported"), "the settings are applied")
        platform.say("command/set_limit", {"id": "1", "args": {"limit": -100}})
        until(lambda: platform.of("reply"), "the reply")
        until(lambda: platform.of("alert"), "the alert")
        assert platform.of("reply")[0]["result"] == {"limit": -100.0}
        assert platform.of("alert")[0]["alert"] == "too_hot"
        assert "temperature" in platform.of("telemetry")[0]["values"]
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    until(lambda: platform.of("status")[-1]["online"] is False, "the goodbye")
