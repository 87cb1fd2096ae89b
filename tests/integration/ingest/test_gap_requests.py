"""Asking devices for readings that are missing, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM
from mooring.sequences.numbers import pack_ranges
from mooring.sequences.worker import GAP_AGAIN, GapRequests
from mooring.settings import Settings
from mooring.store.schema import sequences

T, WAIT = 1_771_000_000_000, 60.0


@pytest.fixture
def platform(tmp_path: Path, migrated_url: str) -> Iterator[App]:
    with open_app(Settings(data_dir=tmp_path / "data", database_url=migrated_url)) as app:
        yield app


def test_only_a_gap_that_is_due_is_written_down(
    platform: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = platform.devices.add(SYSTEM, NewDevice("lamp", "mooring"))[0].device
    requests = GapRequests(platform.database, WAIT, lambda _kind, number: f"to/{number}", print)
    written: list[bool] = []
    write = platform.database.write

    def noting() -> object:
        written.append(True)
        return write()

    monkeypatch.setattr(platform.database, "write", noting)
    assert requests.overdue(T) == []
    with write() as connection:
        above = pack_ranges(((5, 9),))
        connection.execute(
            sa.insert(sequences).values(
                device_id=device.id, upto=3, above=above, lost=0, gap_since=T
            )
        )
    assert requests.overdue(T + int(WAIT * 1000) - 1) == []
    assert not written, "a transaction that writes wakes other processes"
    due = T + int(WAIT * 1000)
    assert requests.overdue(due) == [(f"to/{device.id}", b'{"missing":[[4,4]]}')]
    assert requests.overdue(due + 1) == []
    assert len(written) == 1
    assert len(requests.overdue(due + GAP_AGAIN * int(WAIT * 1000))) == 1
