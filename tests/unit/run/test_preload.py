"""What a template imports before it forks."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, sys, threading
from mooring.dialects.load import builtin
from mooring.run.preload import preload
before = set(os.listdir("/dev/fd"))
preload(postgresql=sys.argv[1] == "postgresql")
assert set(os.listdir("/dev/fd")) == before, "something is open"
assert builtin.cache_info().currsize == 1
print(threading.active_count())
print(*sorted(sys.modules))
"""


def imported(engine: str) -> tuple[int, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, engine], capture_output=True, text=True, check=True
    )
    threads, modules = done.stdout.splitlines()
    return int(threads), set(modules.split())


def test_everything_is_imported_but_what_is_needed_once_or_with_another_database() -> None:
    threads, on_sqlite = imported("sqlite")
    assert threads == 1  # a process with threads cannot be forked safely
    needed = {"fastapi", "mqtt5", "uvicorn", "uvloop", "mooring.simulate.fleet"}
    assert needed <= on_sqlite
    assert {"mooring.presence.projection", "mooring.people.service"} <= on_sqlite
    assert on_sqlite & {"alembic", "psycopg"} == set()
    assert "psycopg" in imported("postgresql")[1]
