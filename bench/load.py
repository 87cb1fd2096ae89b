"""Running the generator as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.arena import Arena

__all__ = ["Load", "Sent", "load"]

GENERATOR = Path(__file__).resolve().with_name("generator.py")
SIZE = 230


@dataclass(frozen=True, slots=True)
class Sent:
    """What the generator says at its end; times are of the monotonic clock, in seconds."""

    sent: int
    acknowledged: int
    started_at: float
    ended_at: float
    seconds: float
    rate: float
    cpu_seconds: float


class Load:
    """One generator at work."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def result(self) -> Sent:
        """Waits for its end.

        Raises:
            AssertionError: it failed, or the broker did not acknowledge everything.
        """
        said, errors = self._process.communicate()
        if self._process.returncode:
            raise AssertionError(f"The generator failed: {errors.strip()[-500:]}")
        done = Sent(**json.loads(said))
        if done.acknowledged != done.sent:
            raise AssertionError(f"The broker acknowledged {done.acknowledged} of {done.sent}.")
        return done


@contextmanager
def load(
    on: Arena,
    *,
    count: int = 0,
    seconds: float = 0,
    rate: float = 0,
    block: float = 0.01,
    few: bool = False,
) -> Iterator[Load]:
    """Starts it against a broker; ends it with the block, should it still run.

    Args:
        count: messages at most; 0: as many as there is time for.
        seconds: how long; 0: until the count is reached.
        rate: messages a second; 0: as fast as the broker acknowledges.
        block: seconds between two writes, with a rate.
        few: for twenty devices only, where the installation has more.
    """
    process = subprocess.Popen(
        [
            *(sys.executable, GENERATOR, "--port", str(on.settings.mqtt_port)),
            *(
                "--logins",
                str(on.few if few else on.logins),
                "--size",
                str(SIZE),
                "--block",
                str(block),
            ),
            *("--count", str(count), "--seconds", str(seconds), "--rate", str(rate)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Load(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
