"""A device process that kills itself with -9 at a step of its settings or of a command.

Usage: guarded_device.py STORE PORT STEP (0: it lives until it is killed from outside).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from device_servers import QUICK, credentials
from mooring_device import Device

SETTINGS = ("_try", "_note_trial", "_call", "_confirm", "_report")
COMMANDS = ("_call", "_finish")


def main() -> None:
    store, port, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    left = [step]

    def reached() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            reached()
            result = method(*args, **more)
            reached()
            return result

        return call

    device = Device(credentials(port), store=store, options=QUICK)
    for part, names in ((device._configs, SETTINGS), (device._commands, COMMANDS)):
        for name in names:
            setattr(part, name, counted(getattr(part, name)))
    device.on_config(lambda config: print("config", config["n"], flush=True))
    device.command("open")(lambda args: print("open", args["n"], flush=True))
    device.run_forever()


if __name__ == "__main__":
    main()
