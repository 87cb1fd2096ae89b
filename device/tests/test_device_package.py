"""The package itself: Python 3.9, no dependency but paho, memory, names, a typed package."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mooring_device
from device_servers import Mosquitto, Platform

SOURCE = Path(mooring_device.__file__).parent
FILES = sorted(SOURCE.glob("*.py"))

# What the code imports beside itself; all of it is in Python 3.9.
ALLOWED = {
    "__future__", "base64", "calendar", "collections", "concurrent", "contextlib", "dataclasses",
    "datetime", "email", "enum", "errno", "hashlib", "http", "inspect", "ipaddress", "json",
    "logging", "os", "paho", "pathlib", "queue", "random", "re", "selectors", "shutil", "signal",
    "socket", "sqlite3", "ssl", "threading", "time", "types", "typing", "urllib", "uuid",
    "mooring_device",
}  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=[f.name for f in FILES])
def test_it_is_python_3_9_and_needs_only_paho(file: Path) -> None:
    tree = ast.parse(file.read_text(), feature_version=(3, 9))
    imported = set()
    for node in ast.walk(tree):
        assert type(node).__name__ not in ("Match", "TryStar")
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").split(".")[0])
    extra = ("device_key.py", "policy.py")  # the extra "key"
    optional = {"cryptography"} if file.name in extra else set()
    assert imported <= ALLOWED | optional
    assert "mooring" not in imported
    assert file.name == "__init__.py" or "from __future__ import annotations" in file.read_text()


def test_the_public_names() -> None:
    assert sorted(mooring_device.__all__) == mooring_device.__all__
    assert all(hasattr(mooring_device, name) for name in mooring_device.__all__)
    assert (SOURCE / "py.typed").exists()
    declared = (SOURCE.parents[1] / "pyproject.toml").read_text()
    assert f'version = "{mooring_device.__version__}"' in declared


MEASURE = """
import sys
from device_servers import QUICK, credentials
from mooring_device import Device

device = Device(credentials(int(sys.argv[1])), store=sys.argv[2], options=QUICK)
for i in range(5_000):
    device.publish({"temperature": 21.5, "humidity": 40 + i % 7, "n": i}, wait=False)
with device:
    assert device.wait_drained(50), device.stats()
    with open("/proc/self/status") as status:
        facts = dict(line.split(":", 1) for line in status)
    print(facts["VmRSS"].split()[0], facts["VmHWM"].split()[0])
"""


def test_a_device_takes_less_than_thirty_megabytes(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent),
        # Compiled once, as on a device; compiling at every start would be measured with it.
        "PYTHONPYCACHEPREFIX": str(tmp_path / "cache"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    script = MEASURE.replace("from device_servers import QUICK, credentials", LIGHT)
    for attempt in ("compile", "measure"):
        out = subprocess.run(
            [sys.executable, "-c", script, str(broker.port), str(tmp_path / attempt)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert out.returncode == 0, out.stderr
        platform.forget()
    resident, most = (int(n) / 1024 for n in out.stdout.split())
    print(f"\nresident {resident:.1f} MB, at most {most:.1f} MB")
    assert resident < 30


# The measured process must not import pytest with the fixtures.
LIGHT = """
from mooring_device import Credentials, Options
from mooring_device.credentials import native_topics
QUICK = Options(drain_rate=0.0, linger=0.0)
def credentials(port):
    return Credentials(device="d1", host="127.0.0.1", port=port, client_id="default:d1",
                       topics=native_topics("default", "d1"))
"""
