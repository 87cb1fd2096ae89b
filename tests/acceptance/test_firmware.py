"""Releases of firmware: the how-to page, followed step by step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.images import esp32
from tests.support.page_commands import Shell, blocks
from tests.support.platform import Platform, running_platform

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "release-firmware.md").read_text()


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with running_platform(tmp_path / "data") as running:
        yield running


def test_the_page(platform: Platform, tmp_path: Path) -> None:
    shell = Shell(platform, tmp_path / "place")
    image = esp32("1.4.0", "trap", chip=5, size=300_000)
    (shell.place / "app.bin").write_bytes(image)
    (shell.place / "assets.bin").write_bytes(b"pictures")
    steps = blocks(PAGE)
    assert len(steps) == 9
    for step in steps:
        shell.run(step)
    assert (shell.place / "release-key.pem").stat().st_mode & 0o777 == 0o600
    # Nothing of the private key is anywhere in the installation.
    secret = (shell.place / "release-key.pem").read_text().splitlines()[1][-20:].encode()
    held = [one for one in platform.data_dir.rglob("*") if one.is_file()]
    assert not [one for one in held if secret in one.read_bytes()]
    out = tmp_path / "copy.bin"
    done = platform.cli(
        "firmware", "download", "trap:1.4.0", "--file", "app.bin", "--out", str(out)
    )
    assert "is written" in done.stdout
    assert out.read_bytes() == image
