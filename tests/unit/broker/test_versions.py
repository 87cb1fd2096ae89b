"""The one table of what differs between versions, and the library that fits the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.broker.installation import DYNSEC_LIBRARY, find_dynsec_plugin
from mooring.broker.versions import DIFFERENCES, has_side_file
from tests.support.source import ROOT

PAGE = (ROOT / "docs" / "explanation" / "mosquitto-versions.md").read_text(encoding="utf-8")


def test_the_page_has_exactly_these_rows() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]
    assert rows == [
        f"| {one.subject} | {one.before} | {one.since} | {one.mooring} |" for one in DIFFERENCES
    ]


def test_only_the_older_plugin_asks_a_password_file() -> None:
    assert has_side_file((2, 0, 22))
    assert not has_side_file((2, 1, 0))


@pytest.mark.parametrize("folder", ["lib", "lib64", "lib/x86_64-linux-gnu", "lib/mosquitto"])
def test_the_library_is_the_one_next_to_the_program(tmp_path: Path, folder: str) -> None:
    """Another installation's library is of another version."""
    binary = tmp_path / "opt" / "sbin" / "mosquitto"
    library = tmp_path / "opt" / folder / DYNSEC_LIBRARY
    for path in (binary, library):
        path.parent.mkdir(parents=True)
        path.touch(mode=0o755)
    assert find_dynsec_plugin(binary=binary) == library
    link = tmp_path / "bin" / "mosquitto"
    link.parent.mkdir()
    link.symlink_to(binary)
    assert find_dynsec_plugin(binary=link) == library
    chosen = tmp_path / "chosen.so"
    chosen.touch()
    assert find_dynsec_plugin(chosen, binary=binary) == chosen
