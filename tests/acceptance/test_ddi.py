"""Unmodified update clients over hawkBit's DDI against the real ``mooring up``: Debian's SWUpdate,
by the how-to page, and PyPI's rauc-hawkbit."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.ddi.swu import new_key, swu
from tests.support.page_commands import Shell, blocks
from tests.support.platform import Platform, running_platform
from tests.support.processes import Child
from tests.support.programs import find_program
from tests.support.waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "update-over-hawkbit.md").read_text()
RAUC_DEVICE = Path(__file__).parents[1] / "support" / "ddi" / "rauc_device.py"
CONTENT = b"hello\n" * 20_000
SECONDS = 120.0  # the clients ask every second


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    env = {
        "MOORING_FIRMWARE_SIGNATURES": "optional",
        "MOORING_DDI_POLL_SECONDS": "1",
        "MOORING_FIRMWARE_PROOF_SECONDS": "1",
    }
    with running_platform(tmp_path_factory.mktemp("ddi") / "data", env=env) as running:
        yield running


def state(platform: Platform, device: str) -> str:
    rows = platform.rows(
        "SELECT state FROM firmware_updates WHERE device = ? ORDER BY id DESC LIMIT 1", device
    )
    return str(rows[0][0]) if rows else ""


def until(platform: Platform, device: str, *wanted: str) -> str:
    return wait_until(
        lambda: found if (found := state(platform, device)) in wanted else "",
        f"{device} to be {' or '.join(wanted)}",
        timeout=SECONDS,
    )


def has_described(platform: Platform, device: str, version: str) -> bool:
    """Whether the device has asked, and named the version."""
    return bool(
        platform.rows(
            "SELECT 1 FROM ddi_controllers JOIN devices ON devices.id = device_id"
            " WHERE devices.name = ? AND version = ?",
            device,
            version,
        )
    )


@contextmanager
def running(log: Path, words: list[str | Path], **env: str) -> Iterator[Child]:
    child = Child(words, log, env=dict(os.environ) | env)
    try:
        yield child
    finally:
        child.kill()


def test_swupdate_by_the_page(platform: Platform, tmp_path: Path) -> None:
    program = find_program("swupdate", package="swupdate")
    shell = Shell(platform, tmp_path / "place", keep=("MOORING_FIRMWARE_SIGNATURES",))
    add, gateway, offer, look = blocks(PAGE)
    shell.run(add)
    login = json.loads((shell.place / "gateway-1.json").read_text())
    shell.run(gateway)
    certificate = new_key(tmp_path)
    installed = tmp_path / "installed"
    (shell.place / "gateway.swu").write_bytes(swu(tmp_path, "2.0", installed, CONTENT))
    (tmp_path / "sockets").mkdir()

    @contextmanager
    def device(version: str, *more: str) -> Iterator[Child]:
        """SWUpdate from a start of the device to the next one."""
        config = tmp_path / "swupdate.cfg"
        text = PAGE.partition("```ini\n")[2].partition("```")[0]
        for told, real in (
            ("https://mooring.example.org", f"http://127.0.0.1:{platform.ports['http_port']}"),
            ("PASSWORD", login["password"]),
            ('"1.0"', f'"{version}"'),
        ):
            assert told in text
            text = text.replace(told, real)
        config.write_text(text)
        words = [program, "-f", config, "-v", "-M", "-m", "-H", "board:1.0", "-k", certificate]
        suricatta = " ".join(("-p 1", *more))
        with running(
            tmp_path / "swupdate.log",
            [*words, "-u", suricatta],
            TMPDIR=str(tmp_path / "sockets"),
        ) as child:
            yield child

    with device("1.0"):
        wait_until(
            lambda: has_described(platform, "gateway-1", "1.0"), "SWUpdate to ask", timeout=SECONDS
        )
        shell.run(offer)
        wait_until(
            lambda: installed.exists() and installed.read_bytes() == CONTENT,
            "SWUpdate to install",
            timeout=SECONDS,
        )
        until(platform, "gateway-1", "installing")
    with device("2.0", "-c 2"):  # it has restarted, and its new version works
        assert until(platform, "gateway-1", "installed", "confirmed")
        assert until(platform, "gateway-1", "confirmed") == "confirmed"
    assert "2.0" in shell.run(look)
    assert "gateway-1" in platform.cli("firmware", "updates").stdout


def test_rauc_hawkbit(platform: Platform, tmp_path: Path) -> None:
    login = platform.add("rauc-1", "mooring")
    bundle = tmp_path / "bundle.raucb"
    image = tmp_path / "bundle-2.raucb"
    image.write_bytes(CONTENT)
    with ExitStack() as stack:
        stack.enter_context(
            running(
                tmp_path / "rauc.log",
                [
                    *(sys.executable, RAUC_DEVICE),
                    *(f"127.0.0.1:{platform.ports['http_port']}", "default", "rauc-1"),
                    *(login.password, bundle, "1.0"),
                ],
            )
        )
        wait_until(lambda: has_described(platform, "rauc-1", "1.0"), "it to ask", timeout=SECONDS)
        for words in (
            ("firmware", "add", str(image), "--product", "rauc", "--version", "2.0"),
            ("firmware", "publish", "rauc:2.0", "--unsigned"),
            ("firmware", "offer", "rauc-1", "rauc:2.0"),
        ):
            platform.cli(*words)
        assert until(platform, "rauc-1", "confirmed") == "confirmed"
    assert Path(f"{bundle}.installed").read_bytes() == CONTENT
