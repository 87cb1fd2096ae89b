from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mooring import running
from mooring.errors import Conflict, InvalidSetting
from mooring.settings import load

HOLD = """
import sys, time
from pathlib import Path
from mooring import running
directory = Path(sys.argv[1])
with running.exclusive(directory):
    running.announce(directory, {"http_port": 9999})
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def held(tmp_path: Path):  # type: ignore[no-untyped-def]
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_one_at_a_time(tmp_path: Path, held: subprocess.Popen[str]) -> None:
    with pytest.raises(Conflict, match=str(held.pid)), running.exclusive(tmp_path):
        raise AssertionError("two hold it")
    held.kill()
    held.wait()
    with running.exclusive(tmp_path):
        assert running.holder(tmp_path) is not None


def test_what_runs_is_known_to_others_while_it_runs(
    tmp_path: Path, held: subprocess.Popen[str]
) -> None:
    settings, origins = load({"data_dir": tmp_path}, {})
    assert settings.http_port == 9999
    assert origins["http_port"].where == "mooring up"
    assert load({"data_dir": tmp_path, "http_port": 1234}, {})[0].http_port == 1234
    assert load({"data_dir": tmp_path}, {"MOORING_HTTP_PORT": "1235"})[0].http_port == 1235
    held.kill()
    held.wait()
    assert load({"data_dir": tmp_path}, {})[0].http_port == 8080


def test_flags_beat_environment_beats_file_beats_default(tmp_path: Path) -> None:
    (tmp_path / "mooring.toml").write_text(
        'http_port = 7001\nmqtt_port = 7002\nlog_level = "error"\n'
    )
    env = {"MOORING_MQTT_PORT": "7003", "MQTT_AUTH_MODE": "password_file"}
    settings, origins = load({"data_dir": tmp_path, "log_level": "debug"}, env)
    assert (settings.http_port, settings.mqtt_port, settings.log_level) == (7001, 7003, "debug")
    assert settings.auth_mode == "password_file"
    assert origins["mqtt_port"].where == "MOORING_MQTT_PORT"
    assert origins["auth_mode"].where == "MQTT_AUTH_MODE"
    assert origins["http_port"].where.endswith("mooring.toml")
    assert origins["mqtt_ws_port"].where == "default"


@pytest.mark.parametrize(
    ("content", "said"),
    [("http_port = 0", "http_port"), ("nonsense = 1", "nonsense"), ("http_port = ", "not TOML")],
)
def test_a_bad_setting_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "mooring.toml").write_text(content)
    with pytest.raises(InvalidSetting, match=said):
        load({"data_dir": tmp_path}, {})


def test_secrets_are_not_announced_or_shown(tmp_path: Path) -> None:
    settings, _ = load({"data_dir": tmp_path}, {"MOORING_BROKER_PASSWORD": "hunter2hunter2"})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in json.dumps(settings.model_dump(mode="json"))


@pytest.mark.parametrize(
    "variable",
    ["MQTT_USERNAME", "MQTT_PASSWORD", "MQTT_DYNSEC_ADMIN_USER", "MQTT_DYNSEC_ADMIN_PASS"],
)
def test_a_fleets_variables_do_not_name_the_account_of_a_managed_broker(
    tmp_path: Path, variable: str
) -> None:
    """It may read and write everything; a fleet's ``.env`` names a device or a program."""
    with pytest.raises(InvalidSetting, match=variable):
        load({"data_dir": tmp_path}, {variable: "esp32-sensor-1"})
    attached, _ = load(
        {"data_dir": tmp_path}, {variable: "esp32-sensor-1", "MOORING_BROKER": "attached"}
    )
    assert "esp32-sensor-1" in (
        attached.broker_username,
        attached.broker_password and attached.broker_password.get_secret_value(),
    )
    asked, _ = load({"data_dir": tmp_path}, {"MOORING_BROKER_USERNAME": "esp32-sensor-1"})
    assert asked.broker_username == "esp32-sensor-1"
