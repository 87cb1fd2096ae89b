"""Load around an outage, and whether everything acknowledged in it is stored once.

Run as a program it is the outage of a full disk, for ``disk.on_small_disk``:

    python -m tests.support.outage DIRECTORY OUTPUT SECONDS RATE
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import disk
from tests.support.platform import Platform, running_platform
from tests.support.steady import Steady, Told, mixed_fleet, stored
from tests.support.waiting import wait_until

__all__ = ["AROUND_SECONDS", "check", "under_load"]

AROUND_SECONDS = 2.0  # of load before and after
LEFT_BYTES = 4_000_000  # when a disk is nearly full: ingest itself takes the rest


@contextmanager
def under_load(platform: Platform, rate: float, output: Path) -> Iterator[Callable[[], list[Told]]]:
    """Devices that send; the function ends them, and tells what was acknowledged to them."""
    fleet, port = mixed_fleet(platform), platform.ports["mqtt_port"]
    with Steady(fleet, port, rate=rate, output=output) as steady:
        time.sleep(AROUND_SECONDS)
        yield steady.finish


def check(platform: Platform, told: list[Told], what: str) -> None:
    """Waits until all is stored that was acknowledged; prints the counts.

    Raises:
        AssertionError: something is missing, or there twice.
    """
    acknowledged = sum(len(one.acknowledged_at) for one in told)
    assert all(at for one in told for at in one.acknowledged_at), "not everything was acknowledged"
    wait_until(
        lambda: platform.counted("messages_stored") >= acknowledged,
        f"{acknowledged:,} messages to be stored",
        timeout=300,
    )
    time.sleep(1)  # a repetition would come after
    kept = [stored(platform, one) for one in told]
    missing = sum(
        number not in those
        for one, those in zip(told, kept, strict=True)
        for number in range(len(one.acknowledged_at))
    )
    twice = sum(count > 1 for those in kept for count in those.values())
    print(f"{what}: acknowledged {acknowledged:,}, missing {missing}, stored twice {twice}")
    assert not missing
    assert not twice


def main(directory: Path, output: Path, seconds: float, rate: float) -> None:
    """A platform in ``directory``, whose disk is full for a while."""
    with (
        running_platform(directory / "data") as platform,
        under_load(platform, rate, output) as finish,
    ):
        disk.fill(directory, leave=LEFT_BYTES)
        wait_until(lambda: disk.free(directory) == 0, "the disk to be full", timeout=60)
        time.sleep(seconds)
        assert not disk.free(directory)
        disk.clear(directory)
        time.sleep(AROUND_SECONDS)
        check(platform, finish(), f"disk full for {seconds:.0f} s at {rate:.0f}/s")
        # A worker that failed twice in a row is well again when it has run for a while.
        wait_until(
            lambda: "All is well" in platform.cli("status", expect=None).stdout,
            "status to say that all is well",
            timeout=120,
        )
        assert platform.up is not None
        print(platform.up.log())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
