"""paho-mqtt and the SQLAlchemy ORM: an object and a commit a message."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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

__all__ = ["ORM"]

CLIENT_ID = "bench-orm"
PROGRAM = Path(__file__).resolve().parents[1] / "programs" / "orm_backend.py"


@contextmanager
def _orm(ground: Ground) -> Iterator[Running]:
    assert ground.server is not None
    arena, login = ground.arena, ground.arena.endpoint
    path = arena.directory / "orm.log"
    with plain_table(ground.database_url) as connection, path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, PROGRAM],
            env=os.environ
            | {
                "BENCH_HOST": login.host,
                "BENCH_PORT": str(login.port),
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


ORM = Contestant("orm", "paho-mqtt + SQLAlchemy ORM, one commit a message", 600, _orm, True)
