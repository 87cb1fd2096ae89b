"""A device process to be killed: publishes, and says on stdout what it was told is on disk.

Usage: busy_device.py STORE PORT COUNT PREFIX (port 0: never connects).
"""

from __future__ import annotations

import sys
import threading

from device_servers import QUICK, credentials
from mooring_device import Device


def main() -> None:
    store, port, count, prefix = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    device = Device(credentials(port or 1), store=store, options=QUICK)
    if port:
        device.start()
    print("ready", flush=True)
    lock = threading.Lock()
    numbers = iter(range(count))

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            seq = device.publish({"n": f"{prefix}-{number}"})
            with lock:
                print(seq, f"{prefix}-{number}", flush=True)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if port:
        device.wait_drained(60)
    print("done", flush=True)
    device.close()


if __name__ == "__main__":
    main()
