"""A device process to be killed: a queue of readings and a live one now and then.

    python -m tests.support.queueing_device CREDENTIALS STORE COUNT PREFIX

CREDENTIALS is a file with the answer of ``device add --json``. The first start queues COUNT
readings before it connects; every start measures live ones until standard input ends, then
waits for the queue to drain. On standard output, one line each:

    queued N            the readings are on disk
    said SEQ NAME       a live reading was reported as on disk under this number
    sent N REPEATED     what went out so far
    done JSON           everything is delivered; the statistics
"""

from __future__ import annotations

import json
import logging
import os
import select
import sys
from pathlib import Path

from mooring_device import Backoff, Device, Options

LIVE_SECONDS = 0.05
DRAIN_SECONDS = 600.0

# Quicker than a fleet would want it: the test has 20 cuts to go through.
OPTIONS = Options(
    backoff=Backoff(floor=0.05, first=0.2, cap=0.6, stable=1000.0),
    receipt_timeout=2.0,
    drain_rate=float(os.environ.get("DRAIN_RATE", "0")),
    connect_timeout=3.0,
    keepalive=5,
    linger=0.0,
)


def say(*words: object) -> None:
    print(*words, flush=True)


def main() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    credentials, store, count, prefix = sys.argv[1:5]
    device = Device(json.loads(Path(credentials).read_text()), store=store, options=OPTIONS)
    if device.stats()["last_seq"] == 0:
        for number in range(int(count)):
            device.publish({"n": f"queue-{number}"}, wait=False)
        device.flush()
    say("queued", device.queued)
    device.start()
    number = 0
    while not select.select([sys.stdin], [], [], LIVE_SECONDS)[0]:
        name = f"{prefix}-{number}"
        say("said", device.publish({"n": name}), name)
        number += 1
        counts = device.stats()
        say("sent", counts["sent"], counts["resent"])
    drained = device.wait_drained(DRAIN_SECONDS)
    counts = device.stats()
    say("sent", counts["sent"], counts["resent"])
    say("done", json.dumps({**counts, "drained": drained}))
    device.close()


if __name__ == "__main__":
    main()
