"""What README and tutorial tell a newcomer to type works, and prints what they say it prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.page_commands import Block, Shell, blocks, missing, section
from tests.support.platform import Platform, running_platform
from tests.support.source import ROOT

pytestmark = pytest.mark.timeout(300)  # compilers and many programs, on a busy machine

README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs" / "tutorial" / "first-device.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform of its own: the pages show all there is."""
    with running_platform(tmp_path_factory.mktemp("fresh") / "data") as running:
        yield running


def start_up(page: str) -> str:
    """What the page says of the start; without the time it took, and the two last lines, which
    say what to do next and where the program is."""
    found = re.search(r"^```\n(Mooring is ready.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    lines = found[1].partition("A simulated fleet")[0].splitlines()[1:]
    assert any("First administrator" in line for line in lines)
    return "\n".join(lines)


@pytest.mark.parametrize("page", [README, TUTORIAL], ids=["readme", "tutorial"])
def test_what_a_page_shows_of_the_start_is_printed(fresh: Platform, page: str) -> None:
    assert fresh.up is not None
    shown = fresh.up.log().replace(str(fresh.data_dir), ".mooring")
    for name, told in (
        ("http_port", "8080"),
        ("mqtt_port", "1883"),
        ("mqtt_tls_port", "8883"),
        ("mqtt_ws_port", "9001"),
    ):
        shown = shown.replace(str(fresh.ports[name]), told)
    assert missing(start_up(page), shown) is None, shown


def test_the_readme_adds_a_device(fresh: Platform, tmp_path: Path) -> None:
    shell = Shell(fresh, tmp_path / "clone", installed=True)
    found = blocks(section(README, "Add a device"))
    assert len(found) == 2
    assert all(block.promise for block in found)
    for block in found:
        shell.run(block)


def test_the_tutorial_from_top_to_bottom(fresh: Platform, tmp_path: Path) -> None:
    shell = Shell(fresh, tmp_path / "clone", installed=True)
    found = [block for block in blocks(TUTORIAL) if "make up" not in block.commands]
    assert len(found) > 8
    for block in found:
        shell.run(block)
    assert (tmp_path / "clone" / "fridge-2.json").stat().st_mode & 0o077 == 0


# ------------------------------------------------------------------------- the rules above


def test_a_promise_that_is_not_kept_is_found() -> None:
    output = "DEVICE  ADDED\nfridge  3 s ago\npassword  abcdefghijklmnopqrstuvwx\n"
    assert missing("Device   Added\n──────\nfridge   1 min ago\n", output) is None
    assert missing("…\npassword   ABCDEFGHIJKLMNOPQRSTUVWX", output) is None
    assert missing("fridge   1 s ago\nDevice   Added\n", output) == "Device   Added"
    assert missing("freezer", output) == "freezer"


def test_commands_and_what_they_print_are_read_from_a_page() -> None:
    page = "```sh\none\n```\n\nsees:\n\n```\n1\n```\n\n```sh\ntwo\n```\n\n```toml\nx = 1\n```\n"
    assert blocks(page) == [Block("one\n", "1\n"), Block("two\n", "")]
