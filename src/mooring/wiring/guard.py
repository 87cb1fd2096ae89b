"""Stops a broker whose ``mooring up`` was killed and does not come back.

A program of its own, with nothing but the standard library, so that it stays small and outlives
everything else. Its standard input is a pipe that ``mooring up`` holds: one byte means an orderly
stop, its end means that ``mooring up`` is gone. The broker then queues for ingest, which is what a
restart needs, but only for some time: devices must not get acknowledgements for days while nobody
stores them.

Arguments: pid file, configuration file, seconds, log file.
"""

from __future__ import annotations

import os
import signal
import sys
import time

# What is needed only when `mooring up` is gone is imported then: this process waits for as long as
# the platform runs, next to it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

LOOK_SECONDS = 1.0


def main(words: list[str]) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are meant for `mooring up`
    if os.read(0, 1):
        return
    from pathlib import Path  # noqa: PLC0415 - see above

    pid_file, config, seconds, log = Path(words[0]), words[1], float(words[2]), Path(words[3])
    orphan = broker(pid_file, config)
    deadline = time.monotonic() + seconds
    while orphan is not None and time.monotonic() < deadline:
        time.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
        if broker(pid_file, config) != orphan:
            return  # it ended, or another `mooring up` has started its own
    if orphan is not None:
        say(
            log,
            f"mooring up has not been running for {seconds:g} s; the broker {orphan} is stopped",
        )
        os.kill(orphan, signal.SIGTERM)


def broker(pid_file: Path, config: str) -> int | None:
    """The process in the pid file, if it is the broker with this configuration."""
    import subprocess  # noqa: PLC0415 - see above

    try:
        text = pid_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    if not text.isdigit():
        return None
    shown = subprocess.run(
        ["ps", "-o", "command=", "-ww", "-p", text],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return int(text) if config in shown.stdout else None


def say(log: Path, text: str) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415 - see above

    with log.open("a", encoding="utf-8") as file:
        file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
