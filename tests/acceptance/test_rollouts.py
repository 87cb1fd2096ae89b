"""Rollouts through a real platform: the how-to page, followed step by step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.page_commands import Shell, blocks
from tests.support.platform import Platform, running_platform
from tests.support.source import ROOT
from tests.support.waiting import wait_until

PAGE = (ROOT / "docs" / "how-to" / "update-firmware.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One of its own: the page numbers its rollouts from 1."""
    with running_platform(
        tmp_path_factory.mktemp("rollouts") / "data",
        env={
            "MOORING_HTTP_URL": "https://mooring.example",
            "MOORING_FIRMWARE_SIGNATURES": "optional",
        },
    ) as running:
        yield running


def shown(platform: Platform, number: int) -> dict[str, Any]:
    found: dict[str, Any] = platform.cli("rollout", "show", str(number), "--json").json()
    return found


def test_the_page_is_followed(platform: Platform, tmp_path: Path) -> None:
    """docs/how-to/update-firmware.md; no trap has ever connected, so offers wait for them."""
    cli = platform.cli
    for name, group in (("trap-1", "canaries"), ("trap-2", "attic"), ("trap-3", "attic")):
        cli("device", "add", name, "--dialect", "mooring", "--group", group)
    image = tmp_path / "app.bin"
    image.write_bytes(b"\x55" * 1000)
    cli("firmware", "add", str(image), "--product", "trap", "--version", "1.5.0")
    cli("firmware", "publish", "trap:1.5.0", "--unsigned", "--reason", "a test")
    shell = Shell(platform, tmp_path / "place")
    start, at_night, show, failed, pause, pace, cancel, add, announce = blocks(PAGE)
    shell.run(start)
    shell.run(at_night)
    wait_until(
        lambda: shown(platform, 1)["counts"]["handed_over"] == 1, "the first wave to be offered"
    )
    shell.run(show)
    (first,) = (
        one["device"]
        for one in cli("job", "show", "1", "--state", "handed_over", "--json").json()["devices"]
    )
    assert first == "trap-1"  # the canary
    assert "No device failed." in shell.run(failed)
    shell.run(pause)
    assert shown(platform, 1)["state"] == "running"
    shell.run(pace)
    now = shown(platform, 1)
    assert (now["pace_per_second"], now["at_once"]) == (2, 10)
    assert shown(platform, 2)["counts"]["handed_over"] == 0  # nobody has approved it
    assert announce.commands.startswith("mooring rollout announce 1 --yes")
    refused = cli("rollout", "announce", "1", "--yes", expect=4)
    assert "not announced" in refused.stderr, refused.stderr  # its last wave is not open
    shell.run(cancel)
    wait_until(lambda: shown(platform, 2)["state"] == "cancelled", "the rollout to be cancelled")
    cli("device", "add", "trap-4", "--dialect", "mooring")
    shell.run(add)
    wait_until(lambda: shown(platform, 1)["counts"]["total"] == 4, "the later trap to be added")
