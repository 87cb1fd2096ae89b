"""What many products begin with: Node.js, ``mqtt`` and ``pg``, one INSERT a message."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.arena import SUBSCRIPTION
from bench.contestants.model import (
    Contestant,
    Ground,
    Running,
    plain_running,
    plain_table,
    until_subscribed,
)
from bench.contestants.mooring import ended
from bench.contestants.npm import installed, node, place

__all__ = ["NODE_BACKEND"]

CLIENT_ID = "bench-node"
PROGRAM = Path(__file__).resolve().parents[1] / "programs" / "node-backend" / "backend.js"


@contextmanager
def _node_backend(ground: Ground) -> Iterator[Running]:
    assert ground.server is not None
    arena, login = ground.arena, ground.arena.endpoint
    path = arena.directory / "node.log"
    with plain_table(ground.database_url) as connection, path.open("wb") as log:
        process = subprocess.Popen(
            [node(), PROGRAM],
            env=os.environ
            | {
                "NODE_PATH": str(place("node-backend") / "node_modules"),
                "BENCH_BROKER": f"mqtt://{login.host}:{login.port}",
                "BENCH_USERNAME": login.username,
                "BENCH_PASSWORD": login.password,
                "BENCH_CLIENT_ID": CLIENT_ID,
                "BENCH_TOPIC": SUBSCRIPTION,
                "BENCH_DATABASE": ground.database_url,
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            until_subscribed(arena, CLIENT_ID, lambda: path.read_text(errors="replace"))
            yield plain_running(process.pid, connection, ground.server)
        finally:
            ended(process)


NODE_BACKEND = Contestant(
    "node",
    "Node.js, mqtt + pg, one INSERT a message",
    5_000,
    _node_backend,
    postgresql=True,
    prepare=partial(installed, "node-backend"),
)
