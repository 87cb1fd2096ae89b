"""Firmware that takes updates by commands, in a dialect of a user's own."""

from __future__ import annotations

from pathlib import Path

from mqtt5 import PubAckReasonCode

from mooring.app import open_app
from mooring.identity.actor import SYSTEM
from mooring.jobs.rules import State
from mooring.settings import Settings
from tests.integration.ota.stand import OK, Link
from tests.integration.ota.test_rollouts import Bench
from tests.support.ports import free_port

TASMOTA = """
name = "tasmota"
title = "Tasmota"
username = "{device}"
placeholders = { topic = "device", word = "name" }
[[channels]]
name = "state"
topic = "tele/{topic}/STATE"
direction = "up"
kind = "telemetry"
payload.firmware = "Version"
[[channels]]
name = "cmnd"
topic = "cmnd/{topic}/{word}"
direction = "down"
kind = "command"
payload.format = "text"
firmware = [
  { command = "OtaUrl", parameters = { value = "{url}" } },
  { command = "Upgrade", parameters = { value = 1 } },
]
"""


class Texts(Link):
    """Keeps payloads as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[tuple[str, str]] = []

    async def deliver(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, expires: int, within: float
    ) -> PubAckReasonCode:
        assert not retain
        self.texts.append((topic, payload.decode()))
        return OK


def test_two_commands_in_their_order_are_one_update(tmp_path: Path, migrated_url: str) -> None:
    folder = tmp_path / "data" / "dialects"
    folder.mkdir(parents=True)
    (folder / "tasmota.toml").write_text(TASMOTA, encoding="utf-8")
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        mqtt_port=free_port(),
        firmware_signatures="optional",
        http_url="https://m.example",
    )
    with open_app(settings, upgrade=True) as app:
        link = Texts()
        bench = Bench(app, link)
        plugs = [bench.device(f"plug{number}", "tasmota") for number in range(2)]
        for plug in plugs:
            bench.runs(plug, "14.1.0", connected=True, connected_at=1)
        rollout = bench.start(bench.release("14.2.0"))
        assert bench.counts(rollout) == {"handed_over": 2}
        bench.listens(plugs[0])
        bench.send(2)
        (first, url), (second, value) = link.texts
        assert (first, second, value) == ("cmnd/plug0/OtaUrl", "cmnd/plug0/Upgrade", "1")
        assert url.startswith("https://m.example/f/")
        bench.keep()
        (update,) = bench.updates.listed(SYSTEM, device=plugs[0].reference)
        assert (update.state, update.provable, update.reports) == ("offered", True, False)
        bench.ends(bench.targets(rollout, "handed_over"), "confirmed")
        assert bench.of(rollout).job.state is State.DONE
