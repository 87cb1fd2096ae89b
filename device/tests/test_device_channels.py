"""Groups that a device comes into later: it asks the platform, and connects again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from device_servers import QUICK, Mosquitto, Platform, Web, credentials, until
from mooring_device import Device, Options
from mooring_device.vault import Vault

OPTIONS = Options(**{**vars(QUICK), "shape_every": 0.2})
UP = {
    "name": "telemetry",
    "kind": "telemetry",
    "direction": "up",
    "topics": ["mooring/default/d1/telemetry"],
}


def shape(*groups: str) -> dict[str, Any]:
    fleet = {
        "name": "fleet_command", "kind": "fleet_command", "direction": "down",
        "topics": [f"fleet/{group}" for group in groups],
        "payload": {"identifier": ["id"], "name": ["command"]},
    }  # fmt: skip
    return {"version": 1, "channels": [UP, *([fleet] if groups else [])], "groups": list(groups)}


def test_a_device_that_comes_into_a_group_listens_to_its_channel(
    broker: Mosquitto, platform: Platform, web: Web, tmp_path: Path
) -> None:
    now = {"groups": ["a"], "asked": 0}

    def answer(*_: Any) -> tuple[int, Any]:
        now["asked"] += 1
        return 200, {"topics": {"telemetry": UP["topics"][0]}, "shape": shape(*now["groups"])}

    web.routes["GET /api/v1/devices/d1/shape"] = answer
    given = credentials(broker.port, http_url=web.url, shape=shape("a"), username="u", password="p")
    device = Device(given, store=tmp_path, options=OPTIONS)
    done: list[str] = []
    device.command("blink")(lambda: done.append("blink"))

    def order(group: str, number: int) -> None:
        platform.client.publish(f"fleet/{group}", json.dumps({"id": number, "command": "blink"}), 1)

    with device:
        assert device.wait_connected(10)
        order("a", 1)
        until(lambda: len(done) == 1, "the command of its group")
        until(lambda: now["asked"] > 1, "it asks")
        assert device.stats()["sessions"] == 1, "the same channels are no reason to connect again"
        now["groups"] = ["b", "c"]
        until(lambda: device.stats()["sessions"] == 2 and device.connected, "a new session")
        for number, group in enumerate("abc", 2):
            order(group, number)
        until(lambda: len(done) == 3, "the commands of its new groups")
        log = broker.log
        assert "UNSUBSCRIBE" in log
        assert log.rindex("fleet/a") > log.index("UNSUBSCRIBE")
    assert len(done) == 3
    # The application's file is older than what the platform told.
    assert Vault(tmp_path / "credentials.json").credentials is not None
    again = Device(given, store=tmp_path, options=OPTIONS)
    assert again.credentials.shape == shape("b", "c")
    again.close()
    # A newer file counts.
    newer = credentials(broker.port, http_url=web.url, shape=shape("d"), username="u", password="p")
    last = Device(newer, store=tmp_path, options=OPTIONS)
    assert last.credentials.shape == shape("d")
    last.close()


def test_a_platform_that_does_not_tell_or_tells_nonsense_changes_nothing(
    broker: Mosquitto, platform: Platform, web: Web, tmp_path: Path
) -> None:
    answers: list[tuple[int, Any]] = [
        (404, {"title": "Not found"}),
        (500, {}),
        (200, {"shape": {"version": 1, "channels": [{"topics": ["#"]}]}, "topics": {}}),
        (200, {"shape": {"version": 9}, "topics": {}}),
        (200, {"shape": shape("b"), "topics": {"telemetry": 7}}),
        (200, {"no": "shape"}),
    ]
    asked: list[int] = []

    def answer(*_: Any) -> tuple[int, Any]:
        asked.append(1)
        return answers[len(asked) % len(answers)]

    web.routes["GET /api/v1/devices/d1/shape"] = answer
    given = credentials(broker.port, http_url=web.url, shape=shape("a"), username="u", password="p")
    with Device(given, store=tmp_path, options=OPTIONS) as device:
        until(lambda: len(asked) > len(answers), "every answer")
        assert device.stats()["sessions"] == 1
        device.publish({"x": 1})
        assert device.wait_drained(10)


def test_what_was_queued_for_a_channel_that_is_gone_stops_nothing(
    broker: Mosquitto, platform: Platform, tmp_path: Path
) -> None:
    lost = {**UP, "name": "alert", "kind": "alert", "topics": ["mooring/default/d1/alert"]}
    before = credentials(broker.port, shape={"version": 1, "channels": [UP, lost]})
    device = Device(before, store=tmp_path, options=QUICK)
    device.publish({"alert": "smoke"}, channel="alert")
    device.publish({"x": 1})
    device.close()
    after = credentials(broker.port, shape={"version": 1, "channels": [UP]})
    with Device(after, store=tmp_path, options=QUICK) as device:
        assert device.wait_drained(10)
        assert device.stats()["undeliverable"] == 1
    until(lambda: platform.of("telemetry"), "the reading behind it")
