"""No password in clear: not in the database, a log, the audit, nor the process list.

A device is claimed, rotated, recovered and locked out on a platform as people run it; then
everything it has written is searched for every password there was.
"""

from __future__ import annotations

import base64
import threading
import time
from pathlib import Path

import httpx

from tests.faults.credentials.devices import KeepsBoth
from tests.support.platform import running_platform
from tests.support.waiting import wait_until


class Watch(threading.Thread):
    """Remembers every command line there was."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:  # it has ended
                    continue


def test_no_password_is_left_anywhere(tmp_path: Path) -> None:
    watch = Watch()
    watch.start()
    with running_platform(tmp_path / "data") as platform:
        code = platform.cli(
            "claim", "new", "--dialect", "mooring", "--name", "Kitchen", "--json"
        ).json()["code"]
        web = httpx.Client(base_url=f"http://127.0.0.1:{platform.ports['http_port']}", timeout=30)
        asked = {"code": code, "hardware_id": "AA:BB:CC:DD:EE:01"}
        claimed = web.post("/api/v1/claims", json=asked)
        assert claimed.status_code == 201, claimed.text
        first = claimed.json()
        device = KeepsBoth(
            platform.ports["mqtt_port"],
            first["username"],
            first["client_id"],
            first["topics"],
            first["password"],
        )
        device.start()
        wait_until(
            lambda: platform.rows("SELECT 1 FROM credentials WHERE proved_at IS NOT NULL"),
            "the login to be seen",
        )
        assert web.post("/api/v1/claims", json=asked).status_code == 409
        rotated = platform.cli(
            "device", "rotate", first["device"], "--reason", "test", "--json", timeout=120
        ).json()
        assert rotated["phase"] == "settled", rotated
        second = device.password
        assert second != first["password"]
        device.stop()
        recovered = web.post(
            f"/api/v1/devices/{first['device']}/recover",
            auth=(first["username"], first["password"]),
        )
        assert recovered.status_code in {200, 202}, recovered.text
        third = recovered.json()["password"]
        platform.cli("device", "disable", first["device"])
        listed = platform.cli("audit", "list", "--json").stdout
        wait_until(
            lambda: not platform.rows("SELECT 1 FROM broker_changes"),
            "the broker to be told of all",
        )
        time.sleep(0.5)
        assert platform.up is not None
        said = platform.up.log()
    watch.over.set()

    secrets = {first["password"], second, third, code, code.replace("-", "")}
    assert len(secrets) == 5
    for secret in secrets:
        for spelled in (secret.encode(), base64.b64encode(secret.encode())):
            assert spelled not in listed.encode()
            assert spelled not in said.encode()
            assert not [line for line in watch.seen if spelled in line and b"pytest" not in line]
            holders = [
                str(path.relative_to(tmp_path))
                for path in (tmp_path / "data").rglob("*")
                if path.is_file() and spelled in path.read_bytes()
            ]
            assert holders == []
