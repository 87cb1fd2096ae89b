"""The template of ``mooring up``: what its forks are, and what happens when it or ``up`` dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mooring
from tests.support.platform import Platform, running_platform
from tests.support.waiting import wait_until

ROLES = ("ingest", "serve", "keeper", "worker")

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux has a template")


def stat(pid: int) -> list[str]:
    """From the state on, which is number 3 of proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def parent_of(pid: int) -> int:
    return int(stat(pid)[1])


def words_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


def lives(pid: int) -> bool:
    try:
        return stat(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_forks_are_processes_of_their_own(tmp_path: Path) -> None:
    """One platform for all of it: a fork is what a program would be, it comes back when it is
    killed, and a template that is killed costs nothing but memory."""
    with running_platform(tmp_path / "data", "--log-level", "info") as platform:
        assert platform.up is not None
        up = platform.up.pid
        pids = {role: platform.pid(role) for role in ROLES}
        (template,) = {parent_of(pid) for pid in pids.values()}
        assert parent_of(template) == up
        for role, pid in pids.items():
            assert words_of(pid)[-3:] == ["-m", "mooring", role]
            assert int(stat(pid)[3]) == pid, "the session is its own"
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            assert b"secret" not in environment
            ignored = int(
                Path(f"/proc/{pid}/status").read_text().partition("SigIgn:\t")[2].split()[0], 16
            )
            assert not ignored & 1 << signal.SIGTERM - 1
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert limits == Path(f"/proc/{up}/limits").read_text()

        os.kill(pids["keeper"], signal.SIGKILL)
        another = wait_until(lambda: platform.pid("keeper") != pids["keeper"], "a keeper")
        assert another
        assert parent_of(platform.pid("keeper")) == template
        assert "keeper ended with signal 9" in platform.up.log()

        os.kill(template, signal.SIGTERM)  # as when a service manager stops every process
        os.kill(template, signal.SIGINT)
        assert lives(template)
        before = {role: platform.pid(role) for role in ROLES}
        os.kill(template, signal.SIGKILL)
        wait_until(
            lambda: all(parent_of(pid) == up for pid in before.values()),
            "its forks to be children of up",
        )
        os.kill(before["keeper"], signal.SIGKILL)
        wait_until(lambda: platform.pid("keeper") != before["keeper"], "another keeper", timeout=60)
        assert parent_of_newest(platform, "keeper") == up
        assert platform.up.log().count("keeper ended with signal 9") == 2
        others = [role for role in ROLES if role != "keeper"]
        assert [platform.pid(role) for role in others] == [before[role] for role in others]
        login = platform.add("lamp", "mooring")
        platform.connect(login).publish(login.topics["telemetry"], '{"values":{"t":1}}', qos=1)
        wait_until(lambda: platform.stored(login) == 1, "the message")
        assert platform.stop() == 0


def parent_of_newest(platform: Platform, role: str) -> int:
    try:
        return parent_of(platform.pid(role))
    except (FileNotFoundError, ProcessLookupError):
        return 0


PROGRAM = """
import asyncio, os, sys, time
from mooring.cli.main import main
from mooring.handover import Fork
from mooring.run.template import Template
from mooring.settings import Settings

async def run(template):
    log = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
    forking = asyncio.ensure_future(template.fork(["--version"], b"{}", log))
    await asyncio.sleep(0)
    while not os.path.getsize(sys.argv[1]):  # no event is handled meanwhile
        time.sleep(0.02)
    time.sleep(0.5)
    forked = await forking
    print(await forked.wait())
    os.kill(template.pid, 9)
    while template.alive:
        await asyncio.sleep(0.02)
    template.close()

try:
    template = Template.start(Settings())
except Fork as fork:
    sys.argv[1:] = fork.words
else:
    asyncio.run(run(template))
    sys.exit()
main()
"""


def test_a_fork_that_ends_before_it_is_known_has_its_exit_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "log"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
    assert (tmp_path / "log").read_text() == f"mooring {mooring.__version__}\n"


RETIRED = """
import asyncio, os, signal, sys, time
from pathlib import Path
from mooring.handover import Fork
from mooring.run.children import follow_parent
from mooring.run.template import Template
from mooring.settings import Settings

def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

async def run(template):
    log = os.memfd_create("log")
    first, second, third = [await template.fork([code], b"{}", log) for code in "340"]
    assert parent_of(first.pid) == template.pid
    while os.fstat(log).st_size < 3:  # not all of them follow their parent yet
        await asyncio.sleep(0.02)
    template.retire()
    while template.alive:
        await asyncio.sleep(0.02)
    assert not Path(f"/proc/{template.pid}").exists()
    assert {parent_of(one.pid) for one in (first, second, third)} == {os.getpid()}
    first.terminate()
    second.kill()
    print(await first.wait(), await second.wait(), third.pid)

try:
    template = Template.start(Settings())
except Fork as fork:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(fork.words[0])))
    follow_parent()
    os.write(1, b".")
    while True:
        time.sleep(60)
asyncio.run(run(template))
"""


def test_a_retired_template_leaves_its_forks_to_its_parent() -> None:
    """They run on, their exit codes are known, and they end when the parent does."""
    done = subprocess.run(
        [sys.executable, "-c", RETIRED], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second, left = map(int, done.stdout.split())
    assert (first, second) == (3, -9)
    wait_until(lambda: not lives(left), "the end of the one that was left")


def test_nothing_is_left_of_a_killed_platform(tmp_path: Path) -> None:
    env = {"MOORING_BROKER_ORPHAN_SECONDS": "1"}
    with running_platform(tmp_path / "data", env=env) as platform:
        assert platform.up is not None
        pids = [platform.pid(role) for role in ROLES]
        template = parent_of(pids[0])
        os.kill(platform.up.pid, signal.SIGKILL)
        wait_until(lambda: not any(map(lives, [template, *pids])), "the end of every process")
