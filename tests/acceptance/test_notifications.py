"""Notifications through a real Mosquitto and all processes: the page, and a killed worker."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.page_commands import Shell, blocks
from tests.support.platform import Platform, running_platform
from tests.support.receivers import HttpReceiver, certificate
from tests.support.waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "notifications.md").read_text("utf-8")


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpReceiver]:
    with HttpReceiver(certificate(tmp_path_factory.mktemp("receiver"))) as found:
        yield found


@pytest.fixture(scope="module")
def platform(
    receiver: HttpReceiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    assert receiver.files is not None
    env = {
        "MOORING_ALERT_DISK_PERCENT": "1",  # the disk of a test machine may be full
        "MOORING_NOTIFY_CA_FILE": str(receiver.files[0]),
    }
    with running_platform(tmp_path_factory.mktemp("notify") / "data", env=env) as running:
        yield running


def test_the_page_followed(platform: Platform, receiver: HttpReceiver, tmp_path: Path) -> None:
    """docs/how-to/notifications.md; its hook is the receiver of this test."""
    shell = Shell(platform, tmp_path / "clone")
    hook = "https://hooks.example.org/mooring"
    add, apprise, alertmanager, change, local = blocks(PAGE)
    printed = shell.run(
        replace(add, commands=add.commands.replace(hook, f"{receiver.url} --private"))
    )
    secret = re.search(r"^Secret: (whsec_\S+)$", printed, re.MULTILINE)
    assert secret, printed
    assert "Sent to https://localhost" in printed
    (got,) = receiver.got
    assert got.json["type"] == "org.mooring.notification.test"
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)  # noqa: S102 - the page's own
    assert found["is_genuine"](secret[1], got.headers, got.body)
    assert not found["is_genuine"](secret[1], got.headers, got.body + b" ")
    printed = shell.run(apprise)
    for word in ("password", "TokenA", "night@example.org"):
        assert word not in printed
    shell.run(alertmanager)
    shell.run(change)
    shell.run(local)
    listed = platform.cli("notify", "list", "--json").json()["recipients"]
    assert [(one["name"], one["kind"], one["enabled"]) for one in listed] == [
        ("ops", "webhook", False),
        ("night-shift", "apprise", True),
        ("team", "apprise", True),
        ("local", "webhook", True),
    ]
    assert listed[0]["options"]["alerts"] == ["boiler*"]
    (example,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert set(json.loads(example)) == set(got.json)
    assert set(json.loads(example)["data"]) == set(got.json["data"])
    for one in listed:
        platform.cli("notify", "remove", one["name"], "--yes")


def test_a_worker_killed_between_alert_and_notification_sends_once(
    platform: Platform, receiver: HttpReceiver
) -> None:
    receiver.got.clear()
    platform.cli(
        "notify", "add", "on-call", receiver.url, "--private", "--wait", "5s", "--interval", "0s"
    )
    siren = platform.add("siren", "mooring")
    client = platform.connect(siren)
    client.publish(siren.topics["alert"], json.dumps({"alert": "smoke", "severity": "critical"}))
    waiting = "SELECT state FROM notification_items"
    wait_until(lambda: platform.rows(waiting) == [("pending",)], "the outbox", timeout=30)
    before = platform.pid("worker")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: platform.pid("worker") != before, "another worker", timeout=60)
    wait_until(lambda: receiver.got, "the notification", timeout=60)
    client.publish(siren.topics["alert_cleared"], json.dumps({"alert": "smoke"}))
    wait_until(lambda: len(receiver.got) > 1, "the end of the alert", timeout=60)
    said = [[one["status"] for one in got.json["data"]["alerts"]] for got in receiver.got]
    assert said == [["raised"], ["cleared"]]
    outcomes = "SELECT state, attempts FROM notifications ORDER BY id"
    wait_until(lambda: platform.rows(outcomes) == [("sent", 1)] * 2, "the outcomes", timeout=30)
    assert receiver.got[0].headers["webhook-id"] != receiver.got[1].headers["webhook-id"]
    assert "notifications" in platform.cli("status", expect=None).stdout
