"""The database gone, or its disk full, while devices go on sending: the broker keeps what comes,
and afterwards everything that it acknowledged is stored once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.disk import on_small_disk
from tests.support.outage import AROUND_SECONDS, check, under_load
from tests.support.platform import running_platform
from tests.support.postgres import Postgres

MEGABYTES = 400  # of the small disk

LENGTHS = [
    pytest.param(3.0, 500.0, id="3s"),
    pytest.param(60.0, 5000.0, id="1min", marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
]


@pytest.mark.parametrize(("seconds", "rate"), LENGTHS)
def test_database_gone(tmp_path: Path, seconds: float, rate: float) -> None:
    with Postgres() as server:
        env = {"MOORING_DATABASE_URL": server.create_database()}
        with (
            running_platform(tmp_path / "data", env=env) as platform,
            under_load(platform, rate, tmp_path / "acknowledged") as finish,
        ):
            server.crash()
            time.sleep(seconds)
            server.restart()
            time.sleep(AROUND_SECONDS)
            check(platform, finish(), f"PostgreSQL gone for {seconds:.0f} s at {rate:.0f}/s")


@pytest.mark.skipif(sys.platform != "linux", reason="a disk of its own needs Linux's namespaces")
@pytest.mark.parametrize(("seconds", "rate"), LENGTHS)
def test_disk_full(tmp_path: Path, seconds: float, rate: float) -> None:
    """Database, broker's queues and logs lie on it: all of them meet the full disk."""
    directory = tmp_path / "disk"
    directory.mkdir()
    words = [sys.executable, "-m", "tests.support.outage", directory, tmp_path / "acknowledged"]
    done = subprocess.run(
        [*on_small_disk(MEGABYTES, directory), *words, str(seconds), str(rate)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
