"""Files written whole or not at all, and the ways to have them read again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from mooring.broker.reload import by_command, by_pid, by_pid_file
from mooring.errors import BrokerUnavailable, Unavailable
from mooring.files import write_atomically


def test_a_file_is_replaced_and_nothing_is_left_over(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    write_atomically(path, "one\n")
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.stat().st_ino
    write_atomically(path, "zwei ü\n")
    assert path.read_text(encoding="utf-8") == "zwei ü\n"
    assert path.stat().st_ino != before
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    write_atomically(path, "old\n")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "half \ud800")
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be written"):
        write_atomically(tmp_path / "no" / "passwd", "x")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_text("old")
    os.chown(path, 65534, 65534)
    write_atomically(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)


def test_a_process_is_signalled(tmp_path: Path) -> None:
    async def main() -> None:
        heard = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, heard.set)
        pid_file = tmp_path / "pid"
        pid_file.write_text(f"{os.getpid()}\n")
        for reload in (by_pid(os.getpid), by_pid_file(pid_file)):
            heard.clear()
            await reload()
            async with asyncio.timeout(10):
                await heard.wait()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)

    asyncio.run(main())


@pytest.mark.parametrize("content", [None, "", "no number", "-1", "1", "0"])
def test_a_useless_pid_file(tmp_path: Path, content: str | None) -> None:
    """Never signal everybody (-1), our group (0) or init (1)."""
    path = tmp_path / "pid"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BrokerUnavailable):
        asyncio.run(by_pid_file(path)())


def test_a_stale_pid_file_ends_no_other_process(tmp_path: Path) -> None:
    """The number was given to another process meanwhile, which SIGHUP would end."""
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "mosquitto.conf").touch()
    words = [sys.executable, "-c", "import time; time.sleep(60)"]
    child = os.posix_spawn(sys.executable, words, dict(os.environ))
    try:
        (folder / "pid").write_text(str(child))
        with pytest.raises(BrokerUnavailable, match="not the broker"):
            asyncio.run(by_pid_file(folder / "pid")())
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_no_process(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnavailable, match="is not running"):
        asyncio.run(by_pid(lambda: None)())
    # A child that has ended and is waited for is no process any more.
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], dict(os.environ))
    os.waitpid(child, 0)
    with pytest.raises(BrokerUnavailable, match="no longer exists"):
        asyncio.run(by_pid(lambda: child)())


def test_commands(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    asyncio.run(by_command(["touch", str(mark)])())
    assert mark.exists()
    script = "import sys; sys.exit('broker says no')"
    with pytest.raises(BrokerUnavailable, match="code 1: broker says no"):
        asyncio.run(by_command([sys.executable, "-c", script])())
    with pytest.raises(BrokerUnavailable, match="cannot be run"):
        asyncio.run(by_command([str(tmp_path / "missing")])())
    with pytest.raises(BrokerUnavailable, match="did not end"):
        asyncio.run(by_command(["sleep", "60"], within=0.05)())
