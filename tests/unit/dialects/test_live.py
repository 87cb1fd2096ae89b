"""Following dialects while they change."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mooring.dialects import load_all
from mooring.dialects.live import LiveCatalogue
from mooring.errors import DatabaseUnavailable

DIALECT = """
name = "boats"
title = "Boats"
username = "{device}"

[placeholders]
device = "device"

[[channels]]
name = "telemetry"
topic = "boats/{device}/position"
direction = "up"
kind = "telemetry"
"""


class Stored:
    """The number in the database."""

    def __init__(self) -> None:
        self.value, self.asked, self.away = 1, 0, False

    def __call__(self) -> int:
        self.asked += 1
        if self.away:
            raise DatabaseUnavailable("no")
        return self.value


@pytest.fixture
def stored() -> Stored:
    return Stored()


def test_dialects_are_read_when_the_number_grows(tmp_path: Path, stored: Stored) -> None:
    live = LiveCatalogue(tmp_path, stored, look_seconds=0)
    before = live.get()
    (tmp_path / "boats.toml").write_text(DIALECT)
    assert live.get() is before
    stored.value = 2
    after = live.get()
    assert "boats" in after.names()
    assert live.version == 2
    # What did not change is the same object: whoever holds it need not look at it again.
    assert all(after.get(name) is before.get(name) for name in before.names())
    stored.value = 3
    assert live.get() is after


def test_a_file_that_becomes_invalid_takes_no_fleet_down(tmp_path: Path, stored: Stored) -> None:
    for name in ("aaa", "boats", "zzz"):
        (tmp_path / f"{name}.toml").write_text(DIALECT.replace("boats", name))
    live = LiveCatalogue(tmp_path, stored, look_seconds=0)
    before = live.get()
    (tmp_path / "boats.toml").write_text(DIALECT.replace('"up"', '"sideways"'))
    (tmp_path / "zzz.toml").unlink()  # on purpose
    stored.value = 2
    after = live.get()
    assert [path.name for path in after.broken] == ["boats.toml"]
    assert after.names() == tuple(name for name in before.names() if name != "zzz")
    assert after.get("boats") is before.get("boats")
    (tmp_path / "boats.toml").write_text(DIALECT.replace("Boats", "Ships"))
    stored.value = 3
    assert (live.get().get("boats").title, live.get().broken) == ("Ships", {})


def test_what_changed_while_the_process_started_is_noticed(tmp_path: Path, stored: Stored) -> None:
    at_start = load_all(tmp_path)
    (tmp_path / "boats.toml").write_text(DIALECT)
    live = LiveCatalogue(tmp_path, stored, at_start)
    assert live.held is at_start
    assert "boats" in live.get().names()


def test_it_is_asked_now_and_then_only(tmp_path: Path, stored: Stored) -> None:
    live = LiveCatalogue(tmp_path, stored, look_seconds=1000)
    assert live.due
    for _ in range(3):
        live.get()
    assert (stored.asked, live.due) == (1, False)


def test_a_version_that_was_read_already(tmp_path: Path, stored: Stored) -> None:
    live = LiveCatalogue(tmp_path, stored)
    live.at(1)
    (tmp_path / "boats.toml").write_text(DIALECT)
    assert "boats" not in live.at(1).names()
    assert "boats" in live.at(2).names()
    assert stored.asked == 0


def test_a_database_that_is_away_changes_nothing(tmp_path: Path, stored: Stored) -> None:
    live = LiveCatalogue(tmp_path, stored, look_seconds=0)
    before = live.get()
    stored.away = True
    with pytest.raises(DatabaseUnavailable):
        live.get()
    assert live.held is before


def test_waiting_for_a_change(tmp_path: Path, stored: Stored) -> None:
    live = LiveCatalogue(tmp_path, stored, look_seconds=0.01)
    live.get()

    async def wait() -> None:
        waiting = asyncio.create_task(live.changed())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        (tmp_path / "boats.toml").write_text(DIALECT)
        stored.value = 2
        async with asyncio.timeout(10):
            assert "boats" in (await waiting).names()

    asyncio.run(wait())
