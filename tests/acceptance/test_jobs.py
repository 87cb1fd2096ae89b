"""Jobs through a real platform: the page followed, and commands that devices answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.page_commands import Block, Shell, blocks
from tests.support.platform import Platform, running_platform
from tests.support.source import ROOT
from tests.support.waiting import wait_until

PAGE = (ROOT / "docs" / "how-to" / "act-on-many-devices.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One of its own: the page acts on every device there is."""
    with running_platform(tmp_path_factory.mktemp("jobs") / "data") as running:
        yield running


def test_the_page_is_followed(platform: Platform, tmp_path: Path) -> None:
    """docs/how-to/act-on-many-devices.md; no lamp is connected."""
    shell = Shell(platform, tmp_path / "clone")
    start, send, query, show, pace, stop, change, rotate = blocks(PAGE)
    shell.run(start)
    shell.run(send)
    shell.run(query)
    wait_until(
        lambda: platform.cli("job", "show", "1", "--json").json()["counts"]["handed_over"] == 3,
        "the commands to be written",
    )
    shell.run(show)
    shell.run(pace)
    shell.run(Block(stop.commands, ""))
    wait_until(
        lambda: platform.cli("job", "show", "1", "--json").json()["state"] == "cancelled",
        "the job to be cancelled",
    )
    assert {one["state"] for one in commands(platform) if one["reason"] == "new network"} == {
        "cancelled"
    }
    shell.run(change)
    wait_until(
        lambda: (
            platform.cli("device", "settings", "show", "lamp-3", "--json")
            .json()["desired"]
            .get("interval")
            == 30
        ),
        "the settings to be changed",
    )
    assert "No devices to rotate." in shell.run(rotate)
    words = ("--tenant", "default", "--no-wait", "--yes", "--pace", "0", "--json")
    (job,) = platform.cli("device", "rotate", *words).json()["jobs"]
    assert (job["kind"], job["tenant"], job["pace_per_second"]) == ("rotation", "default", 0)


def commands(platform: Platform) -> list[dict[str, str]]:
    found: list[dict[str, str]] = platform.cli("command", "list", "--json").json()["commands"]
    return found


def test_outcomes_of_devices(platform: Platform) -> None:
    """Three devices answer, one of them with an error; the command line waits for all."""
    logins = [platform.add(f"bulb-{n}", "mooring", "--tenant", "bulbs") for n in range(3)]
    boards = [platform.connect(login) for login in logins]
    for login, board in zip(logins, boards, strict=True):
        board.subscribe(f"mooring/bulbs/{login.device}/command/+")

    def answer(n: int) -> None:
        (message,) = boards[n].collect(1, timeout=60)
        uid = json.loads(message.payload)["id"]
        reply = {"id": uid, "ok": n != 1, **({"error": "lamp is hot"} if n == 1 else {})}
        boards[n].publish(f"mooring/bulbs/bulb-{n}/reply", json.dumps(reply))

    threads = [threading.Thread(target=answer, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    found = platform.cli(
        "command", "send", "blink", "--all", "--tenant", "bulbs", "--wait", expect=1, timeout=90
    )
    for thread in threads:
        thread.join(60)
    assert "2 succeeded, 1 failed" in found.stdout
    assert "lamp is hot" in found.stdout
    (job,) = (
        one
        for one in platform.cli("job", "list", "--json").json()["jobs"]
        if one["tenant"] == "bulbs"
    )
    assert (job["state"], job["counts"]["succeeded"], job["counts"]["failed"]) == ("done", 2, 1)
