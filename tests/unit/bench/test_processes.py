"""What is read of processes, on a real one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.processes import (
    VISIBLE,
    Usage,
    cpu_seconds,
    descendants,
    ended,
    peak_rss,
    rss,
    written,
)
from tests.support.waiting import wait_until

# Works for a while, tells so, and waits for its end; its child has ended before.
PROGRAM = """
import subprocess, sys, time
work = "import time\\nwhile time.process_time() < 0.2: pass"
subprocess.run([sys.executable, "-c", work])
while time.process_time() < 0.2: pass
print("done", flush=True)
sys.stdin.read()
"""


def test_a_process_and_its_children() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    usage = Usage({"it": process.pid})
    usage.begin()
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == b"done\n"
    if not VISIBLE:
        assert cpu_seconds(process.pid) is peak_rss(process.pid) is rss(process.pid) is None
        process.communicate()
        return
    used = usage.so_far()["it"]
    assert used is not None
    assert used >= 0.3  # its own and that of the child that has ended
    assert process.pid in descendants(process.pid)
    now, most = rss(process.pid), peak_rss(process.pid)
    assert now is not None and most is not None
    assert 1e6 < now < 1e9 and 1e6 < most < 1e9
    assert not ended(process.pid)
    process.stdin.close()
    wait_until(lambda: ended(process.pid), "it to end")
    assert usage.so_far()["it"] is not None  # not asked for its exit code yet
    process.wait()
    process.stdout.close()
    assert ended(process.pid)
    assert rss(process.pid) is None


@pytest.mark.skipif(not VISIBLE, reason="this system does not show what processes use")
def test_what_a_process_and_its_children_write(tmp_path: Path) -> None:
    size = 3_000_000
    program = (
        "import os, subprocess, sys\n"
        f"open(r'{tmp_path / 'one'}', 'wb').write(bytes({size}))\n"
        "print('done', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdin is not None
    try:
        assert process.stdout.readline() == b"done\n"
        found = written(process.pid)
        # A file system in memory writes nothing to disk, or what Python keeps of itself.
        assert found is None or found < size // 10 or found >= size
    finally:
        process.communicate()
    assert not written(process.pid)
