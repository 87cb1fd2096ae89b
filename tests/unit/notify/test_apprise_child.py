"""What the process with Apprise must not do. The hook is called as the interpreter calls it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mooring.notify.apprise_child import Blocked, guard


def hook(tmp_path: Path, *, private: bool = False) -> guard:
    return guard(private=private, folders=(str(tmp_path / "installed"), "/dev"))


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.connect", (None, ("127.0.0.1", 80))),
        ("socket.connect", (None, ("169.254.169.254", 80))),
        ("socket.connect", (None, ("fe80::1%eth0", 80, 0, 2))),
        ("socket.connect", (None, ("internal.example.org", 80))),  # a name, not an address
        ("socket.connect", (None, "/run/docker.sock")),
        ("socket.connect", (None, b"\0abstract")),
    ],
)
def test_connections_that_are_blocked_for_good(
    event: str, arguments: tuple[Any, ...], tmp_path: Path
) -> None:
    watch = hook(tmp_path)
    with pytest.raises(Blocked):
        watch(event, arguments)
    assert watch.final
    assert "not allowed" in watch.blocked


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("open", ("/etc/passwd", "r", os.O_RDONLY)),
        ("open", ("installed/../secrets.json", "r", os.O_RDONLY)),
        ("open", ("installed/x.py", "w", os.O_WRONLY | os.O_CREAT)),
        ("open", (b"mooring.db", None, os.O_RDWR)),
        ("subprocess.Popen", ("sh", [], None, None)),
        ("os.system", (b"id",)),
        ("socket.sendto", (None, ("8.8.8.8", 514))),
    ],
)
def test_what_else_is_blocked(
    event: str, arguments: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    watch = hook(tmp_path)
    with pytest.raises(Blocked):
        watch(event, arguments)
    assert not watch.final


def test_what_a_notification_needs_is_allowed(tmp_path: Path) -> None:
    watch = hook(tmp_path)
    watch("socket.connect", (None, ("93.184.215.14", 443)))
    watch("socket.connect", (None, ("2606:4700::1111", 443, 0, 0)))
    watch("open", (str(tmp_path / "installed" / "plugin.py"), "r", os.O_RDONLY))
    watch("open", (3, "w", os.O_WRONLY))  # a descriptor, which was opened before
    watch("import", ("apprise",))
    hook(tmp_path, private=True)("socket.connect", (None, ("127.0.0.1", 25)))
    assert watch.blocked == ""
