"""Free ports on the loopback interface."""

from __future__ import annotations

import itertools
import os
import random
import socket

__all__ = ["free_port"]

# Below the ports the kernel hands to outgoing connections (32768 on Linux, 49152 on macOS):
# none of those can take a port between our choosing it and a server binding it.
_FIRST, _LAST, _EACH = 20_000, 32_000, 1500


def _range() -> range:
    """Each process of a parallel run (``gw0``, ``gw1`` …) chooses from ports of its own."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    start = _FIRST + number * _EACH % (_LAST - _FIRST)
    return range(start, start + _EACH)


_RANGE = _range()
_candidates = itertools.cycle(random.Random(os.urandom(8)).sample(_RANGE, len(_RANGE)))


def free_port() -> int:
    """A TCP port nobody listens on, on 127.0.0.1; not the same twice in a test run."""
    for port in itertools.islice(_candidates, len(_RANGE)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue  # taken; the next one
            return port
    raise RuntimeError(f"No port is free between {_RANGE.start} and {_RANGE.stop}.")
