"""A commit that others see before it is on the disk: its process is killed in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from mooring.store.engine import open_database
from tests.support.waiting import wait_until

# Stops where the commit is visible and the disk has not been asked yet.
PROGRAM = """
import sys, time
from pathlib import Path
from mooring.store import engine

folder = Path(sys.argv[1])
database = engine.open_database(f"sqlite:///{folder / 'one.db'}")

def sync(_descriptor):
    (folder / "visible").touch()
    time.sleep(600)

engine._sync = sync
with database.write(early=True) as connection:
    connection.exec_driver_sql("INSERT INTO some VALUES (2)")
(folder / "told").touch()
"""


def test_a_process_that_is_killed_before_the_disk_answers_loses_nothing(tmp_path: Path) -> None:
    """What others have seen stays: the kill of a process takes nothing out of the system's memory.
    The caller was not told that it is done, so it may do it again."""
    file = tmp_path / "one.db"
    database = open_database(f"sqlite:///{file}")
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE some (id INTEGER)")
        connection.exec_driver_sql("INSERT INTO some VALUES (1)")

    def seen() -> list[int]:
        with database.read() as connection:
            rows = connection.exec_driver_sql("SELECT id FROM some ORDER BY id")
            return [int(row[0]) for row in rows]

    process = subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path])
    try:
        wait_until((tmp_path / "visible").exists, "the commit to be visible")
        assert seen() == [1, 2]
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(20) == -signal.SIGKILL
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert not (tmp_path / "told").exists()
    assert seen() == [1, 2]
    # Nobody is locked out, and the next lasting commit takes it to the disk.
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO some VALUES (3)")
    database.close()
    again = open_database(f"sqlite:///{file}")
    with again.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM some").scalar() == 3
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    again.close()
