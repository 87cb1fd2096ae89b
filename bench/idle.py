"""What a quiet platform costs: memory and CPU of every process of ``mooring up --demo``.

Memory is the proportional set size: a page that several processes share counts in each of them by
its share, so the sum is what the platform takes of the machine. CPU is that of one core, from the
scheduler's own clock (clock ticks are too coarse for processes that do next to nothing).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.processes import VISIBLE, cpu_exact, descendants, name_of, pss
from tests.support.ports import free_port

__all__ = ["measure"]

WARM_UP_SECONDS = 30.0
START_SECONDS = 60.0
STOP_SECONDS = 30.0
PORTS = ("http", "mqtt", "mqtt-tls", "mqtt-ws")
Say = Callable[[str], None]


def measure(
    *, seconds: float, warm_up: float = WARM_UP_SECONDS, say: Say = print
) -> dict[str, Any]:
    """Runs the demo and looks at its processes.

    Args:
        seconds: how long CPU is counted.
        warm_up: seconds before that.
    """
    if not VISIBLE:
        raise SystemExit("This system does not show what processes use.")
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as name, _demo(Path(name)) as up:
        say(f"the demo runs; waiting for {warm_up:g} s")
        time.sleep(warm_up)
        pids = descendants(up.pid)
        before = {pid: cpu_exact(pid) for pid in pids}
        began = time.monotonic()
        say(f"counting CPU for {seconds:g} s")
        time.sleep(seconds)
        elapsed = time.monotonic() - began
        memory = {pid: (pss(pid) or 0) / 1e6 for pid in pids}
        cpu = {pid: 100 * (cpu_exact(pid) - before[pid]) / elapsed for pid in pids}
        names = {pid: name_of(pid) for pid in pids}
    return {
        "seconds": seconds,
        "load": round(os.getloadavg()[0], 1),
        "processes": [
            {
                "name": names[pid],
                "pss_mb": round(memory[pid], 1),
                "cpu_percent": round(cpu[pid], 2),
            }
            for pid in sorted(pids, key=lambda pid: -memory[pid])
        ],
        "pss_mb": round(sum(memory.values()), 1),
        "cpu_percent": round(sum(cpu.values()), 2),
    }


@contextlib.contextmanager
def _demo(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    words = [word for port in PORTS for word in (f"--{port}-port", str(free_port()))]
    log = directory / "up.log"
    with log.open("wb") as out:
        up = subprocess.Popen(
            [sys.executable, "-m", "mooring", "up", "--demo", "--mqtt-mtls-port", "0", *words],
            cwd=directory,
            env={**os.environ, "MOORING_DATA_DIR": str(directory / "data")},
            stdout=out,
            stderr=out,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while b"Mooring is ready" not in log.read_bytes():
            if up.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The demo did not start:\n{log.read_text()}")
            time.sleep(0.2)
        yield up
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(STOP_SECONDS)
