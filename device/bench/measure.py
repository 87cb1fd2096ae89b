"""What the SDK costs on this machine: readings a second to disk, and to a broker.

Usage: python device/bench/measure.py [FOLDER]    (the folder decides which disk is measured)
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mooring_device import Credentials, Device
from mooring_device.credentials import native_topics

READING = {"temperature": 21.5, "humidity": 40.25, "pressure": 1009.1, "battery": 97}


def device(folder: Path) -> Device:
    return Device(
        Credentials(
            device="d1",
            host="127.0.0.1",
            port=1,
            client_id="default:d1",
            topics=native_topics("default", "d1"),
        ),
        store=folder,
    )


def measure(name: str, number: int, work: Callable[[], None]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"{name:<34} {number / wall:>9.0f}/s   {cpu / number * 1e6:>6.1f} us of CPU each"
        f"   {number / cpu:>9.0f}/s on one core"
    )


def main() -> None:
    base = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    one = device(base / "wait")

    def waiting() -> None:
        for _ in range(5_000):
            one.publish(READING)

    measure("publish, each on disk at return", 5_000, waiting)
    one.close()
    many = device(base / "burst")

    def burst() -> None:
        for _ in range(100_000):
            many.publish(READING, wait=False)
        many.flush()

    measure("publish(wait=False), group commit", 100_000, burst)
    many.close()


if __name__ == "__main__":
    main()
