"""A fleet of one's own with the device SDK: the page is followed, and no line of code knows the
dialect."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.platform import Login, Platform, running_platform
from tests.support.waiting import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-fleet-of-your-own.md"
IMAGE = b"firmware of a boat" * 1_000


def page_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("boats") / "data"
    (folder / "dialects").mkdir(parents=True)
    (folder / "dialects" / "boats.toml").write_text("\n".join(page_blocks("toml")))
    with running_platform(folder) as running:
        yield running


@pytest.fixture(scope="module")
def boat(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page's program, as a process; its output is in the file."""
    words = ("--dialect", "boats", "--tenant", "north", "--device", "petrel", "--json")
    code = platform.cli("claim", "new", *words).json()["code"]
    (program,) = page_blocks("python")
    program = program.replace("K7QM-2R4T", code)
    program = program.replace(
        "https://mooring.example", f"http://127.0.0.1:{platform.ports['http_port']}"
    )
    folder = tmp_path_factory.mktemp("petrel")
    (folder / "boat.py").write_text(program.replace("interval = 10.0", "interval = 0.2"))
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-u", "boat.py"],
            cwd=folder,
            env={**os.environ, "MOORING_STORE": str(folder / "store")},
            stdout=file,
            stderr=file,
        )
    yield output
    process.kill()
    process.wait()


def said(platform: Platform, channel: str) -> list[dict[str, Any]]:
    return [
        json.loads(row[0])
        for row in platform.rows(
            "SELECT m.payload FROM messages m JOIN channels c ON c.id = m.channel_id"
            " WHERE c.dialect = 'boats' AND c.name = ? ORDER BY m.id",
            channel,
        )
    ]


def test_readings(platform: Platform, boat: Path) -> None:
    found = wait_until(lambda: said(platform, "telemetry"), f"readings: {boat.read_text()}")
    assert found[0]["readings"] == {"speed": 4.5, "battery": 12.7}
    assert set(found[0]) == {"at", "readings"}


def test_a_command_is_answered(platform: Platform, boat: Path) -> None:
    done = platform.cli(
        "device", "command", "north:petrel", "horn", "seconds=1", "--wait", "--json", timeout=60
    ).json()
    assert (done["state"], done["result"]) == ("done", {"seconds": 1})
    unknown = platform.cli(
        "device", "command", "north:petrel", "dance", "--wait", "--json", timeout=60, expect=1
    ).json()
    assert unknown["state"] == "rejected"
    assert "dance" in unknown["evidence"][-1]["detail"]


def test_a_command_that_runs_is_cancelled(platform: Platform, boat: Path) -> None:
    sent = platform.cli("device", "command", "north:petrel", "horn", "seconds=300", "--json").json()
    number = str(sent["number"])

    def state() -> str:
        return str(platform.rows("SELECT state FROM commands WHERE id = ?", number)[0][0])

    wait_until(lambda: state() in ("sent", "delivered"), "the command is sent")
    asked = platform.cli("command", "cancel", number, "--reason", "too loud", "--json").json()
    assert (asked["over"], asked["cancel_asked"]) == (False, True)
    wait_until(lambda: state() == "cancelled", "the device's answer")
    over = platform.cli("command", "show", number, "--json").json()
    assert "The horn is off" in over["evidence"][-1]["detail"]


def test_settings_are_applied_refused_and_reported(platform: Platform, boat: Path) -> None:
    def state() -> dict[str, Any]:
        found: dict[str, Any] = platform.cli(
            "device", "settings", "show", "north:petrel", "--json"
        ).json()
        return found

    platform.cli("device", "settings", "set", "north:petrel", "interval_s=0.1")
    reported = wait_until(lambda: said(platform, "runs_with"), "the report")
    assert (reported[-1]["fits"], reported[-1]["rig"]) == ("done", {"interval_s": 0.1})
    wait_until(lambda: state()["state"] == "in_sync", "in sync")
    platform.cli("device", "settings", "set", "north:petrel", "interval_s=-1")
    refused = wait_until(
        lambda: [one for one in said(platform, "runs_with") if one["fits"] == "failed"], "a refusal"
    )
    assert refused[0]["why"] == "The interval must be more than 0."


def test_an_offer_of_firmware(platform: Platform, boat: Path) -> None:
    class Images(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(IMAGE)))
            self.end_headers()
            self.wfile.write(IMAGE)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Images)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    offer = {
        "at": 1767225600,
        "id": "r7",
        "image": {
            "version": "2.2",
            "url": f"http://127.0.0.1:{server.server_port}/2.2",
            "size": len(IMAGE),
            "sha256": hashlib.sha256(IMAGE).hexdigest(),
        },
    }
    try:
        platform.connect().publish("boats/north/petrel/image", json.dumps(offer), qos=1)
        wait_until(
            lambda: [one for one in said(platform, "image_progress") if one["state"] == "done"],
            f"the update: {boat.read_text()}",
        )
    finally:
        server.shutdown()
        server.server_close()
    assert {one["id"] for one in said(platform, "image_progress")} == {"r7"}
    assert f"installing 2.2 {len(IMAGE)}" in boat.read_text()


def test_the_device_of_another_tenant_reaches_none_of_its_channels(
    platform: Platform, boat: Path
) -> None:
    neighbour: Login = platform.add("gull", "boats", "--tenant", "south")
    client = platform.connect(neighbour)
    before = boat.read_text()
    for topic in ("do", "stop", "setup", "image", "did", "data"):
        client.publish(f"boats/north/petrel/{topic}", '{"id":"x","what":"horn"}', qos=1)
    client.publish("boats/south/gull/data", '{"readings":{"mark":1}}', qos=1)
    wait_until(
        lambda: any(one["readings"].get("mark") for one in said(platform, "telemetry")),
        "the neighbour's own reading, sent last",
    )
    assert not [one for one in said(platform, "answer") if one["id"] == "x"]
    assert boat.read_text() == before
