"""Whether a process runs is decided in one place."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from mooring.store.engine import now_ms, open_database
from mooring.store.processes import STALE_MS, alive, is_alive
from mooring.store.schema import processes
from tests.support.source import ROOT


@pytest.mark.parametrize("age", [0, STALE_MS - 1_000, STALE_MS + 1_000, -1_000])
def test_the_condition_says_what_the_function_says(new_sqlite_url: str, age: int) -> None:
    database = open_database(new_sqlite_url)
    at = now_ms()
    with database.write() as connection:
        connection.execute(
            sa.insert(processes).values(
                name="x", role="up", pid=1, host="h", started_at=0, beat_at=at - age
            )
        )
        found = connection.execute(sa.select(processes.c.name).where(alive())).first()
    database.close()
    assert (found is not None) is is_alive(at - age, at)


def test_nobody_else_decides() -> None:
    """Neither by the time of the last report nor by the limit."""
    own = ROOT / "src" / "mooring" / "store" / "processes.py"
    others = [path for path in (ROOT / "src" / "mooring").rglob("*.py") if path != own]
    found = [path for path in others if "STALE_MS" in path.read_text(encoding="utf-8")]
    assert found == []
