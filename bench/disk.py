"""What the disk itself takes to make a few bytes safe: no commit can be quicker."""

from __future__ import annotations

import os
import tempfile
import time

from bench.figures import shares

__all__ = ["sync_delays"]

BLOCK = bytes(4096)
ROUND = 1024  # blocks until it writes over the first again
PAUSE_SECONDS = 0.002


def sync_delays(seconds: float) -> dict[str, float]:
    """Milliseconds from a write of 4 KiB to the end of its fdatasync: p50, p90, p99, most."""
    took = []
    with tempfile.TemporaryFile(prefix="mooring-bench-") as file:
        number = file.fileno()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.perf_counter()
            os.pwrite(number, BLOCK, len(took) % ROUND * len(BLOCK))
            getattr(os, "fdatasync", os.fsync)(number)  # macOS has only the other
            took.append((time.perf_counter() - begun) * 1000)
            time.sleep(PAUSE_SECONDS)
    return shares(took)
