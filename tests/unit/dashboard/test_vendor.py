"""Files of other projects are those that were published."""

from __future__ import annotations

import hashlib

from tests.support.source import ROOT

VENDOR = ROOT / "src" / "mooring" / "dashboard" / "static" / "vendor"


def locked(text: str) -> dict[str, tuple[str, str, str]]:
    """File → its package, version and SHA-256."""
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {file: (name, version, digest) for name, version, file, digest in rows}


def test_every_file_is_the_published_one() -> None:
    lock = locked((VENDOR / "LOCK").read_text())
    there = {
        one.relative_to(VENDOR).as_posix(): one
        for one in VENDOR.rglob("*")
        if one.is_file() and one.name != "LOCK"
    }
    assert set(lock) == set(there)
    for name, file in there.items():
        assert hashlib.sha256(file.read_bytes()).hexdigest() == lock[name][2], name


def test_each_project_comes_with_its_licence() -> None:
    lock = locked((VENDOR / "LOCK").read_text())
    projects = {name for name, _, _ in lock.values()}
    licensed = {name for file, (name, _, _) in lock.items() if file.endswith("/LICENSE")}
    assert projects == licensed == {"htmx.org", "uplot"}


def test_the_files_say_the_versions_of_the_lock() -> None:
    lock = locked((VENDOR / "LOCK").read_text())
    assert f'"{lock["htmx/htmx.min.js"][1]}"' in (VENDOR / "htmx/htmx.min.js").read_text()
    assert (
        f"(v{lock['uplot/uPlot.iife.min.js'][1]})"
        in (VENDOR / "uplot/uPlot.iife.min.js").read_text()
    )
